"""Predicted against reference values, sample by sample: what parity plots show.

Owns the choice of samples and their zero of energy; drawing belongs to the figures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.evaluation.error_sums import angles
from aenet_gpr_cli.structures import FloatArray


@dataclass(frozen=True, slots=True)
class ParitySamples:
    """Energies of structures and forces on atoms, predicted by the committee mean and by the reference.

    Attributes
    ----------
    reference_energies, predicted_energies : ndarray of shape (n_structures,), eV
        Relative to the lowest reference energy of the subset.
    reference_norms, predicted_norms : ndarray of shape (n_atoms_in_total,), eV/Å
        ‖F‖ of every atom.
    direction_errors : ndarray of shape (n_atoms_in_total,), degrees
        Angle between predicted and reference force; NaN where the reference force is too small.
    reference_pressures, predicted_pressures : ndarray of shape (n_structures_with_stress,), GPa
        Empty where there is no stress.
    """

    reference_energies: FloatArray
    predicted_energies: FloatArray
    reference_norms: FloatArray
    predicted_norms: FloatArray
    direction_errors: FloatArray
    reference_pressures: FloatArray = field(default_factory=lambda: np.zeros(0))
    predicted_pressures: FloatArray = field(default_factory=lambda: np.zeros(0))


def parity_samples(
    reference_energies: FloatArray,
    energies: FloatArray,
    reference_forces: FloatArray | None,
    forces: FloatArray | None,
    smallest_force: float = 0.0,
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

    Returns
    -------
    ParitySamples
        Without force samples where one of the two forces is missing.
    """
    lowest = reference_energies.min()
    if reference_forces is None or forces is None:
        reference = mean = np.zeros((0, 3))
    else:
        reference = reference_forces.reshape(-1, 3)
        mean = forces.mean(axis=0).reshape(-1, 3)
    norms = np.linalg.norm(reference, axis=1)
    return ParitySamples(
        reference_energies - lowest,
        energies.mean(axis=0) - lowest,
        norms,
        np.linalg.norm(mean, axis=1),
        np.where(norms > smallest_force, angles(mean, reference), np.nan),
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
    return ParitySamples(
        *(np.concatenate([getattr(item, f.name) for item in items]) for f in fields(ParitySamples))
    )
