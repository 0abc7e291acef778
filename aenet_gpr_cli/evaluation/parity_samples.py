"""Predicted against reference values, sample by sample: what parity plots show.

Owns the choice of samples and their zero of energy; drawing belongs to the figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.evaluation.error_sums import angles, forces_tell
from aenet_gpr_cli.reference_energies import energies_by_counts
from aenet_gpr_cli.structures import FloatArray

LOWEST = "above lowest"  # reference energy of the subset
ATOMS = "above fitted atoms"  # energies of atoms, fitted to the compositions of the test structures
FEW = 3  # structures of a subset on average: with fewer their lowest hides what they differ in


def zeros_of(species: Sequence[Sequence[str]], energies: Sequence[FloatArray]) -> tuple[list[float], str]:
    """Return from where energies of each subset count, and how it is called.

    Parameters
    ----------
    species : sequence of sequence of str
        Atoms of each subset.
    energies : sequence of ndarray of shape (n_structures,), eV
        Reference energies of each subset.

    Returns
    -------
    list of float, eV
        The lowest of each; of compositions with few structures each, the least squares of energies of atoms.
    str
        `LOWEST` or `ATOMS`.
    """
    n_structures, kinds = sum(map(len, energies)), sorted({s for atoms in species for s in atoms})
    counts = np.array([[list(atoms).count(kind) for kind in kinds] for atoms in species], float)
    if n_structures >= FEW * len(energies) or n_structures <= len(kinds):
        return [float(values.min()) for values in energies], LOWEST
    sizes = np.array([len(values) for values in energies], float)
    means = np.array([values.mean() for values in energies])
    return list(counts @ energies_by_counts(counts, means, sizes)), ATOMS


@dataclass(frozen=True, slots=True)
class ParitySamples:
    """Energies of structures and forces on atoms, predicted by the committee mean and by the reference.

    Attributes
    ----------
    reference_energies, predicted_energies : ndarray of shape (n_structures,), eV
        From ``zero`` on.
    reference_norms, predicted_norms : ndarray of shape (n_atoms_in_total,), eV/Å
        ‖F‖ of every atom.
    direction_errors : ndarray of shape (n_atoms_in_total,), degrees
        Angle between predicted and reference force; NaN where the reference force is too small.
    reference_pressures, predicted_pressures : ndarray of shape (n_structures_with_stress,), GPa
        Empty where there is no stress.
    zero : str
        `LOWEST` or `ATOMS`, the zero of the energies.
    """

    reference_energies: FloatArray
    predicted_energies: FloatArray
    reference_norms: FloatArray
    predicted_norms: FloatArray
    direction_errors: FloatArray
    reference_pressures: FloatArray = field(default_factory=lambda: np.zeros(0))
    predicted_pressures: FloatArray = field(default_factory=lambda: np.zeros(0))
    zero: str = LOWEST


def parity_samples(
    reference_energies: FloatArray,
    energies: FloatArray,
    reference_forces: FloatArray | None,
    forces: FloatArray | None,
    smallest_force: float = 0.0,
    zero: tuple[float, str] | None = None,
) -> ParitySamples:
    """Pair predictions of one subset with the reference.

    Parameters
    ----------
    reference_energies : ndarray of shape (n_structures,), eV
    energies : ndarray of shape (n_members, n_structures), eV
    reference_forces : ndarray of shape (n_structures, n_atoms, 3), eV/Å, or None
    forces : ndarray of shape (n_members, n_structures, n_atoms, 3), eV/Å, or None
    smallest_force : float, eV/Å
        Reference forces must be larger for their direction to be compared.
    zero : float and str, eV, optional
        From where energies count, and how it is called; default: the lowest of the reference.

    Returns
    -------
    ParitySamples
        Without force samples where one of the two forces is missing, or forces tell nothing.
    """
    start, called = zero or (float(reference_energies.min()), LOWEST)
    if reference_forces is None or forces is None or not forces_tell(reference_forces.shape[1]):
        reference = mean = np.zeros((0, 3))
    else:
        reference = reference_forces.reshape(-1, 3)
        mean = forces.mean(axis=0).reshape(-1, 3)
    norms = np.linalg.norm(reference, axis=1)
    return ParitySamples(
        reference_energies - start,
        energies.mean(axis=0) - start,
        norms,
        np.linalg.norm(mean, axis=1),
        np.where(norms > smallest_force, angles(mean, reference), np.nan),
        zero=called,
    )


def join_samples(parts: Iterable[ParitySamples]) -> ParitySamples:
    """Put the samples of several subsets together.

    Raises
    ------
    InputError
        If there is none.
    """
    items = list(parts)
    if not items:
        raise InputError("parity samples: expected at least one subset, got none")
    arrays = [f.name for f in fields(ParitySamples) if f.name != "zero"]
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(item, name) for item in items]) for name in arrays
    }
    return replace(items[0], **joined)
