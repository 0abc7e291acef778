"""Scaling of features and energies, and atomic reference energies: all of it exportable to ænet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from aenet_gpr_cli.reference_energies import energies_of
from aenet_gpr_cli.structures import AnySet, FloatArray

MIN_FEATURE_STD = 1e-10  # ænet's: a feature that never changes is switched off
SMALLEST_STD = 1e-3  # of the largest of a species; those of features inside the cutoff lie above it
EnergyScaling = Literal["range", "std"]


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Scales of the network: E = sum_i [ y_i · energy_scale + energy_shift + E_atom(species_i) ].

    Attributes
    ----------
    feature_mean, feature_std : dict of str to ndarray of shape (n_features,), dimensionless
        Per species; a standard deviation of 0 switches the feature off.
    energy_scale : float, eV
    energy_shift : float, eV per atom
    atomic_energies : dict of str to float, eV
    """

    feature_mean: Mapping[str, FloatArray]
    feature_std: Mapping[str, FloatArray]
    energy_scale: float
    energy_shift: float
    atomic_energies: Mapping[str, float]

    def feature_scale(self, symbol: str) -> FloatArray:
        """Return 1/std of the features of a species, 0 where they never change.

        Returns
        -------
        ndarray of shape (n_features,)
        """
        return inverse_std(self.feature_std[symbol])

    def reference_energy(self, species: Sequence[str]) -> float:
        """Return the part of the energy that no network carries, eV.

        Parameters
        ----------
        species : sequence of str
            Of one structure.

        Returns
        -------
        float
            Sum over atoms of energy_shift + E_atom.
        """
        return float(sum(self.atomic_energies[s] + self.energy_shift for s in species))


def not_too_small(std: FloatArray) -> FloatArray:
    """Return standard deviations of the features of a species, of which those that vary have a least value.

    Features at the edge of a cutoff may hardly differ from zero in training and be of usual size elsewhere,
    as where two atoms come a little closer: divided by what they varied by, they would drown all others.
    """
    return np.where(inverse_std(std) > 0.0, np.maximum(std, SMALLEST_STD * std.max(initial=0.0)), std)


def inverse_std(std: FloatArray) -> FloatArray:
    """Return 1/std, and 0 where std <= 1e-10 as ænet does.

    Parameters
    ----------
    std : ndarray of shape (n_features,)

    Returns
    -------
    ndarray of shape (n_features,)
    """
    return np.where(std > MIN_FEATURE_STD, 1.0 / np.maximum(std, MIN_FEATURE_STD), 0.0)


def energy_scaling(
    subsets: Sequence[AnySet], reference: Mapping[str, float], how: EnergyScaling
) -> tuple[float, float]:
    """Return scale and shift of the energy per atom.

    ``range`` maps the energies per atom to [-1, 1] as ænet does: scale = (max - min)/2,
    shift = (max + min)/2. ``std`` uses standard deviation and mean.

    Parameters
    ----------
    reference : mapping of str to float, eV
        Atomic reference energies.
    how : {"range", "std"}

    Returns
    -------
    tuple of float
        energy_scale, eV, and energy_shift, eV per atom.
    """
    per_atom = np.concatenate(
        [(energies_of(s) - sum(reference[symbol] for symbol in s.species)) / s.n_atoms for s in subsets]
    )
    if how == "range":
        scale, shift = np.ptp(per_atom) / 2.0, (per_atom.max() + per_atom.min()) / 2.0
    else:
        scale, shift = per_atom.std(), per_atom.mean()
    # one structure, or equal energies: nothing to scale by
    return (float(scale) if scale > 1e-12 else 1.0), float(shift)
