"""Cholesky factors by scipy's LAPACK, while other threads run: scipy's own wrappers hold Python's lock.

Arrays are changed in place. A row-major matrix is its transpose in Fortran's eyes: the upper triangle of a
column-major one is the lower triangle here, and factors are L with A = L Lᵀ.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
from scipy.linalg import cython_lapack

from aenet_gpr_cli.structures import FloatArray


def _routine(name: str, n_arguments: int) -> Callable[..., None]:
    """Return a routine of LAPACK; all arguments are pointers."""
    capsule = ctypes.py_object(cython_lapack.__pyx_capi__[name])
    get_name, get = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address = get(capsule, get_name(capsule))
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * n_arguments)(address)


_dpotrf, _dpotrs, _dtrtri = _routine("dpotrf", 5), _routine("dpotrs", 8), _routine("dtrtri", 6)


def _integer(value: int) -> ctypes.c_void_p:
    return ctypes.cast(ctypes.pointer(ctypes.c_int(value)), ctypes.c_void_p)


def _check(square: FloatArray) -> int:
    n = len(square)
    if square.shape != (n, n) or square.dtype != np.float64 or not square.flags.c_contiguous:
        raise ValueError(f"expected a row-major square matrix of float64, got {square.shape} {square.dtype}")
    return n


def factorise(square: FloatArray) -> bool:
    """Replace the lower triangle of A by L.

    Parameters
    ----------
    square : ndarray of shape (n, n), float64, row-major
        A; what is above the diagonal is neither read nor changed.

    Returns
    -------
    bool
        False if A is not positive definite; the array is used up then.
    """
    n, info = _integer(_check(square)), ctypes.c_int()
    _dpotrf(b"U", n, square.ctypes.data, n, ctypes.byref(info))
    return info.value == 0


def solve(factor: FloatArray, right: FloatArray) -> None:
    """Replace b by the solution of L Lᵀ x = b.

    Parameters
    ----------
    factor : ndarray of shape (n, n)
        Of `factorise`.
    right : ndarray of shape (n,), float64, contiguous
    """
    width, info = _check(factor), ctypes.c_int()
    if right.shape != (width,) or right.dtype != np.float64 or not right.flags.c_contiguous:
        raise ValueError(f"expected a vector of {width} float64, got {right.shape} {right.dtype}")
    n, one = _integer(width), _integer(1)
    _dpotrs(b"U", n, one, factor.ctypes.data, n, right.ctypes.data, n, ctypes.byref(info))


def invert_factor(factor: FloatArray) -> None:
    """Replace L by its inverse, in place.

    Parameters
    ----------
    factor : ndarray of shape (n, n)
        Of `factorise`; what is above the diagonal is neither read nor changed.
    """
    n, info = _integer(_check(factor)), ctypes.c_int()
    _dtrtri(b"U", b"N", n, factor.ctypes.data, n, ctypes.byref(info))
