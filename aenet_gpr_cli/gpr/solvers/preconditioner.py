"""Preconditioner of K + noise: a low-rank factor, plus what it misses within each structure.

K + noise ≈ ΦΦᵀ + D, D = blocks of K + noise - ΦΦᵀ, one per structure (the FITC approximation of sparse
Gaussian processes, Snelson and Ghahramani 2006). Φ comes from monomials for the squared exponential, and from
the columns of selected structures (Nyström) for any other kernel. The rank is the one for which building and
iterating take least together; costs are counted in operations of a matrix product, nothing is timed, so that
the choice is reproducible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from scipy.linalg.blas import dsyrk, dtrsm
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

from aenet_gpr_cli.descriptors.interface.feature_distances import farthest_points
from aenet_gpr_cli.descriptors.structure.permutation import images_of
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.gpr.covariance.observation_order import by_structure, row_views, rows_of
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.solvers.taylor_features import Monomials
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.structures import FloatArray, IntArray

JITTER = 1e-12  # relative; the preconditioner only has to be close to K, not equal to it
N_PROBES = 4  # structures from which the number of iterations is estimated
N_FOLLOWING = 64  # monomials after the last one kept, the largest of which counts
# part of the smallest eigenvalues within a structure, which conjugate gradients find by themselves
OUTLIERS = 0.1
CANDIDATE_RANKS = (0, 50, 100, 200, 400, 700, 1000, 1500, 2000, 3000, 4000, 6000, 8000, 12000, 16000)
FACTOR_COST = 0.5  # of an operation of LAPACK's Cholesky factor, in those of a matrix product
# iterations with selected structures: this times (n_rows / rank)², at a noise and a tolerance (EC dimers,
# group of 8, n = 200: 381, 135 and 67 with ranks of 1159, 1952 and 2989)
SELECTED_ITERATIONS, SELECTED_AT = 3.5, (1e-4, 1e-4)
GRAM_BLOCK_BYTES = 2**24  # rows of Φ held at a time while their products are summed


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


class Preconditioner:
    """Inverse of ΦΦᵀ + D by the Woodbury identity.

    Parameters
    ----------
    noise : ndarray of shape (n_rows,)
        Noise variances.
    progress : callable or None
        Called with (done, total, message).

    Notes
    -----
    n_rows · M² operations once, M the rank; M² + n(1+3N)² numbers.
    """

    def __init__(
        self,
        covariance: Covariance,
        noise: FloatArray,
        low_rank: LowRank,
        progress: Progress | None = None,
    ) -> None:
        self._low_rank = low_rank
        n, rank, width = covariance.n_structures, len(low_rank), 1 + 3 * covariance.n_atoms
        self._inverse = np.empty((n, width, width))
        gram = np.zeros((rank, rank), order="F")
        np.einsum("ii->i", gram)[...] = 1.0
        block_bytes = max(GRAM_BLOCK_BYTES, gram.nbytes // 2)  # the Gram matrix is read and written per block
        per_block = max(1, block_bytes // (8 * width * max(rank, 1)))
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

    def _add_block(self, covariance: Covariance, noise: FloatArray, i: int) -> FloatArray:
        """Store D_i⁻¹ and return Φ_iᵀ D_i^-½."""
        own = self._low_rank.rows_of(i)
        block = np.asfortranarray(own_block(covariance, i) - own.T @ own)
        np.einsum("ii->i", block)[...] += by_structure(noise, covariance.n_structures)[i]
        np.einsum("ii->i", block)[...] += JITTER * np.trace(block) / len(block)
        root = factorise(block)
        inverse = np.asarray(dpotri(root, lower=1)[0])
        self._inverse[i] = np.tril(inverse) + np.tril(inverse, -1).T
        return np.asarray(dtrsm(1.0, root, own.T, lower=1)).T

    def __call__(self, vectors: FloatArray) -> FloatArray:
        """Return (ΦΦᵀ + D)⁻¹ V for V of shape (n_rows, n_vectors)."""
        if len(self._low_rank) == 0:
            return self._blocks(vectors)
        inner = self._low_rank.project(self._blocks(vectors))
        weights = dpotrs(self._factor, inner, lower=1)[0]
        return self._blocks(vectors - self._low_rank.expand(weights))

    def _blocks(self, vectors: FloatArray) -> FloatArray:
        """Return D⁻¹ V."""
        n = len(self._inverse)
        own = np.matmul(self._inverse, by_structure(vectors, n))
        out = np.empty_like(vectors)
        energies, gradients = row_views(out, n)
        energies[...], gradients[...] = own[:, 0], own[:, 1:]
        return out


def make_low_rank(covariance: Covariance, noise: FloatArray, max_rank: int, tolerance: float) -> LowRank:
    """Return the factor of K that makes building the preconditioner and iterating cheapest together.

    Parameters
    ----------
    noise : ndarray of shape (n_rows,)
        Noise variances.
    max_rank : int
        0: only the blocks of the structures.
    tolerance : float
        Relative residual that will be asked for.
    """
    return plan_low_rank(covariance, noise, max_rank, tolerance).make()


@dataclass(frozen=True, slots=True)
class LowRankPlan:
    """Which factor of K is cheapest, and what solving with it costs.

    Attributes
    ----------
    make : callable
        Returns the factor.
    rank : int
    iterations : float
        Forecast, infinite where there is none.
    operations : float
        Of preconditioner and iterations together, in those of a matrix product.
    """

    make: Callable[[], LowRank]
    rank: int
    iterations: float
    operations: float


def plan_low_rank(covariance: Covariance, noise: FloatArray, max_rank: int, tolerance: float) -> LowRankPlan:
    """Return the plan of `make_low_rank`, with the same parameters."""
    smooth = covariance.kernel.name == "squared_exponential"
    # principal axes cost the cube of the features: of large structures far more than K itself
    few_features = covariance.x.shape[1] <= covariance.n_rows
    if smooth and few_features and covariance.n_centres == 1 and max_rank > 0:
        monomials = Monomials.of(covariance, min(max_rank, covariance.n_rows))
        rank, iterations, operations = _cheapest_rank(covariance, noise, monomials, tolerance)
        return LowRankPlan(partial(monomials.first, rank), rank, iterations, operations)
    width, iterations, operations = 1 + 3 * covariance.n_atoms, np.inf, np.inf
    n_selected = min(max_rank // width, covariance.n_structures)
    if smooth and covariance.n_centres == images_of(covariance.points) and n_selected > 0:
        n_selected, iterations, operations = _cheapest_selection(covariance, noise, n_selected, tolerance)
    chosen = farthest_points(covariance.points.values, n_selected)
    make = partial(SelectedStructures, covariance, chosen)
    return LowRankPlan(make, width * n_selected, iterations, operations)


def cholesky_operations(covariance: Covariance) -> float:
    """Return the operations of matrix and factor, in those of a matrix product."""
    rows, p = covariance.n_rows, covariance.x.shape[1]
    return FACTOR_COST * rows**3 / 3.0 + rows**2 * p


def _cheapest_selection(
    covariance: Covariance, noise: FloatArray, most: int, tolerance: float
) -> tuple[int, float, float]:
    """Return how many structures make preconditioner and iterations cheapest, both forecasts with them."""
    width, rows = 1 + 3 * covariance.n_atoms, covariance.n_rows
    counts = np.unique(np.linspace(1, most, min(most, 40)).astype(int))
    ranks = width * counts
    per_tolerance = np.log(2.0 / tolerance) / np.log(2.0 / SELECTED_AT[1])
    scale = SELECTED_ITERATIONS * per_tolerance * SELECTED_AT[0] / np.sqrt(float(noise.min()))
    iterations = np.maximum(scale * (rows / ranks) ** 2, 10.0)
    costs = np.array(
        [
            2.0 * _setup_cost(covariance, int(rank)) + count * _iteration_cost(covariance, int(rank), width)
            for rank, count in zip(ranks, iterations, strict=True)
        ]
    )
    best = int(np.argmin(costs))
    return int(counts[best]), float(iterations[best]), float(costs[best])


def _cheapest_rank(
    covariance: Covariance, noise: FloatArray, monomials: Monomials, tolerance: float
) -> tuple[int, float, float]:
    """Weigh n_rows M² operations against the iterations that remain; return both forecasts, too."""
    linear = covariance.x.shape[1] + 1
    shells = linear, linear * (linear + 1) // 2  # where coordinates are alike, whole degrees count
    ranks = sorted({r for r in (*CANDIDATE_RANKS, *shells) if r < len(monomials)} | {len(monomials)})
    iterations = expected_iterations(covariance, noise, monomials, ranks, tolerance)
    costs = [
        _setup_cost(covariance, rank) + count * _iteration_cost(covariance, rank)
        for rank, count in zip(ranks, iterations, strict=True)
    ]
    best = int(np.argmin(costs))
    return ranks[best], iterations[best], costs[best]


def expected_iterations(
    covariance: Covariance, noise: FloatArray, monomials: Monomials, ranks: list[int], tolerance: float
) -> list[float]:
    """Estimate the iterations that remain with a preconditioner of each rank, from a few structures.

    About ½ √(λ/ν) log(2/tolerance), for the extreme eigenvalues of K + noise with its blocks taken to one: λ
    is the first monomial left out, n φᵀD⁻¹φ, and ν what remains of D once all monomials are taken off (within
    a factor of two to three of what was counted on EC dimers, n = 250 to 1,000, both descriptors).

    Parameters
    ----------
    noise : ndarray of shape (n_rows,)
        Noise variances.
    tolerance : float
        Relative residual.
    """
    n = covariance.n_structures
    largest, smallest = np.zeros(len(ranks)), np.full(len(ranks), np.inf)
    chosen = np.unique(np.linspace(0, n - 1, N_PROBES).astype(int))
    for i in chosen:
        own, block = monomials.rows_of(i), own_block(covariance, i)
        block = block + np.diag(by_structure(noise, n)[i])
        rest = block - own.T @ own
        for number, rank in enumerate(ranks):
            root = np.linalg.cholesky(block - own[:rank].T @ own[:rank] + JITTER * np.eye(len(block)))
            following = np.linalg.solve(root, own[rank : rank + N_FOLLOWING].T)
            if rank < len(monomials):
                largest[number] += n * np.einsum("rj,rj->j", following, following).max() / len(chosen)
            inner = np.linalg.solve(root, np.linalg.solve(root, rest).T)
            smallest[number] = min(smallest[number], float(np.quantile(np.linalg.eigvalsh(inner), OUTLIERS)))
    ratio = np.maximum(largest, 1.0) / np.maximum(smallest, JITTER)
    return [float(v) for v in 10.0 + 0.5 * np.sqrt(ratio) * np.log(2.0 / tolerance)]


def _setup_cost(covariance: Covariance, rank: int) -> float:
    """Operations of the preconditioner, in those of a matrix product."""
    return covariance.n_rows * rank * (rank + 300.0) + rank**3 / 3.0


def _iteration_cost(covariance: Covariance, rank: int, dense: int = 0) -> float:
    """The same for one iteration; work outside matrix products weighs by its measured time (one core).

    ``dense``: rows of a structure where the factor is stored, 0 for monomials.
    """
    n, p, width = covariance.n_structures, covariance.x.shape[1], 1 + 3 * covariance.n_atoms
    points = n * covariance.n_centres
    product = 6.0 * n * points * p + 60.0 * n * points + 1000.0 * (n + points) * p
    factor = 15.0 * dense if dense else 320.0
    return product + factor * n * rank + 40.0 * rank**2 + 100.0 * n * width**2


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
