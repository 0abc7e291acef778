"""Products with the descriptor Jacobian of structures with the same atoms: stored, or recomputed.

The selected force components of a structure are linear in the gradients g of its atomic energies by the
scaled features, F = -Jᵀ g with J = ∂G̃/∂R; so are the six components of its virial, with J = ∂G̃/∂ε in the axes
of `known_components`, which come behind them. `force_targets` decides which components.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import MANY, ChebyshevBasis, jvp, linearise
from aenet_gpr_cli.descriptors.chebyshev.strain import (
    VOIGT,
    known_components,
    six_components,
    strain_jacobians,
)
from aenet_gpr_cli.descriptors.interface.neighbour_list import NeighbourList, neighbour_list
from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet


class ForceOperator(Protocol):
    """Products with -J of the selected components of the structures of one subset.

    Atoms are in the order of species of the basis, then of site.
    """

    def contract(self, rows: Tensor, gradients: Tensor) -> Tensor:
        """Return forces (n_batch, n_members, n_components) of gradients (n_batch, n_members, n_atoms · F)."""
        ...

    def expand(self, rows: Tensor, cotangents: Tensor) -> Tensor:
        """Return the transposed product, (n_batch, n_members, n_atoms · F)."""
        ...

    def dense(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return -Jᵀ, (n, n_components, n_atoms · F), and where in it the structures are."""
        ...


@dataclass(frozen=True, slots=True)
class StoredJacobian:
    """Dense -Jᵀ, shape (n_structures, n_components, n_atoms · n_features)."""

    matrix: Tensor

    def contract(self, rows: Tensor, gradients: Tensor) -> Tensor:
        """Multiply by -Jᵀ; see `ForceOperator`."""
        return self._products(rows, gradients, True)

    def expand(self, rows: Tensor, cotangents: Tensor) -> Tensor:
        """Multiply by -J; see `ForceOperator`."""
        return self._products(rows, cotangents, False)

    def dense(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return -Jᵀ; see `ForceOperator`."""
        return self.matrix, rows

    def _products(self, rows: Tensor, left: Tensor, transposed: bool) -> Tensor:
        """Return left[i] matrix[rows[i]], or with the matrix transposed."""
        if left.device.type != "cpu":
            matrices = self.matrix[rows]
            return torch.bmm(left, matrices.transpose(1, 2) if transposed else matrices)
        # One small product per structure: gathering the matrices first would double the traffic; numpy's BLAS
        # is up to twice as fast as torch's where one side of the result is short.
        result = left.new_empty(*left.shape[:2], self.matrix.shape[1 if transposed else 2])
        matrix = self.matrix.numpy()
        for a, i, out in zip(left.numpy(), rows.tolist(), result.numpy(), strict=True):
            np.dot(a, matrix[i].T if transposed else matrix[i], out=out)
        return result


@dataclass(frozen=True, slots=True)
class RecomputedJacobian:
    """Products with -J made from the positions each time, without storing it; with virials where asked."""

    basis: ChebyshevBasis
    structures: StructureSet
    components: IntArray
    order: IntArray
    scale: FloatArray
    like: Tensor
    virials: bool = False

    @property
    def width(self) -> int:
        """Number of components of a structure."""
        return self.components.shape[1] + (len(VOIGT) if self.virials else 0)

    def contract(self, rows: Tensor, gradients: Tensor) -> Tensor:
        """Multiply by -Jᵀ; see `ForceOperator`."""
        local = rows.cpu().numpy()
        n, members = gradients.shape[:2]
        atoms, width = self.scale.shape
        sorted_atoms = gradients.cpu().double().numpy().reshape(n, members, atoms, width) * self.scale
        cotangents = np.empty_like(sorted_atoms)
        cotangents[:, :, self.order] = sorted_atoms
        flat = np.ascontiguousarray(cotangents.transpose(1, 0, 2, 3)).reshape(members, n * atoms, width)
        environments = linearise(
            self.basis, self._species(n), self._neighbours(local), gradients=members >= MANY
        )
        grad, strain = environments.vjp(flat, self.virials)
        grad = grad.reshape(members, n, 3 * atoms).transpose(1, 0, 2)
        picked = np.take_along_axis(grad, self.components[local][:, None, :], axis=2)
        if self.virials:
            of_strain, turns = six_components(strain), self._turns(local)
            if turns is not None:
                of_strain = np.einsum("nab,mnb->mna", turns, of_strain)
            picked = np.concatenate([picked, of_strain.transpose(1, 0, 2)], axis=2)
        return torch.as_tensor(-picked, dtype=self.like.dtype, device=self.like.device)

    def expand(self, rows: Tensor, cotangents: Tensor) -> Tensor:
        """Multiply by -J; see `ForceOperator`."""
        local = rows.cpu().numpy()
        n, members = cotangents.shape[:2]
        atoms, width = self.scale.shape
        given, n_forces = -cotangents.cpu().double().numpy(), self.components.shape[1]
        tangents = np.zeros((n, members, 3 * atoms))
        index = np.broadcast_to(self.components[local][:, None, :], (n, members, n_forces))
        np.put_along_axis(tangents, index, given[:, :, :n_forces], axis=2)
        flat = np.ascontiguousarray(tangents.transpose(1, 0, 2)).reshape(members, n * atoms, 3)
        species, neighbours = self._species(n), self._neighbours(local)
        rate = jvp(self.basis, species, neighbours, flat).reshape(members, n, atoms, width)
        if self.virials:
            strained = strain_jacobians(self.basis, species, neighbours).reshape(n, 1, atoms, -1, width)
            of_strain, turns = given[:, :, n_forces:], self._turns(local)
            if turns is not None:
                of_strain = of_strain @ turns
            rate += np.einsum("nmk,nzakf->mnaf", of_strain, strained)
        rate = rate[:, :, self.order] * self.scale
        result = np.ascontiguousarray(rate.transpose(1, 0, 2, 3)).reshape(n, members, -1)
        return torch.as_tensor(result, dtype=self.like.dtype, device=self.like.device)

    def dense(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return -Jᵀ; see `ForceOperator`."""
        n, width = len(rows), self.width
        unit = torch.eye(width, dtype=torch.float64).expand(n, width, width)
        return self.expand(rows, unit), torch.arange(n, device=rows.device)

    def _turns(self, local: IntArray) -> FloatArray | None:
        return known_components(self.structures.select(local))[1]

    def _species(self, n: int) -> IntArray:
        return np.tile(self.basis.species_index(self.structures.species), n)

    def _neighbours(self, local: IntArray) -> NeighbourList:
        part = self.structures.select(local)
        return neighbour_list(part.positions, part.cells, part.pbc, self.basis.cutoff)
