"""Errors of training structures that were left out of a fit of either kind, and their comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from aenet_gpr_cli.structures import FloatArray, IntArray

COMPARED = 30  # structures of a subset that are left out: means to a tenth or so


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Errors of structures, each predicted from all others of the fit.

    Attributes
    ----------
    energy_errors : ndarray of shape (n,), eV
    force_errors : ndarray of shape (n_components,), eV/Å
        Empty where no forces are known.
    energy_z, force_z : ndarray of the same shapes, dimensionless
        Errors over the standard deviation that the process gives them, noise included.
    stress_errors : ndarray of shape (6 n_structures_with_stress,), eV/Å³
        Of xx, yy, zz, yz, xz, xy; empty for full processes.
    stress_z : ndarray of the same shape, dimensionless
        Empty where no virials were trained on, too: their noise is not known.
    """

    energy_errors: FloatArray
    force_errors: FloatArray
    energy_z: FloatArray
    force_z: FloatArray
    stress_errors: FloatArray = field(default_factory=lambda: np.zeros(0))
    stress_z: FloatArray = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def joined(cls, parts: Sequence[LeftOut]) -> LeftOut:
        """Put those of several subsets together."""
        names = [entry.name for entry in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @property
    def energy_mae(self) -> float:
        """Mean absolute error of the energies, eV."""
        return float(np.abs(self.energy_errors).mean())

    @property
    def force_mae(self) -> float:
        """Mean absolute error of the force components, eV/Å; NaN without forces."""
        return float(np.abs(self.force_errors).mean()) if len(self.force_errors) else np.nan

    @property
    def stress_mae(self) -> float:
        """Mean absolute error of the components of the stress, eV/Å³; NaN without any."""
        return float(np.abs(self.stress_errors).mean()) if len(self.stress_errors) else np.nan


def ratio(first: LeftOut, second: LeftOut) -> float:
    """Return how large the errors of the first are, in those of the second.

    Geometric mean of the ratios of both mean absolute errors, so that energies and forces count alike and no
    unit matters. Of the energies alone where forces are not known.

    Returns
    -------
    float, dimensionless
        Below 1 the first one is better.
    """
    tiny = np.finfo(float).tiny
    energies = max(first.energy_mae, tiny) / max(second.energy_mae, tiny)
    if not (len(first.force_errors) and len(second.force_errors)):
        return energies
    return float(np.sqrt(energies * max(first.force_mae, tiny) / max(second.force_mae, tiny)))


def chosen_to_leave_out(n_structures: int, seed: int, number: int = COMPARED) -> IntArray:
    """Return which structures of a subset are left out, the same for every process, ascending."""
    order = np.random.default_rng([seed, 6]).permutation(n_structures)
    return np.sort(order[:number])
