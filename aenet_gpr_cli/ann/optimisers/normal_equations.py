"""JᵀJ and Jᵀρ of the mean-square loss, accumulated in blocks of structures.

ρ are the weighted residuals, loss = ρᵀρ, and J = ∂ρ/∂W has one row per energy and one per force component.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.ann.data.batches import Batch
from aenet_gpr_cli.ann.data.force_targets import ForceSubset
from aenet_gpr_cli.ann.execution import distributed as parallel
from aenet_gpr_cli.ann.execution.halving import Pieces
from aenet_gpr_cli.ann.loss.objective import Objective, sum_species
from aenet_gpr_cli.ann.network.backend import CompiledPasses, first_weight
from aenet_gpr_cli.ann.optimisers import jacobian_numba as compiled_rows
from aenet_gpr_cli.ann.optimisers import jacobian_torch as tensor_rows

ROWS = 2048  # rows of J held at a time, per member: enough for full speed of the product


def normal_equations(objective: Objective, flat: Tensor, train: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return JᵀJ, Jᵀρ and the loss ρᵀρ of each member, over all processes.

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
        Of JᵀJ the lower triangle only.
    """
    members, width = flat.shape
    matrix, gradient = flat.new_zeros(members, width, width), flat.new_zeros(members, width)
    loss = flat.new_zeros(members)
    # compiled rows gain nothing from being together, and skip what has no weight for a member
    single = isinstance(objective.passes, CompiledPasses)
    for chosen in np.split(np.arange(members), members if single else 1):
        part = slice(int(chosen[0]), int(chosen[-1]) + 1)
        for rows, residuals in weighted_rows(objective.for_members(chosen), flat[part], train):
            _add_square(matrix[part], rows)
            gradient[part] += torch.bmm(residuals[:, None, :], rows)[:, 0]
            loss[part] += residuals.square().sum(1)
    for total in (matrix, gradient, loss):
        parallel.add(total)
    return matrix, gradient, loss


def _add_square(matrix: Tensor, rows: Tensor) -> None:
    """Add the lower triangle of rowsᵀ rows."""
    if matrix.device.type != "cpu":
        matrix += torch.bmm(rows.transpose(1, 2), rows).tril()
        return
    for square, block in zip(matrix.numpy(), rows.numpy(), strict=True):
        square += block.T @ block  # numpy takes half the work of a product, and lets other threads run


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
        Energies first, then force components, structure by structure.
    """
    energy_share, force_share = objective.shares(train)
    make = _compiled_rows if isinstance(objective.passes, CompiledPasses) else _tensor_rows

    def evaluate(some: Tensor) -> tuple[Tensor, Tensor]:
        batch = objective.data.batch(some)
        energy_root = (energy_share * batch.weights).sqrt() / objective.loss.divisor(batch.n_atoms)
        found = objective.forces.batch(batch).parts if objective.forces is not None else []
        if not found:
            return make(objective, flat, batch, energy_root, None)
        subset, inside, slots = found[0]  # structures with the same atoms: one subset
        force_root = (force_share * batch.weights[:, inside]).sqrt()
        return make(objective, flat, batch, energy_root, (subset, inside, slots, force_root))

    pieces = Pieces(ROWS)
    for block in _blocks(objective, objective.data.here(train)):
        for _, rows_and_residuals in pieces.evaluate(block, evaluate):
            yield rows_and_residuals


_Forces = tuple[ForceSubset, Tensor, Tensor, Tensor]  # with the places in the batch, the rows, the roots


def _blocks(objective: Objective, here: Tensor) -> Iterator[Tensor]:
    """Yield structures with the same atoms, few enough to bound the number of rows."""
    weights = objective.data.weights
    if len(weights) == 1 and not bool((weights > 0).all()):
        here = here[weights[0, here] > 0]
    widths = {s.first: s.targets.shape[1] for s in objective.forces.subsets} if objective.forces else {}
    for first, last in objective.data.groups:
        inside = here[(here >= first) & (here < last)]
        if len(inside):
            yield from inside.split(max(1, ROWS // (1 + widths.get(first, 0))))


def _tensor_rows(
    objective: Objective, flat: Tensor, batch: Batch, energy_root: Tensor, forces: _Forces | None
) -> tuple[Tensor, Tensor]:
    states, sensitivities = tensor_rows.linearise(objective, flat, batch)
    residuals = [(sum_species(batch, [s.output for s in states]) - batch.energies) * energy_root]
    energy = flat.new_zeros(len(flat), len(batch.index), flat.shape[1])
    tensor_rows.energy_rows(objective, batch, states, sensitivities, energy)
    rows = [energy.mul_(energy_root[..., None])]
    if forces is not None:
        subset, inside, slots, root = forces
        more, errors = tensor_rows.force_rows(
            objective, flat, batch, states, sensitivities, subset, inside, slots
        )
        rows.append(more.mul_(root[..., None, None]).flatten(1, 2))
        residuals.append((errors * root[..., None]).flatten(1, 2))
    return torch.cat(rows, dim=1), torch.cat(residuals, dim=1)


def _compiled_rows(
    objective: Objective, flat: Tensor, batch: Batch, energy_root: Tensor, forces: _Forces | None
) -> tuple[Tensor, Tensor]:
    members, n, width = len(flat), len(batch.index), flat.shape[1]
    shape = (0, 0) if forces is None else (len(forces[1]), forces[0].targets.shape[1])
    rows = flat.new_empty(members, n + shape[0] * shape[1], width)
    force = flat.new_zeros(members, *shape)
    outputs, first = [], 0
    if forces is not None:
        subset, inside, slots, root = forces
        matrices, places = subset.operator.dense(slots)
    for s, features in enumerate(batch.features):
        state = objective.passes.forward(flat, s, features, 1)
        slopes = objective.passes.sensitivities(flat, s, state)
        outputs.append(state.output)
        atoms = len(features) // n
        for m in range(members):
            values = tuple(value[m].numpy() for value in state.inputs[1:])
            slope = tuple(delta[m].numpy() for delta in slopes)
            place, sizes = first_weight(objective.architecture, s)
            factors = energy_root.expand(members, -1)[m].contiguous().numpy()
            given = (sizes, features.numpy(), values, slope, atoms)
            compiled_rows.energy_rows(place, *given, factors, rows[m, :n].numpy())
            if forces is not None:
                compiled_rows.force_rows(
                    flat[m].numpy(),
                    place,
                    *given,
                    inside.numpy(),
                    matrices.numpy(),
                    places.numpy(),
                    first,
                    root.expand(members, -1)[m].contiguous().numpy(),
                    rows[m, n:].view(*shape, width).numpy(),
                    force[m].numpy(),
                )
        first += atoms * objective.architecture.n_features
    residuals = [(sum_species(batch, outputs) - batch.energies) * energy_root]
    if forces is not None:
        residuals.append(((force - subset.targets[slots]) * root[..., None]).flatten(1, 2))
    return rows, torch.cat(residuals, dim=1)
