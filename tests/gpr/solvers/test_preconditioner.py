from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from aenet_gpr_cli.gpr.solvers import preconditioner as module
from aenet_gpr_cli.gpr.solvers.preconditioner import (
    LowRank,
    Preconditioner,
    SelectedStructures,
    expected_iterations,
    factorise,
    make_low_rank,
)
from aenet_gpr_cli.gpr.solvers.taylor_features import Monomials
from aenet_gpr_cli.structures import FloatArray
from tests.gpr.small_molecule import make_set, symmetric

N = 7
POSITIONS = make_set(N, seed=1).positions


def make(kernel: str = "squared_exponential", length_scale: float = 1.5) -> Covariance:
    return Covariance.of(make_kernel(kernel, length_scale), InverseDistance(4), POSITIONS)


def rows(structure: int) -> np.ndarray:
    return np.r_[structure, N + 12 * structure + np.arange(12)]


def matrix(low_rank: LowRank) -> FloatArray:
    out = np.zeros((13 * N, len(low_rank)))
    for i in range(N):
        out[rows(i)] = low_rank.rows_of(i).T
    return out


LOW_RANKS: dict[str, Callable[[], LowRank]] = {
    "monomials": lambda: Monomials.of(make(), 60),
    "structures": lambda: SelectedStructures(make("matern52"), np.array([3, 0, 5])),
    "nothing": lambda: SelectedStructures(make("matern52"), np.array([], int)),
}


@pytest.mark.parametrize("name", LOW_RANKS)
def test_products_are_those_of_the_matrix(name: str) -> None:
    low_rank, rng = LOW_RANKS[name](), np.random.default_rng(0)
    phi, v, w = matrix(low_rank), rng.normal(size=(13 * N, 2)), rng.normal(size=(len(low_rank), 2))
    np.testing.assert_allclose(low_rank.project(v), phi.T @ v, atol=1e-12)
    np.testing.assert_allclose(low_rank.expand(w), phi @ w, atol=1e-12)


@pytest.mark.parametrize("descriptor", [Cartesian(4), InverseDistance(4)])
def test_monomials_are_parts_of_k_and_add_up_to_it(descriptor: Cartesian | InverseDistance) -> None:
    covariance = Covariance.of(make_kernel("squared_exponential", 3.0), descriptor, POSITIONS)
    k, missing = symmetric(covariance.dense()), []
    for count in (1, 10, 100, 1000):
        phi = matrix(Monomials.of(covariance, count))
        left = k - phi @ phi.T
        assert np.linalg.eigvalsh(left)[0] > -1e-13  # what is left is a covariance, up to rounding
        missing.append(np.trace(left))
    assert (np.diff(missing) < 0.0).all()
    assert missing[-1] < 1e-3 * missing[0]


def test_most_important_monomials_come_first() -> None:
    monomials = Monomials.of(make(), 200)
    norms = (matrix(monomials) ** 2).sum(axis=0)
    assert (np.diff(monomials.importance) <= 0.0).all()
    assert norms[:20].min() > norms[-20:].max()
    assert len({tuple(sorted(p)) for p in monomials.powers}) == 200  # no monomial twice
    np.testing.assert_array_equal(matrix(monomials.first(30)), matrix(monomials)[:, :30])


@pytest.mark.parametrize("name", LOW_RANKS)
def test_preconditioner_is_the_inverse_of_low_rank_and_blocks(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    covariance = make("squared_exponential" if name == "monomials" else "matern52")
    low_rank, noise = LOW_RANKS[name](), covariance.noise_variances(1e-2, 2e-2)
    phi, k = matrix(low_rank), symmetric(covariance.dense()) + np.diag(noise)
    expected = phi @ phi.T
    for i in range(N):
        own = np.ix_(rows(i), rows(i))
        expected[own] = k[own]  # exact within a structure
    monkeypatch.setattr(module, "GRAM_BLOCK_BYTES", 8 * 13 * 60 * 3)  # several blocks of structures
    v = np.random.default_rng(0).normal(size=(13 * N, 2))
    # jitter of 1e-12 and rounding, times the condition number of 1e5
    np.testing.assert_allclose(expected @ Preconditioner(covariance, noise, low_rank)(v), v, atol=1e-7)


def test_rank_is_chosen_by_kernel_and_limit() -> None:
    noise = make().noise_variances(1e-3, 1e-3)
    assert isinstance(make_low_rank(make(), noise, 60, 1e-4), Monomials)
    assert len(make_low_rank(make(), noise, 60, 1e-4)) <= 60
    assert len(make_low_rank(make("matern52"), noise, 60, 1e-4)) == 4 * 13  # whole structures
    assert len(make_low_rank(make("matern52"), noise, 10**6, 1e-4)) == N * 13
    assert len(make_low_rank(make(), noise, 0, 1e-4)) == 0


def test_duplicates_without_noise_are_refused_with_advice() -> None:
    with pytest.raises(NumericalError, match="remove duplicate structures"):
        factorise(np.asfortranarray(np.ones((3, 3))))


@pytest.mark.parametrize("descriptor", [Cartesian(4), InverseDistance(4)])
def test_forecast_of_iterations_follows_what_is_counted(descriptor: Cartesian | InverseDistance) -> None:
    positions = make_set(60, seed=1).positions
    covariance = Covariance.of(make_kernel("squared_exponential", 1.5), descriptor, positions)
    noise, right = covariance.noise_variances(1e-4, 1e-4), np.random.default_rng(0).normal(size=(60 * 13, 1))
    monomials, ranks = Monomials.of(covariance, 400), [30, 100]
    counted = []
    for rank in ranks:
        precondition, x = Preconditioner(covariance, noise, monomials.first(rank)), np.zeros_like(right)
        residual, iteration = right.copy(), 0
        z = direction = precondition(residual)
        while np.linalg.norm(residual) > 1e-3 * np.linalg.norm(right):
            product = covariance.product(direction) + noise[:, None] * direction
            rz = (residual * z).sum()
            step = rz / (direction * product).sum()
            x, residual, iteration = x + step * direction, residual - step * product, iteration + 1
            z = precondition(residual)
            direction = z + (residual * z).sum() / rz * direction
        counted.append(iteration)
    expected = expected_iterations(covariance, noise, monomials, ranks, 1e-3)
    assert (np.diff(expected) < 0.0).all()
    assert (np.diff(counted) < 0).all()
    assert all(c / 4.0 < e < 4.0 * c for e, c in zip(expected, counted, strict=True))
