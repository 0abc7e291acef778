"""Low-rank factors Φ of K, ΦΦᵀ ≤ K, for `preconditioner`: what one must offer, and the one on columns of K.

For any kernel and any number of centres; `taylor_features` has the other one, for the squared exponential.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpotrf

from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.gpr.covariance.observation_order import rows_of
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.structures import FloatArray, IntArray

JITTER = 1e-12  # relative; the preconditioner only has to be close to K, not equal to it


class LowRank(Protocol):
    """A factor Φ of shape (n_rows, rank) with ΦΦᵀ ≤ K."""

    def __len__(self) -> int:
        """Return the rank."""
        ...

    def rows_of(self, structure: int) -> FloatArray:
        """Return Φᵀ restricted to one structure, shape (rank, 1 + 3 n_atoms)."""
        ...

    def project(self, vectors: FloatArray) -> FloatArray:
        """Return Φᵀ V for V of shape (n_rows, n_vectors)."""
        ...

    def expand(self, weights: FloatArray) -> FloatArray:
        """Return Φ W for W of shape (rank, n_vectors)."""
        ...


class SelectedStructures:
    """Nyström factor Φ = C L⁻ᵀ on the columns C of K of selected structures, K_mm = L Lᵀ.

    Parameters
    ----------
    covariance : Covariance
    index : ndarray of int, shape (n_selected,)

    Notes
    -----
    n_rows · M² operations and n_rows · M numbers, M = n_selected (1+3N).
    """

    def __init__(self, covariance: Covariance, index: IntArray) -> None:
        self._n, self._n_rows = covariance.n_structures, covariance.n_rows
        if len(index) == 0:
            self._w = np.zeros((0, covariance.n_rows))
            return
        # the transpose of C-ordered columns is in Fortran order: LAPACK and BLAS then work in place
        columns = covariance.columns(index).T
        inner = columns[:, rows_of(index, self._n, self._n_rows)].copy(order="F")
        np.einsum("ii->i", inner)[...] += JITTER * np.trace(inner) / len(inner) ** 0.5
        self._w = np.asarray(dtrsm(1.0, factorise(inner), columns, side=0, lower=1, overwrite_b=1))

    def __len__(self) -> int:
        return len(self._w)

    def rows_of(self, structure: int) -> FloatArray:
        """Return Φᵀ restricted to one structure, shape (rank, 1 + 3 n_atoms)."""
        return self._w[:, rows_of(np.array([structure]), self._n, self._n_rows)]

    def project(self, vectors: FloatArray) -> FloatArray:
        """Return Φᵀ V for V of shape (n_rows, n_vectors)."""
        return self._w @ vectors

    def expand(self, weights: FloatArray) -> FloatArray:
        """Return Φ W for W of shape (rank, n_vectors)."""
        return self._w.T @ weights


def own_block(covariance: Covariance, structure: int) -> FloatArray:
    """Return the block of K that belongs to one structure, (1 + 3 n_atoms, 1 + 3 n_atoms)."""
    return covariance.select(slice(structure, structure + 1)).columns(slice(None))


def factorise(matrix: FloatArray) -> FloatArray:
    """Return the lower Cholesky factor of a matrix in Fortran order, in place.

    Raises
    ------
    NumericalError
        If the matrix is not positive definite.
    """
    factor, info = dpotrf(matrix, lower=1, overwrite_a=1)
    if info != 0:
        raise NumericalError(
            f"preconditioner: a covariance is singular (row {info} of {len(matrix)}); "
            "remove duplicate structures or raise the noise"
        )
    return np.asarray(factor)
