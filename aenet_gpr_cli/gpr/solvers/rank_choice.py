"""Which low-rank factor and which rank make building the preconditioner and iterating cheapest together.

Costs are counted in operations of a matrix product; nothing is timed, so that the choice is reproducible.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.descriptors.interface.farthest_points import farthest_points
from aenet_gpr_cli.gpr.covariance.observation_order import split_rows
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.solvers.cholesky import AnyCovariance
from aenet_gpr_cli.gpr.solvers.nystrom import JITTER, LowRank, SelectedStructures, own_block
from aenet_gpr_cli.gpr.solvers.taylor_features import Monomials
from aenet_gpr_cli.structures import FloatArray

N_PROBES = 4  # structures from which the number of iterations is estimated
N_FOLLOWING = 64  # monomials after the last one kept, the largest of which counts
OUTLIERS = (
    0.1  # part of the smallest eigenvalues within a structure, which conjugate gradients find by themselves
)
CANDIDATE_RANKS = (0, 50, 100, 200, 400, 700, 1000, 1500, 2000, 3000, 4000, 6000, 8000, 12000, 16000)


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
    """Weigh n_rows M² operations against the iterations that remain."""
    linear = covariance.x.shape[1] + 1
    shells = linear, linear * (linear + 1) // 2  # where coordinates are alike, whole degrees count
    ranks = sorted({r for r in (*CANDIDATE_RANKS, *shells) if r < len(monomials)} | {len(monomials)})
    iterations = expected_iterations(covariance, noise, monomials, ranks, tolerance)
    costs = [
        _setup_cost(covariance, rank) + count * _iteration_cost(covariance, rank)
        for rank, count in zip(ranks, iterations, strict=True)
    ]
    return ranks[int(np.argmin(costs))]


def expected_iterations(
    covariance: Covariance, noise: FloatArray, monomials: Monomials, ranks: list[int], tolerance: float
) -> list[float]:
    """Estimate the iterations that remain with a preconditioner of each rank, from a few structures.

    About ½ √(λ/ν) log(2/tolerance), for the extreme eigenvalues of K + noise with its blocks taken to one: λ
    is the first monomial left out, n φᵀD⁻¹φ, and ν what remains of D once all monomials are taken off (within
    a factor of two to three of what was counted on EC dimers, n = 250 to 1,000, both descriptors).

    Parameters
    ----------
    covariance : Covariance
    noise : ndarray of shape (n_rows,)
    monomials : Monomials
    ranks : list of int
    tolerance : float

    Returns
    -------
    list of float
    """
    n = covariance.n_structures
    largest, smallest = np.zeros(len(ranks)), np.full(len(ranks), np.inf)
    chosen = np.unique(np.linspace(0, n - 1, N_PROBES).astype(int))
    for i in chosen:
        own, block = monomials.rows_of(i), own_block(covariance, i)
        energy, gradient = split_rows(noise, n)
        block = block + np.diag(np.r_[energy[i], gradient[i].ravel()])
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


def _iteration_cost(covariance: Covariance, rank: int) -> float:
    """The same for one iteration; work outside matrix products weighs by its measured time (one core)."""
    n, p, width = covariance.n_structures, covariance.x.shape[1], 1 + 3 * covariance.n_atoms
    product = 6.0 * n * n * p + 60.0 * n * n + 2000.0 * n * p
    return product + 320.0 * n * rank + 40.0 * rank**2 + 100.0 * n * width**2
