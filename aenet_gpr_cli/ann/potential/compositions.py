"""Which compositions the training data tell the energies of.

Training on energies and forces of some compositions leaves the energies of others open: one constant for each
atom of an element may be added and another taken away as long as the sums of the known compositions, and
with them all their supercells and mixtures, stay the same. Forces do not feel it. Given atomic energies do
not close this: networks begin from them, but how binding energies are shared between the elements stays open
(copper slabs with one oxygen atom: clean slab wrong by 2.0 eV without, by 0.7 eV with the true ones).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.structures import FloatArray, formula

ROUNDING = 1e-6  # relative; one atom more in a thousand of another element leaves 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Compositions:
    """The span of the compositions of training structures.

    Attributes
    ----------
    species : tuple of str
        Of the potential.
    rows : ndarray of shape (rank, n_species), dimensionless
        Orthonormal; every known composition is a sum of these.
    """

    species: tuple[str, ...]
    rows: FloatArray

    @classmethod
    def of(cls, species: Sequence[str], structures: Iterable[Sequence[str]]) -> Compositions:
        """Return the span of some structures.

        Parameters
        ----------
        species : sequence of str
            Of the potential.
        structures : iterable of sequence of str
            Chemical symbols of the atoms of each.
        """
        counts = np.array([_counts(species, symbols) for symbols in structures])
        counts = counts.reshape(-1, len(species))
        counts /= np.linalg.norm(counts, axis=1, keepdims=True)
        _, values, rows = np.linalg.svd(counts, full_matrices=False)
        return cls(tuple(species), rows[values > ROUNDING * values.max(initial=0.0)])

    def lack(self, symbols: Sequence[str]) -> bool:
        """Whether the composition of a structure lies outside the span.

        Examples
        --------
        >>> known = Compositions.of(("Cu", "O"), [["Cu", "Cu", "O"]])
        >>> known.lack(["Cu", "O", "Cu", "Cu", "O", "Cu"]), known.lack(["Cu", "Cu"])
        (False, True)
        """
        counts = _counts(self.species, symbols)
        beyond = counts - self.rows.T @ (self.rows @ counts)
        return bool(np.linalg.norm(beyond) > ROUNDING * np.linalg.norm(counts))


def describe_open(structures: Iterable[Sequence[str]]) -> str:
    """Return what is to be said of structures whose compositions the training data do not span.

    Parameters
    ----------
    structures : iterable of sequence of str
        Chemical symbols of the atoms of each.
    """
    names = list(dict.fromkeys(formula(tuple(symbols)) for symbols in structures))
    said = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return (
        f"the compositions of the training data do not determine the energy of {said}: it is known only up "
        "to a constant per atom, often electronvolts in all. Forces, dynamics and differences at one "
        "composition are not affected; differences between compositions (adsorption, formation) need both in "
        "the training data"
    )


def _counts(species: Sequence[str], symbols: Sequence[str]) -> FloatArray:
    return np.array([list(symbols).count(s) for s in species], float)
