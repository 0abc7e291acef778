"""JᵀJ and Jᵀρ of the mean-square loss, accumulated in blocks of structures.

ρ are the weighted residuals, loss = ρᵀρ, and J = ∂ρ/∂W has one row per energy and one per force
component, in closed form: sums over the atoms of a structure of delta · inputᵀ, as batched products.
Index letters: m member, b structure, c atom of one species, r force component, h, k units, f feature.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from scipy.linalg.blas import dsyrk
from torch import Tensor

from aenet_gpr_cli.ann import network, parallel
from aenet_gpr_cli.ann.dataset import Batch
from aenet_gpr_cli.ann.forces import BatchForces, ForceSubset
from aenet_gpr_cli.ann.network import Pass
from aenet_gpr_cli.ann.objective import Objective, sum_species

ROWS = 2048  # rows of J held at a time, per member: enough for full speed of the product


def normal_equations(objective: Objective, flat: Tensor, train: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return JᵀJ, Jᵀρ and the loss ρᵀρ of each member.

    Parameters
    ----------
    objective : Objective
        With mean-square loss.
    flat : tensor of shape (n_members, n_weights)
    train : tensor of int, ascending
        Structures.

    Returns
    -------
    tuple of tensors of shape (n_members, n_weights, n_weights), (n_members, n_weights), (n_members,)
    """
    members, width = flat.shape
    matrix, gradient = flat.new_zeros(members, width, width), flat.new_zeros(members, width)
    loss = flat.new_zeros(members)
    for rows, residuals in weighted_rows(objective, flat, train):
        _add_square(matrix, rows)
        gradient += torch.bmm(residuals[:, None, :], rows)[:, 0]
        loss += residuals.square().sum(1)
    for total in (matrix, gradient, loss):
        parallel.add(total)
    return matrix + matrix.tril(-1).transpose(1, 2), gradient, loss


def _add_square(matrix: Tensor, rows: Tensor) -> None:
    """Add the lower triangle of rowsᵀ rows."""
    if matrix.device.type != "cpu":
        matrix += torch.bmm(rows.transpose(1, 2), rows).tril()
        return
    for square, block in zip(matrix.numpy(), rows.numpy(), strict=True):
        # half the work of a product; in Fortran's eyes both arrays are transposed, so the upper triangle
        # of Cᵀ is the lower one of C
        dsyrk(1.0, block.T, beta=1.0, c=square.T, overwrite_c=1, lower=0)


def weighted_rows(objective: Objective, flat: Tensor, train: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield blocks of J and ρ of the structures held here; ρᵀρ over all blocks and processes is the loss.

    Parameters
    ----------
    objective : Objective
    flat : tensor of shape (n_members, n_weights)
    train : tensor of int, ascending

    Yields
    ------
    tuple of tensors of shape (n_members, n_rows, n_weights), (n_members, n_rows)
    """
    forces = objective.forces
    energy_share, force_share = objective.shares(train)
    for block in _blocks(objective, objective.data.here(train)):
        batch = objective.data.batch(block)
        states, sensitivities = _linearise(objective, flat, batch)
        root = (energy_share * batch.weights).sqrt() / objective.loss.divisor(batch.n_atoms)
        residuals = (sum_species(batch, [s.output for s in states]) - batch.energies) * root
        rows = flat.new_zeros(len(flat), len(block), flat.shape[1])
        energy_rows(objective, batch, states, sensitivities, rows)
        yield rows.mul_(root[..., None]), residuals
        found = forces.batch(batch) if forces is not None else BatchForces([], residuals, residuals)
        for subset, inside, slots in found.parts:
            rows, residuals = _force_rows(
                objective, flat, batch, states, sensitivities, subset, inside, slots
            )
            root = (force_share * batch.weights[:, inside]).sqrt()[..., None]
            yield (
                rows.mul_(root[..., None]).flatten(1, 2),
                (residuals * root).flatten(1, 2),
            )


def _blocks(objective: Objective, train: Tensor) -> Iterator[Tensor]:
    """Yield structures with the same atoms, few enough to bound the number of rows."""
    widths = {s.first: s.targets.shape[1] for s in objective.forces.subsets} if objective.forces else {}
    for first, last in objective.data.groups:
        inside = train[(train >= first) & (train < last)]
        if len(inside):
            yield from inside.split(max(1, ROWS // max(1, widths.get(first, 0))))


def _linearise(objective: Objective, flat: Tensor, batch: Batch) -> tuple[list[Pass], list[list[Tensor]]]:
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


def _force_rows(
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
    Shapes (n_members, n_batch, n_components, n_weights) and (n_members, n_batch, n_components).
    """
    size, components = len(batch.index), subset.targets.shape[1]
    matrices = subset.operator.matrices(slots)
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
