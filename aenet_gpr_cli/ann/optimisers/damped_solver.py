"""Solutions of (JᵀJ + damping) x = y for several members: by LAPACK on a CPU, else by torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.ann.optimisers import lapack
from aenet_gpr_cli.structures import FloatArray


@dataclass(frozen=True, slots=True)
class Factor:
    """Cholesky factors, one per member; None, or infinite, where the matrix was not positive definite."""

    arrays: list[FloatArray | None]
    tensor: Tensor | None
    width: int

    def solve(self, right: Tensor) -> Tensor:
        """Return the solutions; zeros for a member without a factor, so that its damping grows.

        Parameters
        ----------
        right : tensor of shape (n_members, n_weights)

        Returns
        -------
        tensor of shape (n_members, n_weights)
        """
        if self.tensor is not None:
            return torch.cholesky_solve(right[:, :, None], self.tensor)[:, :, 0].nan_to_num_(0.0, 0.0, 0.0)
        result = right.contiguous().clone()
        for factor, values in zip(self.arrays, result.numpy(), strict=True):
            if factor is None:
                values[:] = 0.0
            else:
                lapack.solve(factor, values)
        return result

    def inverse_diagonal(self) -> Tensor:
        """Return the diagonal of the inverse; not finite for a member without a factor.

        Returns
        -------
        tensor of shape (n_members, n_weights)

        Notes
        -----
        Time: n_weights³/3 multiplications per member.
        """
        if self.tensor is not None:
            one = torch.eye(self.width, dtype=self.tensor.dtype, device=self.tensor.device)
            inverse = torch.linalg.solve_triangular(self.tensor, one.expand_as(self.tensor), upper=False)
            return inverse.square().sum(1)
        rows = np.full((len(self.arrays), self.width), np.nan)
        for factor, row in zip(self.arrays, rows, strict=True):
            if factor is not None:  # the inverse is L⁻ᵀL⁻¹
                inverse = factor.copy()
                lapack.invert_factor(inverse)
                row[:] = np.square(np.tril(inverse)).sum(0)
        return torch.from_numpy(rows)


def factorise(matrix: Tensor, damping: Tensor) -> Factor:
    """Factorise JᵀJ + diag(damping).

    Parameters
    ----------
    matrix : tensor of shape (n_members, n_weights, n_weights)
        Only the lower triangles are read.
    damping : tensor of shape (n_members, n_weights)

    Returns
    -------
    Factor

    Notes
    -----
    Memory: one more matrix per member. Time: n_weights³/3 multiplications per member.
    """
    if matrix.device.type != "cpu":
        damped = matrix.clone()
        damped.diagonal(dim1=1, dim2=2).add_(damping)
        factor, info = torch.linalg.cholesky_ex(damped)
        return Factor([], torch.where((info == 0)[:, None, None], factor, torch.inf), matrix.shape[1])
    arrays: list[FloatArray | None] = []
    for square, diagonal in zip(matrix.numpy(), damping.numpy(), strict=True):
        damped = square.copy()
        damped[np.diag_indices_from(damped)] += diagonal
        arrays.append(damped if lapack.factorise(damped) else None)
    return Factor(arrays, None, matrix.shape[1])
