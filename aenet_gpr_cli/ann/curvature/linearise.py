"""JᵀJ in the form that suits it: summed where weights are few, by the rows of J where these are.

Both answer alike; time and memory go with the smaller number.
"""

from __future__ import annotations

from torch import Tensor

from aenet_gpr_cli.ann.curvature.form_costs import are_fewer, bytes_of_rows, bytes_summed
from aenet_gpr_cli.ann.curvature.interface import Curvature
from aenet_gpr_cli.ann.curvature.normal_equations import ByKind, normal_equations
from aenet_gpr_cli.ann.curvature.row_curvature import RowCurvature
from aenet_gpr_cli.ann.curvature.summed_curvature import SummedCurvature
from aenet_gpr_cli.ann.execution.workspace import Workspace
from aenet_gpr_cli.ann.loss.objective import Objective


def fewer_rows(objective: Objective, train: Tensor) -> bool:
    """Return whether to hold rows: it pays, and they are on one CPU."""
    alone = train.device.type == "cpu" and objective.processes.size == 1
    return alone and are_fewer(count_rows(objective, train), objective.architecture.n_weights)


def count_rows(objective: Objective, train: Tensor) -> int:
    """Return how many rows J has at most: a resampled member lacks those without weight."""
    forces = objective.forces.subsets if objective.forces is not None else []
    return len(train) + sum(s.targets.numel() for s in forces)


def bytes_of_member(objective: Objective, train: Tensor, n_kinds: int) -> int:
    """Return the memory of what is held for one member, with a factor."""
    shape = objective.architecture
    if not fewer_rows(objective, train):
        return bytes_summed(shape.n_weights, n_kinds)
    return bytes_of_rows(count_rows(objective, train), shape.n_weights, shape.n_layers)


def linearise(
    objective: Objective,
    flat: Tensor,
    train: Tensor,
    places: Tensor,
    kinds: tuple[int, ...] = (0,),
    by_rows: bool = False,
    room: Workspace | None = None,
) -> tuple[Curvature, Tensor]:
    """Return JᵀJ and Jᵀρ, (n_members, n_weights), of the mean-square loss.

    Parameters
    ----------
    objective : Objective
        With mean-square loss.
    flat : tensor of shape (n_members, n_weights)
    train : tensor of int, ascending
        Structures.
    places : tensor of int, shape (n_weights,)
        Group of each weight, one behind the other.
    kinds : tuple of int
        Numbers in `loss_terms.KINDS` of the kinds of rows that are told apart; one: none are.
    by_rows : bool
        See `fewer_rows`.
    room : Workspace, optional
        Holds it until the next.
    """
    room = room or Workspace()
    if by_rows:
        return RowCurvature.at(objective, flat, train, places, kinds, count_rows(objective, train), room)
    apart = ByKind.zeros(kinds, flat, room) if len(kinds) > 1 else None
    matrix, gradient, loss = normal_equations(objective, flat, train, apart, room)
    return SummedCurvature(matrix, apart or ByKind(kinds, matrix[None], loss[None]), places, room), gradient
