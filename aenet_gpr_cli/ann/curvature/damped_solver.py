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

from aenet_gpr_cli.ann.execution.workspace import Workspace
from aenet_gpr_cli.jit import loop
from aenet_gpr_cli.structures import FloatArray


@dataclass(frozen=True, slots=True)
class Factor:
    """Cholesky factors, one per member.

    Attributes
    ----------
    tensor : tensor of shape (n_members, n_weights, n_weights)
        The lower triangles; what is above is finite.
    found : list of bool
        Whether the matrix of a member was positive definite.
    """

    tensor: Tensor
    found: list[bool]

    def solve(self, right: Tensor) -> Tensor:
        """Return the solutions (n_members, n_weights) for right sides of this shape.

        Zeros for a member without a factor, so that its damping grows.
        """
        if self.tensor.device.type != "cpu":
            return self._or(0.0, torch.cholesky_solve(right[:, :, None], self.tensor)[:, :, 0])
        result = right.contiguous().clone()
        for factor, values, found in zip(self.tensor.numpy(), result.numpy(), self.found, strict=True):
            if found:
                lapack_solve(factor, values)
        return self._or(0.0, result)

    def inverse_diagonal(self) -> Tensor:
        """Return the diagonal of the inverse, (n_members, n_weights); NaN without a factor.

        It uses the factor up. Time: n_weights³/3 multiplications per member.
        """
        if self.tensor.device.type != "cpu":
            one = torch.eye(self.tensor.shape[1], dtype=self.tensor.dtype, device=self.tensor.device)
            inverse = torch.linalg.solve_triangular(self.tensor, one.expand_as(self.tensor), upper=False)
            return self._or(torch.nan, inverse.square().sum(1))
        rows = self.tensor.new_zeros(self.tensor.shape[:2])
        for factor, row, found in zip(self.tensor.numpy(), rows.numpy(), self.found, strict=True):
            if found:  # the inverse is L⁻ᵀL⁻¹
                lapack_invert(factor)
                _add_squares(factor, row)
        return self._or(torch.nan, rows)

    def inverse(self) -> Tensor:
        """Return the lower triangle of the inverse, in (n_members, n_weights, n_weights).

        NaN without a factor; what is above the diagonal is finite. It takes the place of the factor.
        Time: 2/3 n_weights³ multiplications per member.
        """
        if self.tensor.device.type != "cpu":
            return self._or(torch.nan, torch.cholesky_inverse(self.tensor))
        for factor, found in zip(self.tensor.numpy(), self.found, strict=True):
            if found:
                lapack_inverse_of(factor)
        return self._or(torch.nan, self.tensor)

    def _or(self, other: float, values: Tensor) -> Tensor:
        """Return values, (n_members, …), with another one for all of a member without a factor."""
        for member, found in enumerate(self.found):
            if not found:
                values[member] = other
        return values


def factorise(matrix: Tensor, damping: Tensor, room: Workspace | None = None) -> Factor:
    """Factorise JᵀJ + diag(damping).

    Parameters
    ----------
    matrix : tensor of shape (n_members, n_weights, n_weights)
        Lower triangles; what is above is finite.
    damping : tensor of shape (n_members, n_weights)
    room : Workspace, optional
        Holds the factor until the next.

    Notes
    -----
    Memory: one more matrix per member. Time: n_weights³/3 multiplications per member.
    """
    damped = (room or Workspace()).array("factor", matrix, *matrix.shape).copy_(matrix)
    damped.diagonal(dim1=1, dim2=2).add_(damping)
    if matrix.device.type != "cpu":
        factor, info = torch.linalg.cholesky_ex(damped)
        return Factor(factor, (info == 0).tolist())
    return Factor(damped, [lapack_factorise(square) for square in damped.numpy()])


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
_dtrtri, _dsyrk, _dtrsm = _routine("dtrtri", 6), _routine("dsyrk", 10), _routine("dtrsm", 11)
WIDTH = 64  # of the blocks of a factor: measured, a fifth faster than dpotrf of the whole


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


def add_gram(square: FloatArray, columns: FloatArray) -> None:
    """Add the lower triangle of columns columnsᵀ to a square matrix.

    ``columns``, (n, any number), may be some columns of a row-major array.
    """
    n, one = _integer(_check(square)), ctypes.byref(ctypes.c_double(1.0))
    step, size = columns.strides[0] // 8, columns.shape[1]
    if len(columns) != len(square) or columns.dtype != np.float64 or columns.strides[1] != 8:
        raise ValueError(f"expected {len(square)} rows of float64, got {columns.shape} {columns.dtype}")
    given = (columns.ctypes.data, _integer(step))
    _dsyrk(b"U", b"T", n, _integer(size), one, *given, one, square.ctypes.data, n)


def trace_of_product(one: Tensor, other: Tensor) -> Tensor:
    """Return tr (one · other), (n_members,), of symmetric matrices (n_members, n, n).

    ``other`` is zero above its diagonal; of ``one`` the lower triangle counts.
    """
    n = len(one)
    product = torch.bmm(one.reshape(n, 1, -1), other.reshape(n, -1, 1))[:, 0, 0]
    return 2.0 * product - (one.diagonal(dim1=1, dim2=2) * other.diagonal(dim1=1, dim2=2)).sum(1)


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
    width, info = _check(square), ctypes.c_int()
    n, one, minus = _integer(width), ctypes.byref(ctypes.c_double(1.0)), ctypes.byref(ctypes.c_double(-1.0))
    for first in range(0, width, WIDTH):
        size, below = min(WIDTH, width - first), max(0, width - first - WIDTH)
        own, rest = _integer(size), _integer(below)
        block = square.ctypes.data + 8 * (width + 1) * first
        _dpotrf(b"U", own, block, n, ctypes.byref(info))
        if info.value or not below:
            break
        panel = block + 8 * width * size  # the rows below
        _dtrsm(b"L", b"U", b"T", b"N", own, rest, one, block, n, panel, n)
        _dsyrk(b"U", b"T", rest, own, minus, panel, n, one, panel + 8 * size, n)
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
