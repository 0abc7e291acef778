"""Solutions of (JᵀJ + damping) x = y for several members: by LAPACK on a CPU, else by torch.

LAPACK is scipy's, called so that other threads run meanwhile: scipy's own wrappers hold Python's lock. These
calls change arrays in place. A row-major matrix is its transpose in Fortran's eyes: the upper triangle of a
column-major one is the lower triangle here, and factors are L with A = L Lᵀ.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import cython_blas, cython_lapack
from torch import Tensor

from aenet_gpr_cli.jit import loop
from aenet_gpr_cli.structures import FloatArray


@dataclass(frozen=True, slots=True)
class Factor:
    """Cholesky factors, one per member; None, or infinite, where the matrix was not positive definite."""

    arrays: list[FloatArray | None]
    tensor: Tensor | None
    width: int

    def solve(self, right: Tensor) -> Tensor:
        """Return the solutions (n_members, n_weights) for right sides of this shape.

        Zeros for a member without a factor, so that its damping grows.
        """
        if self.tensor is not None:
            return torch.cholesky_solve(right[:, :, None], self.tensor)[:, :, 0].nan_to_num_(0.0, 0.0, 0.0)
        result = right.contiguous().clone()
        for factor, values in zip(self.arrays, result.numpy(), strict=True):
            if factor is None:
                values[:] = 0.0
            else:
                lapack_solve(factor, values)
        return result

    def inverse_diagonal(self) -> Tensor:
        """Return the diagonal of the inverse, (n_members, n_weights); not finite without a factor.

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
                lapack_invert(inverse)
                row[:] = 0.0
                _add_squares(inverse, row)
        return torch.from_numpy(rows)

    def inverse(self) -> Tensor:
        """Return the lower triangle of the inverse, in (n_members, n_weights, n_weights).

        Not finite without a factor. Time: 2/3 n_weights³ multiplications per member.
        """
        if self.tensor is not None:
            return torch.cholesky_inverse(self.tensor)
        whole = np.full((len(self.arrays), self.width, self.width), np.nan)
        for factor, square in zip(self.arrays, whole, strict=True):
            if factor is not None:
                square[:] = factor
                lapack_inverse_of(square)
        return torch.from_numpy(whole)


def factorise(matrix: Tensor, damping: Tensor) -> Factor:
    """Factorise JᵀJ + diag(damping).

    Parameters
    ----------
    matrix : tensor of shape (n_members, n_weights, n_weights)
        Only the lower triangles are read.
    damping : tensor of shape (n_members, n_weights)

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
        arrays.append(damped if lapack_factorise(damped) else None)
    return Factor(arrays, None, matrix.shape[1])


def _routine(name: str, n_arguments: int) -> Callable[..., None]:
    """Return a routine of LAPACK or BLAS; all arguments are pointers."""
    tables = cython_lapack.__pyx_capi__ | cython_blas.__pyx_capi__
    capsule = ctypes.py_object(tables[name])
    get_name, get = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address = get(capsule, get_name(capsule))
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * n_arguments)(address)


_dpotrf, _dpotrs, _dpotri = _routine("dpotrf", 5), _routine("dpotrs", 8), _routine("dpotri", 5)
_dtrtri, _dsyrk = _routine("dtrtri", 6), _routine("dsyrk", 10)


def _integer(value: int) -> ctypes.c_void_p:
    return ctypes.cast(ctypes.pointer(ctypes.c_int(value)), ctypes.c_void_p)


def _check(square: FloatArray) -> int:
    n = len(square)
    if square.shape != (n, n) or square.dtype != np.float64 or not square.flags.c_contiguous:
        raise ValueError(f"expected a row-major square matrix of float64, got {square.shape} {square.dtype}")
    return n


def add_square(square: FloatArray, rows: FloatArray) -> None:
    """Add the lower triangle of rowsᵀ rows, ``rows`` row-major (n_rows, n), to a square matrix."""
    n, one = _integer(_check(square)), ctypes.byref(ctypes.c_double(1.0))
    if rows.shape[1:] != (len(square),) or rows.dtype != np.float64 or not rows.flags.c_contiguous:
        raise ValueError(f"expected float64 of {len(square)} columns, got {rows.shape} {rows.dtype}")
    _dsyrk(b"U", b"N", n, _integer(len(rows)), one, rows.ctypes.data, n, one, square.ctypes.data, n)


@loop
def _add_squares(lower: FloatArray, out: FloatArray) -> None:
    """Add the squares of each column of a lower triangle to out."""
    for i in range(len(lower)):
        row, target = lower[i, : i + 1], out[: i + 1]
        for j in range(len(row)):
            target[j] += row[j] * row[j]


def lapack_factorise(square: FloatArray) -> bool:
    """Replace the lower triangle of A by L; return False, the array used up, if A is not positive definite.

    What is above the diagonal is neither read nor changed; so in all four.
    """
    n, info = _integer(_check(square)), ctypes.c_int()
    _dpotrf(b"U", n, square.ctypes.data, n, ctypes.byref(info))
    return info.value == 0


def lapack_solve(factor: FloatArray, right: FloatArray) -> None:
    """Replace b, contiguous, by the solution of L Lᵀ x = b."""
    width, info = _check(factor), ctypes.c_int()
    if right.shape != (width,) or right.dtype != np.float64 or not right.flags.c_contiguous:
        raise ValueError(f"expected a vector of {width} float64, got {right.shape} {right.dtype}")
    n, one = _integer(width), _integer(1)
    _dpotrs(b"U", n, one, factor.ctypes.data, n, right.ctypes.data, n, ctypes.byref(info))


def lapack_inverse_of(factor: FloatArray) -> None:
    """Replace L by the lower triangle of (L Lᵀ)⁻¹."""
    n, info = _integer(_check(factor)), ctypes.c_int()
    _dpotri(b"U", n, factor.ctypes.data, n, ctypes.byref(info))


def lapack_invert(factor: FloatArray) -> None:
    """Replace L by its inverse."""
    n, info = _integer(_check(factor)), ctypes.c_int()
    _dtrtri(b"U", b"N", n, factor.ctypes.data, n, ctypes.byref(info))
