"""Cartesian coordinates as a global descriptor: x = R, J = 1 (the paper's choice for molecules).

Without periodicity: unwrap periodic structures before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import DescriptorProducts, Index, Linearisation
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import FloatArray


@dataclass(frozen=True, slots=True)
class _Identity:
    values: FloatArray

    def jacobian(self, index: Index) -> FloatArray:
        n, p = self.values[index].shape
        return np.tile(np.eye(p), (n, 1, 1))

    def jvp(self, tangents: FloatArray) -> FloatArray:
        return tangents.reshape(self.values.shape)

    def vjp(self, cotangents: FloatArray) -> FloatArray:
        return cotangents.reshape(len(cotangents), -1, 3)

    def select(self, index: Index) -> _Identity:
        return _Identity(self.values[index])


@dataclass(frozen=True, slots=True)
class Cartesian(DescriptorProducts):
    """Cartesian coordinates of all atoms, x = (x₁, y₁, z₁, x₂, …), Å."""

    n_atoms: int

    @property
    def name(self) -> str:
        """Name used in configurations and artefacts."""
        return "cartesian"

    @property
    def n_features(self) -> int:
        """Length of the descriptor, 3 n_atoms."""
        return 3 * self.n_atoms

    def values(self, positions: FloatArray) -> FloatArray:
        """Return the coordinates as one vector per structure.

        Returns
        -------
        ndarray of shape (n_structures, 3 * n_atoms), Å
        """
        if positions.ndim != 3 or positions.shape[1:] != (self.n_atoms, 3):
            raise InputError(f"positions: expected shape (n, {self.n_atoms}, 3), got {positions.shape}")
        return positions.reshape(len(positions), -1).astype(np.float64)

    def linearise(self, positions: FloatArray) -> Linearisation:
        """Return values and products with the unit Jacobian."""
        return _Identity(self.values(positions))
