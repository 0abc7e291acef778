"""Preconditioner of K + noise: a low-rank factor, plus what it misses within each structure.

K + noise ≈ ΦΦᵀ + D, D = blocks of K + noise - ΦΦᵀ, one per structure (the FITC approximation of sparse
Gaussian processes, Snelson and Ghahramani 2006). Φ comes from monomials for the squared exponential, and from
the columns of selected structures (Nyström) for any other kernel. Owns also the choice of the rank.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from scipy.linalg.blas import dsyrk, dtrsm
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.gpr.covariance import Covariance, split_rows, squared_distances, stack_rows
from aenet_gpr_cli.gpr.monomials import Monomials
from aenet_gpr_cli.gpr.solvers import AnyCovariance
from aenet_gpr_cli.structures import FloatArray, IntArray

JITTER = 1e-12  # relative; the preconditioner only has to be close to K, not equal to it
GRAM_BLOCK_BYTES = 2**24  # rows of Φ held at a time while their products are summed
NULL_MODE = 1e-11  # eigenvalue of a block, relative to its largest, that counts as zero
CANDIDATE_RANKS = (0, 50, 100, 200, 400, 700, 1000, 1500, 2000, 3000, 4000, 6000, 8000, 12000, 16000)

Progress = Callable[[int, int, str], None]


class LowRank(Protocol):
    """A factor Φ of shape (n_rows, rank) with ΦΦᵀ ≤ K."""

    def __len__(self) -> int:
        """Return the rank."""
        ...

    def rows_of(self, structure: int) -> FloatArray:
        """Return Φᵀ restricted to one structure, shape (rank, 1 + 3 n_atoms)."""
        ...

    def project(self, vector: FloatArray) -> FloatArray:
        """Return Φᵀ v."""
        ...

    def expand(self, weights: FloatArray) -> FloatArray:
        """Return Φ w."""
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

    def __init__(self, covariance: AnyCovariance, index: IntArray) -> None:
        self._n, self._width = covariance.n_structures, 3 * covariance.n_atoms
        if len(index) == 0:
            self._w = np.zeros((0, covariance.n_rows))
            return
        # the transpose of C-ordered columns is in Fortran order: LAPACK and BLAS then work in place
        columns = covariance.columns(index).T
        rows = np.concatenate([self._rows(i) for i in index])
        order = np.concatenate(
            [
                np.arange(0, len(rows), 1 + self._width),
                np.delete(np.arange(len(rows)), np.s_[:: 1 + self._width]),
            ]
        )
        inner = columns[:, rows[order]].copy(order="F")
        np.einsum("ii->i", inner)[...] += JITTER * np.trace(inner) / len(inner) ** 0.5
        self._w = np.asarray(dtrsm(1.0, factorise(inner), columns, side=0, lower=1, overwrite_b=1))

    def _rows(self, structure: int) -> IntArray:
        return np.r_[structure, self._n + structure * self._width + np.arange(self._width)]

    def __len__(self) -> int:
        return len(self._w)

    def rows_of(self, structure: int) -> FloatArray:
        """Return Φᵀ restricted to one structure, shape (rank, 1 + 3 n_atoms)."""
        return self._w[:, self._rows(structure)]

    def project(self, vector: FloatArray) -> FloatArray:
        """Return Φᵀ v."""
        return self._w @ vector

    def expand(self, weights: FloatArray) -> FloatArray:
        """Return Φ w."""
        return self._w.T @ weights


class Preconditioner:
    """Inverse of ΦΦᵀ + D by the Woodbury identity.

    Parameters
    ----------
    covariance : Covariance
    noise : ndarray of shape (n_rows,)
        Noise variances.
    low_rank : LowRank
    progress : callable or None
        Called with (done, total, message).

    Notes
    -----
    n_rows · M² operations once, M the rank; M² + n(1+3N)² numbers.
    """

    def __init__(
        self,
        covariance: AnyCovariance,
        noise: FloatArray,
        low_rank: LowRank,
        progress: Progress | None = None,
    ) -> None:
        self._low_rank = low_rank
        n, rank, width = covariance.n_structures, len(low_rank), 1 + 3 * covariance.n_atoms
        self._inverse = np.empty((n, width, width))
        gram = np.zeros((rank, rank), order="F")
        np.einsum("ii->i", gram)[...] = 1.0
        per_block = max(1, GRAM_BLOCK_BYTES // (8 * width * max(rank, 1)))
        for start in range(0, n, per_block):
            chosen = range(start, min(start + per_block, n))
            scaled = np.empty((rank, len(chosen) * width))
            for k, i in enumerate(chosen):
                scaled[:, k * width : (k + 1) * width] = self._add_block(covariance, noise, i)
            if rank:
                gram = dsyrk(1.0, scaled.T, beta=1.0, c=gram, trans=1, lower=1, overwrite_c=1)
            if progress is not None:
                progress(chosen.stop, n, f"preconditioner of rank {rank}")
        self._factor = factorise(gram)

    def _add_block(self, covariance: AnyCovariance, noise: FloatArray, i: int) -> FloatArray:
        """Store D_i⁻¹ and return Φ_iᵀ D_i^-½."""
        own = self._low_rank.rows_of(i)
        block = np.asfortranarray(own_block(covariance, i) - own.T @ own)
        energy, gradient = split_rows(noise, covariance.n_structures)
        np.einsum("ii->i", block)[...] += np.r_[energy[i], gradient[i].ravel()]
        np.einsum("ii->i", block)[...] += JITTER * np.trace(block) / len(block)
        root = factorise(block)
        inverse = np.asarray(dpotri(root, lower=1)[0])
        self._inverse[i] = np.tril(inverse) + np.tril(inverse, -1).T
        return np.asarray(dtrsm(1.0, root, own.T, lower=1)).T

    def __call__(self, vector: FloatArray) -> FloatArray:
        """Return (ΦΦᵀ + D)⁻¹ v.

        Parameters
        ----------
        vector : ndarray of shape (n_rows,)

        Returns
        -------
        ndarray of shape (n_rows,)
        """
        if len(self._low_rank) == 0:
            return self._blocks(vector)
        inner = self._low_rank.project(self._blocks(vector))
        weights = dpotrs(self._factor, inner, lower=1)[0]
        return self._blocks(vector - self._low_rank.expand(weights))

    def _blocks(self, vector: FloatArray) -> FloatArray:
        """Return D⁻¹ v."""
        energies, gradients = split_rows(vector, len(self._inverse))
        own = np.c_[energies, gradients.reshape(len(energies), -1)]
        own = np.matmul(self._inverse, own[:, :, None])[:, :, 0]
        return stack_rows(own[:, 0], own[:, 1:])


def make_low_rank(covariance: AnyCovariance, noise: FloatArray, max_rank: int, tolerance: float) -> LowRank:
    """Return the factor of K that makes building the preconditioner and iterating cheapest together.

    Parameters
    ----------
    covariance : Covariance
    noise : ndarray of shape (n_rows,)
        Noise variances.
    max_rank : int
        0: only the blocks of the structures.
    tolerance : float
        Relative residual that will be asked for.

    Returns
    -------
    LowRank
    """
    by_monomials = isinstance(covariance, Covariance) and covariance.kernel.name == "squared_exponential"
    if not by_monomials or max_rank == 0:
        n_selected = min(max_rank // (1 + 3 * covariance.n_atoms), covariance.n_structures)
        return SelectedStructures(covariance, farthest_points(covariance.points.values, n_selected))
    assert isinstance(covariance, Covariance)
    monomials = Monomials.of(covariance, min(max_rank, covariance.n_rows))
    return monomials.first(_cheapest_rank(covariance, noise, monomials, tolerance))


def _cheapest_rank(covariance: Covariance, noise: FloatArray, monomials: Monomials, tolerance: float) -> int:
    """Weigh n_rows M² operations against the iterations that remain.

    About √(λ/ν) log(2/tolerance) iterations remain (within a factor of two, EC dimer), λ the first eigenvalue
    left out and ν the smallest one within a structure once all monomials are taken off.
    """
    linear = covariance.x.shape[1] + 1
    shells = linear, linear * (linear + 1) // 2  # where coordinates are alike, whole degrees count
    ranks = sorted({r for r in (*CANDIDATE_RANKS, *shells) if r < len(monomials)} | {len(monomials)})
    middle = int(farthest_points(covariance.x, 1)[0])
    block, own = own_block(covariance, middle), monomials.rows_of(middle)
    whole = np.linalg.eigvalsh(block)
    n_null = int((whole <= NULL_MODE * whole[-1]).sum())
    left = np.linalg.eigvalsh(block - own.T @ own)
    floor = float(noise.min()) + max(float(left[n_null]), 0.0)
    costs = []
    for rank in ranks:
        rest = monomials.importance[min(rank, len(monomials) - 1)]
        iterations = 10.0 + np.sqrt(rest / floor) * np.log(2.0 / tolerance)
        costs.append(_setup_cost(covariance, rank) + iterations * _iteration_cost(covariance, rank))
    return ranks[int(np.argmin(costs))]


def _setup_cost(covariance: Covariance, rank: int) -> float:
    """Operations of the preconditioner, in those of a matrix product."""
    return covariance.n_rows * rank * (rank + 800.0) + rank**3


def _iteration_cost(covariance: Covariance, rank: int) -> float:
    """The same for one iteration; work outside matrix products weighs by its measured time (one core)."""
    n, p, width = covariance.n_structures, covariance.x.shape[1], 1 + 3 * covariance.n_atoms
    product = 6.0 * n * n * p + 660.0 * n * n + 4000.0 * n * p
    return product + 1400.0 * n * rank + 70.0 * rank**2 + 180.0 * n * width**2


def own_block(covariance: AnyCovariance, structure: int) -> FloatArray:
    """Return the block of K that belongs to one structure.

    Parameters
    ----------
    covariance : Covariance
    structure : int

    Returns
    -------
    ndarray of shape (1 + 3 * n_atoms, 1 + 3 * n_atoms)
    """
    return covariance.select(slice(structure, structure + 1)).columns(slice(None))


def farthest_points(x: FloatArray, n_selected: int) -> IntArray:
    """Select structures that cover the set: start nearest the mean, then always the farthest one.

    Parameters
    ----------
    x : ndarray of shape (n_structures, n_features)
    n_selected : int

    Returns
    -------
    ndarray of int, shape (n_selected,)
    """
    chosen = [int(np.argmin(np.einsum("ip,ip->i", x - x.mean(axis=0), x - x.mean(axis=0))))]
    nearest = np.full(len(x), np.inf)
    while len(chosen) < n_selected:
        nearest = np.minimum(nearest, squared_distances(x, x[chosen[-1:]])[:, 0])
        chosen.append(int(np.argmax(nearest)))
    return np.array(chosen[:n_selected], dtype=np.int64)


def factorise(matrix: FloatArray) -> FloatArray:
    """Return the lower Cholesky factor, in place.

    Parameters
    ----------
    matrix : ndarray of shape (m, m), Fortran order

    Returns
    -------
    ndarray of shape (m, m)

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
