"""Reference forces for direct force training, and what connects them to the networks.

Owns their places in a batch; which components are taken is `force_selection`'s, the products with the
descriptor Jacobian are `force_operators`'. Energies are in units of energy_scale here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.ann.data.batches import Batch, TensorData
from aenet_gpr_cli.ann.data.jacobian_products import ForceOperator, RecomputedJacobian, StoredJacobian
from aenet_gpr_cli.ann.data.normalisation import Normalization
from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.structures import IntArray, StructureSet

BLOCK_MEMORY = 2**20  # bytes of the Jacobians that are made at a time, at least one structure


@dataclass(frozen=True, slots=True)
class ForceSettings:
    """Which forces are trained on.

    Attributes
    ----------
    fraction : float
        Of the forces, 0 to 1; 0 is energy-only training.
    select : {"structures", "components"}
        Draw whole structures (as ænet does), or the same number of force components of every structure.
    jacobian_memory : int, bytes
        Store the descriptor Jacobian of all structures if it fits, else recompute it.
    """

    fraction: float
    select: Literal["structures", "components"]
    jacobian_memory: int


@dataclass(frozen=True, slots=True)
class ForceSubset:
    """The selected forces of one subset.

    ``slot`` maps the structures of the subset to the rows of ``targets``, -1 where none was selected;
    ``counts`` are the atoms of each species.
    """

    first: int
    last: int
    slot: Tensor
    counts: list[int]
    targets: Tensor
    operator: ForceOperator


@dataclass(frozen=True, slots=True)
class BatchForces:
    """Which structures of a batch have selected forces: (subset, positions in the batch, rows).

    ``weights`` of shape (n_members or 1, n_components).
    """

    parts: list[tuple[ForceSubset, Tensor, Tensor]]
    targets: Tensor
    weights: Tensor


class ForceData:
    """Selected reference forces of a training set, and the products that connect them to the networks.

    Parameters
    ----------
    data : TrainingSet
    chosen : list of (structures, components)
        Of `select_components`.
    basis : ChebyshevBasis
    norm : Normalization
    memory : int, bytes
        Store the Jacobians if they fit.
    dtype : torch.dtype
    device : str
    """

    def __init__(
        self,
        data: TrainingSet,
        chosen: Sequence[tuple[IntArray, IntArray]],
        basis: ChebyshevBasis,
        norm: Normalization,
        memory: int,
        dtype: torch.dtype,
        device: str,
    ) -> None:
        item = torch.empty(0, dtype=dtype).element_size()
        need = sum(
            c.size * s.n_atoms * basis.n_features * item
            for s, (_, c) in zip(data.subsets, chosen, strict=True)
        )
        self.stored = need <= memory
        self.n_features = basis.n_features
        self.subsets: list[ForceSubset] = []
        first = 0
        for subset, (structures, components) in zip(data.subsets, chosen, strict=True):
            if len(structures):
                assert isinstance(subset, StructureSet)  # only those have forces
                self.subsets.append(
                    self._subset(subset, structures, components, first, basis, norm, dtype, device)
                )
            first += len(subset)

    def _subset(
        self,
        subset: StructureSet,
        structures: IntArray,
        components: IntArray,
        first: int,
        basis: ChebyshevBasis,
        norm: Normalization,
        dtype: torch.dtype,
        device: str,
    ) -> ForceSubset:
        kinds = basis.species_index(subset.species)
        order = np.argsort(kinds, kind="stable")
        scale = np.array([norm.feature_scale(subset.species[i]) for i in order])
        part = subset.select(structures)
        assert part.forces is not None  # select_components passes over structures without
        operator: ForceOperator = RecomputedJacobian(basis, part, components, order, scale, dtype, device)
        if self.stored:
            shape = (len(part), components.shape[1], subset.n_atoms * basis.n_features)
            matrix = torch.empty(shape, dtype=dtype, device=device)
            block = max(1, BLOCK_MEMORY // (8 * shape[1] * shape[2]))
            for start in range(0, len(part), block):
                rows = torch.arange(start, min(start + block, len(part)), device=device)
                matrix[rows] = operator.dense(rows)[0]
            operator = StoredJacobian(matrix)
        targets = np.take_along_axis(part.forces.reshape(len(part), -1), components, axis=1)
        slot = np.full(len(subset), -1)
        slot[structures] = np.arange(len(structures))
        return ForceSubset(
            first=first,
            last=first + len(subset),
            slot=torch.as_tensor(slot, device=device),
            counts=np.bincount(kinds, minlength=len(basis.species)).tolist(),
            targets=torch.as_tensor(targets / norm.energy_scale, dtype=dtype, device=device),
            operator=operator,
        )

    def total_weight(self, data: TensorData, index: Tensor) -> Tensor:
        """Return the sum of the weights of the selected components of the structures ``index``.

        Parameters
        ----------
        data : TensorData
        index : tensor of int

        Returns
        -------
        tensor of shape (n_members or 1,)
        """
        total = data.weights.new_zeros(len(data.weights))
        for subset in self.subsets:
            inside = index[(index >= subset.first) & (index < subset.last)]
            chosen = inside[subset.slot[inside - subset.first] >= 0]
            total = total + data.weights[:, chosen].sum(1) * subset.targets.shape[1]
        return total

    def batch(self, batch: Batch) -> BatchForces:
        """Find the selected forces of a batch.

        Parameters
        ----------
        batch : Batch
            With ascending structure numbers.

        Returns
        -------
        BatchForces
        """
        parts, targets, weights = [], [], []
        for subset in self.subsets:
            inside = torch.nonzero((batch.index >= subset.first) & (batch.index < subset.last))[:, 0]
            slots = subset.slot[batch.index[inside] - subset.first]
            inside, slots = inside[slots >= 0], slots[slots >= 0]
            if len(inside):
                target = subset.targets[slots]
                parts.append((subset, inside, slots))
                targets.append(target.reshape(-1))
                weights.append(batch.weights[:, inside].repeat_interleave(target.shape[1], dim=1))
        nothing = batch.weights[:, :0]
        return BatchForces(parts, torch.cat([nothing[0], *targets]), torch.cat([nothing, *weights], dim=1))

    def contract(self, batch: Batch, forces: BatchForces, gradients: list[Tensor]) -> Tensor:
        """Return the selected forces of the members.

        Parameters
        ----------
        batch : Batch
        forces : BatchForces
        gradients : list of tensors of shape (n_members, n_atoms, n_features)
            Per species, derivative of the atomic energy by the scaled features.

        Returns
        -------
        tensor of shape (n_members, n_components)
            Like ``forces.targets``, in units of energy_scale/Å.
        """
        members = len(gradients[0])
        result = []
        for subset, inside, slots in forces.parts:
            n, width = len(inside), self.n_features
            stacked = gradients[0].new_empty(n, members, sum(subset.counts) * width)
            start = 0
            for g, count, atoms in zip(
                gradients, subset.counts, self._atoms(batch, subset, inside), strict=True
            ):
                own = g if atoms is None else g[:, atoms]
                part = stacked[:, :, start : start + count * width]
                part.copy_(own.view(members, n, count * width).transpose(0, 1))
                start += count * width
            result.append(subset.operator.contract(slots, stacked).transpose(0, 1).reshape(members, -1))
        return torch.cat(result, dim=1)

    def expand(
        self, batch: Batch, forces: BatchForces, cotangents: Tensor, like: list[Tensor]
    ) -> list[Tensor]:
        """Return the directions in feature space, -J · cotangents.

        Parameters
        ----------
        batch : Batch
        forces : BatchForces
        cotangents : tensor of shape (n_members, n_components)
        like : list of tensors of shape (n_members, n_atoms, n_features)
            Shapes of the result, per species.

        Returns
        -------
        list of tensors of shape (n_members, n_atoms, n_features)
        """
        members, start = len(cotangents), 0
        result = [torch.empty(0)] * len(like)
        for subset, inside, slots in forces.parts:
            width = subset.targets.shape[1]
            block = cotangents[:, start : start + len(inside) * width].view(members, len(inside), width)
            start += len(inside) * width
            rates = subset.operator.expand(slots, block.transpose(0, 1).contiguous()).transpose(0, 1)
            pieces = rates.split([c * self.n_features for c in subset.counts], dim=2)
            for s, (piece, atoms) in enumerate(zip(pieces, self._atoms(batch, subset, inside), strict=True)):
                own = piece.reshape(members, -1, self.n_features)
                if atoms is None:
                    result[s] = own
                else:
                    result[s] = result[s] if result[s].ndim > 1 else torch.zeros_like(like[s])
                    result[s][:, atoms] = own
        return result

    @staticmethod
    def _atoms(batch: Batch, subset: ForceSubset, inside: Tensor) -> list[Tensor | None]:
        """Return, per species, the rows of the batch's atoms that belong to ``inside``; None for all."""
        if len(inside) == len(batch.index):
            return [None] * len(subset.counts)
        result: list[Tensor | None] = []
        for count, counts in zip(subset.counts, batch.counts, strict=True):
            starts = (counts.cumsum(0) - counts)[inside]
            result.append((starts[:, None] + torch.arange(count, device=starts.device)[None, :]).reshape(-1))
        return result
