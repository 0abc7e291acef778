"""Rows of J = ∂ρ/∂W by tensor operations: any device and activation, all members at once.

In closed form: sums over the atoms of a structure of delta · inputᵀ, as batched products; `compiled_rows`
does the same faster for tanh networks on a CPU.
Index letters: m member, b structure, c atom of one species, r force component, h, k units, f feature.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aenet_gpr_cli.ann.data.batches import Batch
from aenet_gpr_cli.ann.data.force_targets import ForceSubset
from aenet_gpr_cli.ann.loss.objective import Objective
from aenet_gpr_cli.ann.network import architecture as network
from aenet_gpr_cli.ann.network.architecture import Pass


def linearise(objective: Objective, flat: Tensor, batch: Batch) -> tuple[list[Pass], list[list[Tensor]]]:
    """Return passes and sensitivities of all species.

    Parameters
    ----------
    objective : Objective
    flat : tensor of shape (n_members, n_weights)
    batch : Batch

    Returns
    -------
    tuple of list of Pass, and of list of lists of tensors of `network.backward`
    """
    order = 1 if objective.forces is None else 2
    states, sensitivities = [], []
    for weights, x in zip(objective.architecture.split(flat), batch.features, strict=True):
        states.append(network.forward(weights, x, objective.architecture.activation, order))
        sensitivities.append(network.backward(weights, states[-1], torch.ones_like(states[-1].output)))
    return states, sensitivities


def energy_rows(
    objective: Objective, batch: Batch, states: list[Pass], sensitivities: list[list[Tensor]], out: Tensor
) -> None:
    """Write the derivative of each structure's energy by the weights.

    Parameters
    ----------
    objective : Objective
    batch : Batch
        Structures with the same atoms.
    states, sensitivities : list (species) of `Pass`, and of lists of `network.backward` with unit weight
    out : tensor of shape (n_members, n_batch, n_weights)
        Zeros.
    """
    size = len(batch.index)
    for state, deltas, targets in zip(states, sensitivities, objective.architecture.split(out), strict=True):
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


def force_rows(
    objective: Objective,
    flat: Tensor,
    batch: Batch,
    states: list[Pass],
    sensitivities: list[list[Tensor]],
    subset: ForceSubset,
    inside: Tensor,
    slots: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the derivative of each selected force component by the weights, and the errors.

    A force component is the rate of the energy along the direction -∂G̃/∂R (see `network.force_gradient`).

    Parameters
    ----------
    objective : Objective
    flat : tensor of shape (n_members, n_weights)
    batch : Batch
        Structures with the same atoms.
    states, sensitivities
        Of `linearise`.
    subset : ForceSubset
    inside, slots : tensors of int
        Places in the batch of the structures with selected forces, and their rows in the subset.

    Returns
    -------
    tuple of tensors of shape (n_members, n, n_components, n_weights) and (n_members, n, n_components)
    """
    size, components = len(batch.index), subset.targets.shape[1]
    matrices, places = subset.operator.dense(slots)
    matrices = matrices[places]
    rows = flat.new_zeros(len(flat), len(inside), components, flat.shape[1])
    force = flat.new_zeros(len(flat), len(inside), components)
    start = 0
    parts = zip(
        objective.architecture.split(flat),
        states,
        sensitivities,
        objective.architecture.split(rows),
        strict=True,
    )
    for (layers, state, deltas, targets), atoms in zip(parts, subset.counts, strict=True):
        if not atoms:
            continue
        stop = start + atoms * objective.forces.n_features  # type: ignore[union-attr]
        direction = matrices[:, :, start:stop].unflatten(2, (atoms, -1))
        start = stop
        shape = (size, atoms)
        first, second, values = (
            [a.unflatten(2, shape)[:, :, inside] for a in arrays]
            for arrays in (state.first, state.second, state.inputs[1:])
        )
        sensitivity = [d.unflatten(2, shape)[:, :, inside] for d in deltas]
        x = state.inputs[0].view(size, atoms, -1)[inside]
        force += _add_force_rows(layers, first, second, values, sensitivity, x, direction, targets)
    return rows, force - subset.targets[slots]


def _add_force_rows(
    layers: list[Tensor],
    first: list[Tensor],
    second: list[Tensor],
    values: list[Tensor],
    sensitivity: list[Tensor],
    x: Tensor,
    direction: Tensor,
    targets: list[Tensor],
) -> Tensor:
    """Write the rows of one species; return its part of the force, (m, b, r)."""
    rates = [torch.einsum("mhf,brcf->mhbcr", layers[0][:, :, :-1], direction)]
    inputs = []
    for layer, slope in zip(layers[1:], first, strict=True):
        inputs.append(slope[..., None] * rates[-1])
        rates.append(torch.einsum("mhk,mkbcr->mhbcr", layer[:, :, :-1], inputs[-1]))
    targets[0][..., :-1] = torch.einsum("mhbc,brcf->mbrhf", sensitivity[0], direction)
    delta: Tensor | None = None
    for index in range(len(layers) - 1, 0, -1):
        targets[index][..., :-1] = torch.einsum("mhbc,mkbcr->mbrhk", sensitivity[index], inputs[index - 1])
        back = layers[index][:, :, :-1]
        bend = torch.einsum("mhk,mhbc->mkbc", back, sensitivity[index]) * second[index - 1]
        if delta is not None:
            targets[index][..., :-1] += torch.einsum("mhbcr,mkbc->mbrhk", delta, values[index - 1])
            targets[index][..., -1] = delta.sum(3).permute(0, 2, 3, 1)
        pulled = bend[..., None] * rates[index - 1]
        if delta is not None:
            pulled += torch.einsum("mhk,mhbcr->mkbcr", back, delta) * first[index - 1][..., None]
        delta = pulled
    if delta is not None:
        targets[0] += torch.einsum("mhbcr,bck->mbrhk", delta, x)
    return rates[-1][:, 0].sum(2)
