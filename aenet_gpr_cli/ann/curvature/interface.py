"""JᵀJ of a linearisation, and what is asked of it: solutions with a damping, and what the rows determine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from aenet_gpr_cli.ann.curvature.damped_solver import Factor


@dataclass(frozen=True, slots=True)
class Determined:
    """How many weights the rows determine, tr (JᵀJ + damping)⁻¹ JᵀJ; NaN for a member without a solution.

    Attributes
    ----------
    by_group : tensor of shape (n_members, n_groups)
        Weights of each group.
    by_kind : tensor of shape (n_kinds, n_members)
        By the rows of each kind.
    """

    by_group: Tensor
    by_kind: Tensor


class Solver(Protocol):
    """Solves (JᵀJ + damping) x = y."""

    def solve(self, right: Tensor) -> Tensor:
        """Return x for y, both (n_members, n_weights); zeros for a member without a solution."""


class Curvature(Protocol):
    """JᵀJ of several members.

    Dampings are tensors of shape (n_members, n_weights), positive, alike within a group of weights where rows
    are held.
    """

    @property
    def losses(self) -> Tensor:
        """ρᵀρ of the rows of each kind, (n_kinds, n_members)."""

    @property
    def diagonal(self) -> Tensor:
        """The diagonal, (n_members, n_weights)."""

    def solver(self, damping: Tensor) -> Solver:
        """Factorise JᵀJ + damping; the last solver must not be used further."""

    def determined(self, damping: Tensor) -> Determined:
        """Return what the rows determine beside a damping; the last solver must not be used further."""

    def factor(self, damping: Tensor) -> Factor:
        """Return the Cholesky factor of JᵀJ + damping; the last solver must not be used further."""
