"""Reference forces and virials that are trained on: which, where they are in a batch, what they weigh.

The products with the descriptor Jacobian are `jacobian_products`'. Energies are in units of energy_scale.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.ann.data.batches import Batch, TensorData
from aenet_gpr_cli.ann.data.jacobian_products import ForceOperator, RecomputedJacobian, StoredJacobian
from aenet_gpr_cli.ann.data.normalisation import Normalisation
from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.training_settings import Loss
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.descriptors.chebyshev.strain import known_components, six_components
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.lattice import volumes
from aenet_gpr_cli.structures import AnySet, FloatArray, IntArray, StructureSet

BLOCK_MEMORY = 2**20  # bytes of the Jacobians that are made at a time, at least one structure

Choice = tuple[IntArray, IntArray]  # structures of a subset, and their components 3·atom + axis


def force_components(data: TrainingSet) -> int:
    """Return the number of force components of structures with two atoms or more."""
    several = [s for s in data.subsets if s.forces is not None and s.n_atoms > 1]
    return sum(3 * len(s) * s.n_atoms for s in several)


def select_components(
    data: TrainingSet, indices: IntArray, loss: Loss, seed: int, n_weights: int
) -> list[Choice]:
    """Choose the force components to train on, seeded: none of one atom, zero whatever the energy.

    Parameters
    ----------
    indices : ndarray of int
        Structures to draw from; those without forces are passed over.
    loss : Loss
        Its keys force_fraction and force_selection.
    n_weights : int
        Of one network, on which the share depends where it is auto.

    Returns
    -------
    list of (structures, components)
        Per subset, the structures that have forces, shape (n,), and their components, shape (n, R),
        ascending; component 3·atom + axis.

    Raises
    ------
    InputError
        If no structure has forces.
    """
    share, stream = loss.share_of_forces(force_components(data), n_weights), np.random.default_rng([seed, 1])
    ends = np.cumsum([len(s) for s in data.subsets])
    known = [
        np.sort(indices[(indices >= end - len(s)) & (indices < end)]) - (end - len(s))
        if s.forces is not None
        else np.empty(0, int)
        for s, end in zip(data.subsets, ends, strict=True)
    ]
    total = sum(len(k) for k in known)
    if total == 0:
        raise InputError("training on forces: expected forces in the reference structures, got none")
    if loss.force_selection == "structures":
        chosen = np.zeros(total, bool)
        chosen[stream.permutation(total)[: max(1, round(share * total))]] = True
        splits = np.split(chosen, np.cumsum([len(k) for k in known])[:-1])
        known = [k[mask] for k, mask in zip(known, splits, strict=True)]
    result = []
    for structures, subset in zip(known, data.subsets, strict=True):
        width = 3 * subset.n_atoms
        take = max(1, round(share * width)) if loss.force_selection == "components" else width
        if subset.n_atoms == 1:
            take = 0
        keys = stream.random((len(structures), width))
        result.append((structures, np.sort(np.argsort(keys, axis=1)[:, :take], axis=1)))
    return result


def held_here(data: TrainingSet, chosen: Sequence[Choice], own: IntArray) -> list[Choice]:
    """Return the part of a choice that is held here, numbered as in ``data.select(own)``."""
    result, start = [], 0
    for subset, (structures, components) in zip(data.subsets, chosen, strict=True):
        local = own[(own >= start) & (own < start + len(subset))] - start
        place = np.full(len(subset), -1)
        place[local] = np.arange(len(local))
        order = np.argsort(place[structures], kind="stable")
        order = order[place[structures][order] >= 0]
        result.append((place[structures][order], components[order]))
        start += len(subset)
    return result


def _virials(subset: AnySet, choice: Choice, loss: Loss) -> FloatArray | None:
    """Return the virials -V σ of chosen structures, (n, 6), eV; None without any.

    NaN where not known, and for components of slabs out of their plane, see `known_components`.
    """
    if loss.beta == 0.0 or not len(choice[0]):
        return None
    part = subset.select(choice[0]).in_memory()
    volume = volumes(part)
    if volume is None or part.stress is None or np.isnan(part.stress).all():
        return None
    virials = -volume[:, None] * six_components(part.stress)
    known, turns = known_components(part)
    if turns is not None:
        virials = np.einsum("nab,nb->na", turns, virials)
    return np.where(known, virials, np.nan)


@dataclass(frozen=True, slots=True)
class ForceSubset:
    """The selected forces of one subset, and behind them the virials of its structures.

    ``slot`` maps the structures of the subset to the rows of ``targets``, -1 where none was selected;
    ``counts`` are the atoms of each species; ``n_forces`` of the components are forces. ``known`` of shape
    (n_structures, n_virials): the factor on a virial's square, 0 where the stress is not known.
    """

    first: int
    last: int
    slot: Tensor
    counts: list[int]
    targets: Tensor
    operator: ForceOperator
    n_forces: int
    known: Tensor


@dataclass(frozen=True, slots=True)
class BatchForces:
    """Which structures of a batch have selected forces: (subset, positions in the batch, rows).

    ``weights`` and ``virial_weights`` of shape (n_members or 1, n_components), each 0 for the other kind.
    """

    parts: list[tuple[ForceSubset, Tensor, Tensor]]
    targets: Tensor
    weights: Tensor
    virial_weights: Tensor


class ForceData:
    """Selected reference forces of a training set, and the products that connect them to the networks.

    Parameters
    ----------
    chosen : list of (structures, components)
        Of `select_components`.
    memory : float, bytes
        Store the Jacobians if they fit.
    loss : Loss
        Virials are taken where its key beta is above 0 and a stress is known.
    like : tensor
        Of the dtype and on the device of the training.
    """

    def __init__(
        self,
        data: TrainingSet,
        chosen: Sequence[Choice],
        basis: ChebyshevBasis,
        norm: Normalisation,
        memory: float,
        loss: Loss,
        like: Tensor,
    ) -> None:
        virials = [_virials(s, c, loss) for s, c in zip(data.subsets, chosen, strict=True)]
        components = sum(
            (c.size + (0 if v is None else v.size)) * s.n_atoms
            for s, (_, c), v in zip(data.subsets, chosen, virials, strict=True)
        )
        self.divisor = loss.per
        size = components * basis.n_features * like.element_size()
        self.stored = size <= memory
        self.n_bytes = size if self.stored else 0
        self.n_features = basis.n_features
        self.subsets: list[ForceSubset] = []
        self._numbers = like.new_zeros(2, len(data))  # of force components and known virials
        first = 0
        for subset, choice, own in zip(data.subsets, chosen, virials, strict=True):
            if choice[1].size or own is not None:
                assert isinstance(subset, StructureSet)  # only those have forces
                self.subsets.append(self._subset(subset, choice, own, first, basis, norm, like))
                self._count(self.subsets[-1])
            first += len(subset)

    def _subset(
        self,
        subset: StructureSet,
        choice: Choice,
        virials: FloatArray | None,
        first: int,
        basis: ChebyshevBasis,
        norm: Normalisation,
        like: Tensor,
    ) -> ForceSubset:
        structures, components = choice
        kinds = basis.species_index(subset.species)
        order = np.argsort(kinds, kind="stable")
        scale = np.array([norm.feature_scale(subset.species[i]) for i in order])
        part = subset.select(structures)
        assert part.forces is not None  # select_components passes over structures without
        operator: ForceOperator = RecomputedJacobian(
            basis, part, components, order, scale, like, virials is not None
        )
        targets = np.take_along_axis(part.forces.reshape(len(part), -1), components, axis=1)
        if virials is not None:
            targets = np.concatenate([targets, np.nan_to_num(virials)], axis=1)
        if self.stored:
            matrix = like.new_empty(len(part), targets.shape[1], subset.n_atoms * basis.n_features)
            block = max(1, BLOCK_MEMORY // (8 * matrix[0].numel()))
            for start in range(0, len(part), block):
                rows = torch.arange(start, min(start + block, len(part)), device=like.device)
                matrix[rows] = operator.dense(rows)[0]
            operator = StoredJacobian(matrix)
        known = np.zeros((len(part), 0)) if virials is None else ~np.isnan(virials)
        if self.divisor == "atom":
            known = known / subset.n_atoms**2
        slot = np.full(len(subset), -1)
        slot[structures] = np.arange(len(structures))
        return ForceSubset(
            first=first,
            last=first + len(subset),
            slot=torch.as_tensor(slot, device=like.device),
            counts=np.bincount(kinds, minlength=len(basis.species)).tolist(),
            targets=torch.as_tensor(targets / norm.energy_scale, dtype=like.dtype, device=like.device),
            operator=operator,
            n_forces=components.shape[1],
            known=torch.as_tensor(known, dtype=like.dtype, device=like.device),
        )

    def _count(self, subset: ForceSubset) -> None:
        chosen = subset.slot >= 0
        numbers = self._numbers[:, subset.first : subset.last]
        numbers[0, chosen] = float(subset.n_forces)
        numbers[1, chosen] = (subset.known[subset.slot[chosen]] > 0).sum(1).to(numbers.dtype)

    def total_weights(self, data: TensorData, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the summed weights (n_members or 1,) of the selected components, and of known virials'."""
        totals = data.weights[:, index] @ self._numbers[:, index].T.to(data.weights.dtype)
        return totals[:, 0], totals[:, 1]

    def batch(self, batch: Batch) -> BatchForces:
        """Find the selected forces of a batch, whose structure numbers ascend."""
        parts, targets, weights, virial_weights = [], [], [], []
        touched = self._touched(batch.index)
        ends = batch.index.new_tensor([[subset.first, subset.last] for subset in touched])
        for subset, (a, b) in zip(touched, torch.searchsorted(batch.index, ends).tolist(), strict=True):
            slots = subset.slot[batch.index[a:b] - subset.first]
            inside = a + torch.nonzero(slots >= 0)[:, 0]
            slots = slots[inside - a]
            if len(inside):
                target = subset.targets[slots]
                parts.append((subset, inside, slots))
                targets.append(target.reshape(-1))
                own = batch.weights[:, inside, None]
                known = subset.known[slots]
                weights.append(
                    torch.cat([own.expand(-1, -1, subset.n_forces), own * 0.0 * known], 2).flatten(1)
                )
                nothing = own.new_zeros(*own.shape[:2], subset.n_forces)
                virial_weights.append(torch.cat([nothing, own * known], 2).flatten(1))
        empty = batch.weights[:, :0]
        return BatchForces(
            parts,
            torch.cat([empty[0], *targets]),
            torch.cat([empty, *weights], dim=1),
            torch.cat([empty, *virial_weights], dim=1),
        )

    def _touched(self, index: Tensor) -> list[ForceSubset]:
        """Return the subsets between the first and the last of the structures: few of many, in a batch."""
        if not len(index):
            return []
        first = bisect_right(self.subsets, int(index.min()), key=lambda subset: subset.last)
        last = bisect_right(self.subsets, int(index.max()), key=lambda subset: subset.first)
        return self.subsets[first:last]

    def contract(self, batch: Batch, forces: BatchForces, gradients: list[Tensor]) -> Tensor:
        """Return the selected forces of the members.

        Parameters
        ----------
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
