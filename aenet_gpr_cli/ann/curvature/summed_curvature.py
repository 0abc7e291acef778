"""JᵀJ of a linearisation with fewer weights than rows, summed over the rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aenet_gpr_cli.ann.curvature.damped_solver import Factor, factorise, trace_of_product
from aenet_gpr_cli.ann.curvature.interface import Determined
from aenet_gpr_cli.ann.curvature.normal_equations import ByKind
from aenet_gpr_cli.ann.execution.workspace import Workspace


@dataclass(frozen=True, slots=True)
class SummedCurvature:
    """JᵀJ as a matrix, with that of each kind of row where there are several.

    Attributes
    ----------
    matrix : tensor of shape (n_members, n_weights, n_weights)
        The lower triangle.
    apart : ByKind
    places : tensor of int, shape (n_weights,)
        Group of each weight.
    room : Workspace
    """

    matrix: Tensor
    apart: ByKind
    places: Tensor
    room: Workspace

    @property
    def losses(self) -> Tensor:
        """ρᵀρ of the rows of each kind, (n_kinds, n_members)."""
        return self.apart.losses

    @property
    def diagonal(self) -> Tensor:
        """The diagonal, (n_members, n_weights)."""
        return self.matrix.diagonal(dim1=1, dim2=2)

    def solver(self, damping: Tensor) -> Factor:
        """Factorise JᵀJ + damping; see `damped_solver.factorise`."""
        return self.factor(damping)

    def factor(self, damping: Tensor) -> Factor:
        """Factorise JᵀJ + damping; see `damped_solver.factorise`."""
        return factorise(self.matrix, damping, self.room)

    def determined(self, damping: Tensor) -> Determined:
        """Return what the rows determine; by an inverse of the whole matrix where there are several kinds."""
        factor = self.factor(damping)
        if len(self.apart.kinds) == 1:
            diagonal = factor.inverse_diagonal()
            of_kinds = (1.0 - damping * diagonal).sum(1)[None]
        else:
            inverse = factor.inverse()
            diagonal = inverse.diagonal(dim1=1, dim2=2)
            of_kinds = torch.stack([trace_of_product(inverse, one) for one in self.apart.matrices])
        n_groups = int(self.places.max()) + 1
        zero = damping.new_zeros(len(damping), n_groups)
        return Determined(
            zero.scatter_add(1, self.places.expand(len(damping), -1), 1.0 - damping * diagonal), of_kinds
        )
