"""Rows of J = ∂ρ/∂W by tensor operations: any device and activation, all members at once.

In closed form: sums over the atoms of a structure of delta · inputᵀ, as batched products; `jacobian_numba`
does the same faster for tanh networks on a CPU.
Index letters: m member, b structure, c atom of one species, r force component, h, k units, f feature.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aenet_gpr_cli.ann.data.batches import Batch
from aenet_gpr_cli.ann.loss.loss_terms import SelectedForces, WeightedBatch
from aenet_gpr_cli.ann.loss.objective import Objective, sum_species
from aenet_gpr_cli.ann.network.tensor_passes import Pass, backward, forward

Linearised = list[tuple[Pass, list[Tensor]]]  # of each species: a pass, and its `backward` with unit weight


def tensor_rows(objective: Objective, flat: Tensor, given: WeightedBatch) -> tuple[Tensor, Tensor]:
    """Return the rows of J and ρ of a batch, energies first.

    Parameters
    ----------
    flat : tensor of shape (n_members, n_weights)

    Returns
    -------
    tuple of tensors of shape (n_members, n_rows, n_weights), (n_members, n_rows)
    """
    batch, root = given.batch, given.energy_root
    linearised = _linearise(objective, flat, batch)
    residuals = [(sum_species(batch, [state.output for state, _ in linearised]) - batch.energies) * root]
    rows = [_energy_rows(objective, flat, batch, linearised).mul_(root[..., None])]
    if given.forces is not None:
        root = given.forces.root
        more, errors = _force_rows(objective, flat, batch, linearised, given.forces)
        rows.append(more.mul_(root[..., None]).flatten(1, 2))
        residuals.append((errors * root).flatten(1, 2))
    return torch.cat(rows, dim=1), torch.cat(residuals, dim=1)


def _linearise(objective: Objective, flat: Tensor, batch: Batch) -> Linearised:
    order = 1 if objective.forces is None else 2
    found = []
    for weights, x in zip(objective.architecture.split(flat), batch.features, strict=True):
        state = forward(weights, x, objective.architecture.activation, order)
        found.append((state, backward(weights, state, torch.ones_like(state.output))))
    return found


def _energy_rows(objective: Objective, flat: Tensor, batch: Batch, linearised: Linearised) -> Tensor:
    """Return the derivatives of the energies by the weights, (n_members, n_batch, n_weights)."""
    size = len(batch.index)
    out = flat.new_zeros(len(flat), size, flat.shape[1])
    for (state, deltas), targets in zip(linearised, objective.architecture.split(out), strict=True):
        atoms = state.output.shape[1] // size
        if not atoms:  # the rows are zero already
            continue
        x = state.inputs[0].view(size, atoms, -1)
        for layer, (delta, target) in enumerate(zip(deltas, targets, strict=True)):
            delta = delta.unflatten(2, (size, atoms))
            if layer == 0:
                target.copy_(torch.einsum("mhbc,bck->mbhk", delta, x))
            else:
                value = state.inputs[layer].unflatten(2, (size, atoms))
                target[..., :-1] = torch.einsum("mhbc,mkbc->mbhk", delta, value)
                target[..., -1] = delta.sum(3).transpose(1, 2)
    return out


def _force_rows(
    objective: Objective, flat: Tensor, batch: Batch, linearised: Linearised, given: SelectedForces
) -> tuple[Tensor, Tensor]:
    """Return the derivatives of the selected force components by the weights, and the errors.

    A force component is the rate of the energy along the direction -∂G̃/∂R (see `force_gradient`). Shapes
    (n_members, n, n_components, n_weights) and (n_members, n, n_components).
    """
    subset, inside = given.subset, given.inside
    assert objective.forces is not None  # or nothing would be selected
    matrices, places = subset.operator.dense(given.slots)
    matrices = matrices[places]
    force = flat.new_zeros(len(flat), len(inside), subset.targets.shape[1])
    rows = flat.new_zeros(*force.shape, flat.shape[1])
    split, start = objective.architecture.split, 0
    parts = zip(split(flat), linearised, split(rows), subset.counts, strict=True)
    for layers, (state, deltas), targets, atoms in parts:
        if not atoms:
            continue
        stop = start + atoms * objective.forces.n_features
        direction = matrices[:, :, start:stop].unflatten(2, (atoms, -1))
        start = stop
        shape = (len(batch.index), atoms)
        first, second, values, sensitivities = (
            [a.unflatten(2, shape)[:, :, inside] for a in arrays]
            for arrays in (state.first, state.second, state.inputs[1:], deltas)
        )
        x = state.inputs[0].view(*shape, -1)[inside]
        chosen = Pass([x, *values], first, second, state.output)
        force += _add_force_rows(layers, chosen, sensitivities, direction, targets)
    return rows, force - subset.targets[given.slots]


def _add_force_rows(
    layers: list[Tensor], state: Pass, sensitivity: list[Tensor], direction: Tensor, targets: list[Tensor]
) -> Tensor:
    """Write the rows of one species; return its part of the force, (m, b, r)."""
    rates = [torch.einsum("mhf,brcf->mhbcr", layers[0][:, :, :-1], direction)]
    inputs = []
    for layer, slope in zip(layers[1:], state.first, strict=True):
        inputs.append(slope[..., None] * rates[-1])
        rates.append(torch.einsum("mhk,mkbcr->mhbcr", layer[:, :, :-1], inputs[-1]))
    targets[0][..., :-1] = torch.einsum("mhbc,brcf->mbrhf", sensitivity[0], direction)
    delta: Tensor | None = None
    for index in range(len(layers) - 1, 0, -1):
        targets[index][..., :-1] = torch.einsum("mhbc,mkbcr->mbrhk", sensitivity[index], inputs[index - 1])
        back = layers[index][:, :, :-1]
        bend = torch.einsum("mhk,mhbc->mkbc", back, sensitivity[index]) * state.second[index - 1]
        if delta is not None:
            targets[index][..., :-1] += torch.einsum("mhbcr,mkbc->mbrhk", delta, state.inputs[index])
            targets[index][..., -1] = delta.sum(3).permute(0, 2, 3, 1)
        pulled = bend[..., None] * rates[index - 1]
        if delta is not None:
            pulled += torch.einsum("mhk,mhbcr->mkbcr", back, delta) * state.first[index - 1][..., None]
        delta = pulled
    if delta is not None:
        targets[0] += torch.einsum("mhbcr,bck->mbrhk", delta, state.inputs[0])
    return rates[-1][:, 0].sum(2)
