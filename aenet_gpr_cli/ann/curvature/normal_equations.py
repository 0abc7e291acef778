"""JᵀJ and Jᵀρ of the mean-square loss, accumulated in blocks of structures.

ρ are the weighted residuals, loss = ρᵀρ, and J = ∂ρ/∂W has one row per energy, component of a force
and component of a virial.
Sums over the rows of one kind (`loss_terms.KINDS`) add up to those over all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.ann.curvature.damped_solver import add_square
from aenet_gpr_cli.ann.curvature.jacobian_numba import compiled_rows
from aenet_gpr_cli.ann.curvature.jacobian_torch import tensor_rows
from aenet_gpr_cli.ann.execution.portions import Pieces
from aenet_gpr_cli.ann.execution.workspace import Workspace
from aenet_gpr_cli.ann.loss.objective import Objective
from aenet_gpr_cli.ann.network.backend import CompiledPasses

RowsOfKinds = list[tuple[int, Tensor | slice]]
ROWS = 2048  # rows of J held at a time, per member: enough for full speed of the product


@dataclass(frozen=True, slots=True)
class ByKind:
    """JᵀJ and ρᵀρ of the rows of each kind.

    Attributes
    ----------
    kinds : tuple of int
        Numbers in `loss_terms.KINDS` of those that have rows.
    matrices : tensor of shape (n_kinds, n_members, n_weights, n_weights)
        The lower triangle; zeros above it.
    losses : tensor of shape (n_kinds, n_members)
    """

    kinds: tuple[int, ...]
    matrices: Tensor
    losses: Tensor

    @classmethod
    def zeros(cls, kinds: Sequence[int], flat: Tensor, room: Workspace | None = None) -> ByKind:
        """Return sums that have not begun, of members with weights ``flat``, (n_members, n_weights).

        A workspace holds them until the next.
        """
        members, width = flat.shape
        shape = (len(kinds), members, width, width)
        matrices = (room or Workspace()).array("sums by kind", flat, *shape).zero_()
        return cls(tuple(kinds), matrices, flat.new_zeros(len(kinds), members))


def normal_equations(
    objective: Objective,
    flat: Tensor,
    train: Tensor,
    apart: ByKind | None = None,
    room: Workspace | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return JᵀJ, Jᵀρ and the loss ρᵀρ of each member, over all processes.

    Parameters
    ----------
    objective : Objective
        With mean-square loss.
    flat : tensor of shape (n_members, n_weights)
    train : tensor of int, ascending
        Structures.
    apart : ByKind, optional
        Zeros, to which JᵀJ and ρᵀρ are added by the kind of row.
    room : Workspace, optional
        Holds JᵀJ until the next.

    Returns
    -------
    tuple of tensors of shape (n_members, n_weights, n_weights), (n_members, n_weights), (n_members,)
        Of JᵀJ the lower triangle only; of a single kind it is that of ``apart``.
    """
    room = room or Workspace()
    members = len(flat)
    sums = apart or ByKind.zeros((0,), flat, room)
    matrices, losses, place = sums.matrices, sums.losses, {kind: i for i, kind in enumerate(sums.kinds)}
    gradient = torch.zeros_like(flat)
    # compiled rows gain nothing from being together, and skip what has no weight for a member
    single = isinstance(objective.passes, CompiledPasses)
    for chosen in np.split(np.arange(members), members if single else 1):
        part = slice(int(chosen[0]), int(chosen[-1]) + 1)
        squares = [_Square(matrix[part], room, f"waiting {i}") for i, matrix in enumerate(matrices)]
        for kinds, rows, residuals in blocks_of_rows(objective.for_members(chosen), flat[part], train, room):
            for kind, which in [(0, slice(None))] if apart is None else kinds:
                squares[place[kind]].add(rows[:, which])
                losses[place[kind], part] += residuals[:, which].square().sum(1)
            gradient[part] += torch.bmm(residuals[:, None, :], rows)[:, 0]
        for square in squares:
            square.finish()
    for total in (matrices, gradient, losses):
        objective.processes.add(total)
    total = matrices[0]
    if len(matrices) > 1:
        total = torch.sum(matrices, 0, out=room.array("sum", total, *total.shape))
    return total, gradient, losses.sum(0)


class _Square:
    """Adds the lower triangle of rowsᵀ rows to matrices, (n_members, n_weights, n_weights).

    The rows of small blocks wait until there are `ROWS` of them: a product passes through a whole matrix,
    which with few rows takes longer than the arithmetic.
    """

    def __init__(self, matrix: Tensor, room: Workspace, name: str) -> None:
        self.matrix, self.room, self.name = matrix, room, name
        self.waiting, self.n_waiting = matrix.new_empty(len(matrix), 0, 0), 0

    def add(self, rows: Tensor) -> None:
        """Add rows, (n_members, n_rows, n_weights), which may be overwritten afterwards."""
        n = rows.shape[1]
        if self.n_waiting + n > ROWS:
            self.finish()
        if n > ROWS // 2:
            self._multiply(rows)
        elif n:
            if not self.waiting.numel():
                self.waiting = self.room.array(self.name, rows, len(rows), ROWS, rows.shape[2])
            self.waiting[:, self.n_waiting : self.n_waiting + n] = rows
            self.n_waiting += n

    def finish(self) -> None:
        """Add what waits."""
        if self.n_waiting:
            self._multiply(self.waiting[:, : self.n_waiting])
        self.n_waiting = 0

    def _multiply(self, rows: Tensor) -> None:
        if self.matrix.device.type != "cpu":
            self.matrix += torch.bmm(rows.transpose(1, 2), rows).tril()
            return
        for square, block in zip(self.matrix.numpy(), rows.numpy(), strict=True):
            add_square(square, block)


def weighted_rows(objective: Objective, flat: Tensor, train: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield blocks of J and ρ of the structures held here; ρᵀρ over all blocks and processes is the loss.

    Yields
    ------
    tuple of tensors of shape (n_members, n_rows, n_weights), (n_members, n_rows)
        Energies first, then force components and virial, structure by structure.
    """
    for _, rows, residuals in blocks_of_rows(objective, flat, train):
        yield rows, residuals


def blocks_of_rows(
    objective: Objective, flat: Tensor, train: Tensor, room: Workspace | None = None
) -> Iterator[tuple[RowsOfKinds, Tensor, Tensor]]:
    """Yield rows and residuals of structures, all references or all copies, and which are of which kind.

    With a workspace rows are there until the next.

    Yields
    ------
    tuple of list and of tensors of shape (n_members, n_rows, n_weights), (n_members, n_rows)
        Of pairs: the number in `loss_terms.KINDS`, and which rows.
    """
    shares = objective.shares(train)
    compiled = isinstance(objective.passes, CompiledPasses)
    make = partial(compiled_rows, room=room) if compiled else tensor_rows

    def evaluate(some: Tensor) -> tuple[RowsOfKinds, Tensor, Tensor]:
        batch = objective.weighted_batch(some, shares)
        kinds = batch.rows_of_kinds(int(some[0]) >= objective.data.n_references)
        return (kinds, *make(objective, flat, batch))

    pieces = Pieces(ROWS)
    for block in _blocks(objective, objective.data.here(train)):
        for _, found in pieces.evaluate(block, evaluate):
            yield found


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
