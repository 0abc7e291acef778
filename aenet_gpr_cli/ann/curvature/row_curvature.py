"""JᵀJ of a linearisation with fewer rows than weights, held by the rows of J.

With A diagonal and one value a in each group g of weights (a layer of a species), and K = 1 + J A⁻¹ Jᵀ,

    (JᵀJ + A)⁻¹ = A⁻¹ - A⁻¹ Jᵀ K⁻¹ J A⁻¹,   K = 1 + Σ_g G_g / a_g,   G_g = J_g J_gᵀ

(Woodbury), so that one set of products G serves all dampings and decays. What the rows determine, see
`evidence_decay` and `evidence_noise`, is tr K⁻¹G_g / a_g by group, and Σ (1 - K⁻¹_ii) over the rows i of a
kind: neither needs an inverse as large as the weights. Time grows linearly with their number, that of the
matrix JᵀJ with its cube.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aenet_gpr_cli.ann.curvature.damped_solver import (
    Factor,
    add_gram,
    add_square,
    factorise,
    lapack_factorise,
    trace_of_product,
)
from aenet_gpr_cli.ann.curvature.interface import Determined
from aenet_gpr_cli.ann.curvature.normal_equations import blocks_of_rows
from aenet_gpr_cli.ann.execution.workspace import Workspace
from aenet_gpr_cli.ann.loss.objective import Objective


@dataclass(frozen=True, slots=True)
class RowCurvature:
    """Rows of J and their products, of several members on a CPU.

    Attributes
    ----------
    rows : tensor of shape (n_members, n_rows, n_weights)
    diagonal : tensor of shape (n_members, n_weights)
        Of JᵀJ.
    kind_of_row : tensor of int, shape (n_rows,)
        Its place among the kinds.
    losses : tensor of shape (n_kinds, n_members)
        ρᵀρ of the rows of each kind.
    products : tensor of shape (n_members, n_groups, n_rows, n_rows)
        G, lower triangles; zeros above them.
    ends : tuple of int
        Where the weights of each group end.
    room : Workspace
    """

    rows: Tensor
    diagonal: Tensor
    kind_of_row: Tensor
    losses: Tensor
    products: Tensor
    ends: tuple[int, ...]
    room: Workspace

    @classmethod
    def at(
        cls,
        objective: Objective,
        flat: Tensor,
        train: Tensor,
        places: Tensor,
        kinds: tuple[int, ...],
        n_rows: int,
        room: Workspace,
    ) -> tuple[RowCurvature, Tensor]:
        """Return it with Jᵀρ; see `linearise`. There are ``n_rows`` rows, or less."""
        rows = room.array("all rows", flat, len(flat), n_rows, flat.shape[1])
        kind_of_row, residuals, end = torch.zeros(n_rows, dtype=torch.int64), [], 0
        for found, block, rho in blocks_of_rows(objective, flat, train, room):
            begin, end = end, end + block.shape[1]
            rows[:, begin:end] = block
            residuals.append(rho)
            for kind, which in found if len(kinds) > 1 else ():
                kind_of_row[begin:end][which] = kinds.index(kind)
        rows, kind_of_row, rho = rows[:, :end], kind_of_row[:end], torch.cat(residuals, 1)
        gradient = torch.bmm(rho[:, None, :], rows)[:, 0]
        losses = torch.stack([rho[:, kind_of_row == k].square().sum(1) for k in range(len(kinds))])
        ends = tuple(torch.cumsum(torch.bincount(places), 0).tolist())
        products = room.array("products", rows, len(rows), len(ends), rows.shape[1], rows.shape[1]).zero_()
        for one, grams in zip(rows.numpy(), products.numpy(), strict=True):
            for first, last, gram in zip((0, *ends), ends, grams, strict=False):
                add_gram(gram, one[:, first:last])
        diagonal = torch.linalg.vector_norm(rows, dim=1).square()
        return cls(rows, diagonal, kind_of_row, losses, products, ends, room), gradient

    def solver(self, damping: Tensor) -> RowSolver:
        """Factorise K."""
        return RowSolver(self.rows, damping, self._factor(damping))

    def _of_groups(self, damping: Tensor) -> Tensor:
        """Return the damping of each group, (n_members, n_groups)."""
        return damping[:, [end - 1 for end in self.ends]]

    def _factor(self, damping: Tensor) -> Factor:
        members, n_groups, n, _ = self.products.shape
        one = self.room.array("inner", self.rows, members, n, n)
        weights = 1.0 / self._of_groups(damping)
        torch.bmm(
            weights[:, None, :], self.products.view(members, n_groups, n * n), out=one.view(members, 1, -1)
        )
        return factorise(one, damping.new_ones(members, n), self.room)

    def determined(self, damping: Tensor) -> Determined:
        """Return what the rows determine."""
        inverse = self._factor(damping).inverse()
        traces = [trace_of_product(inverse, gram) for gram in self.products.unbind(1)]
        by_group = torch.stack(traces, dim=1) / self._of_groups(damping)
        of_row = 1.0 - inverse.diagonal(dim1=1, dim2=2)
        by_kind = [of_row[:, self.kind_of_row == kind].sum(1) for kind in range(len(self.losses))]
        return Determined(by_group, torch.stack(by_kind))

    def factor(self, damping: Tensor) -> Factor:
        """Return the Cholesky factor of JᵀJ + damping, a matrix of all weights."""
        members, _, width = self.rows.shape
        matrix = self.room.array("sum", self.rows, members, width, width).zero_()
        for square, rows in zip(matrix.numpy(), self.rows.numpy(), strict=True):
            add_square(square, rows)
        matrix.diagonal(dim1=1, dim2=2).add_(damping)
        return Factor(matrix, [lapack_factorise(square) for square in matrix.numpy()])  # no second matrix


@dataclass(frozen=True, slots=True)
class RowSolver:
    """Solves (JᵀJ + damping) x = y by the factor of K; see `RowCurvature`."""

    rows: Tensor
    damping: Tensor
    inner: Factor

    def solve(self, right: Tensor) -> Tensor:
        """Return x for y, both (n_members, n_weights); zeros for a member without a factor.

        Once refined: what the damping leaves of y along well determined weights is a difference.
        """
        found = self._once(right)
        rest = right - self.damping * found - self._back(self._ahead(found))
        return found + self._once(rest)

    def _once(self, right: Tensor) -> Tensor:
        scaled = right / self.damping
        found = scaled - self._back(self.inner.solve(self._ahead(scaled))) / self.damping
        for member, known in enumerate(self.inner.found):
            if not known:
                found[member] = 0.0
        return found

    def _ahead(self, vector: Tensor) -> Tensor:
        return torch.bmm(self.rows, vector[:, :, None])[:, :, 0]

    def _back(self, vector: Tensor) -> Tensor:
        return torch.bmm(vector[:, None, :], self.rows)[:, 0]
