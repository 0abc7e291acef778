from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver, choose_solver, dense_bytes, iterative_bytes
from tests.gpr.small_molecule import make_set, symmetric


def make(n: int = 5, duplicate: bool = False) -> Covariance:
    positions = make_set(n, seed=0).positions
    if duplicate:
        positions = np.concatenate([positions, positions[:1]])
    return Covariance.of(make_kernel("squared_exponential", 0.8), InverseDistance(4), positions)


def test_solution_half_solution_and_determinant_are_those_of_the_dense_matrix() -> None:
    covariance = make()
    matrix = symmetric(covariance.dense()) + np.diag(covariance.noise_variances(0.1, 0.05))
    right = np.random.default_rng(1).normal(size=(covariance.n_rows, 2))
    solver = CholeskySolver(covariance, 0.1, 0.05, 0.0)
    # condition number about 1e4
    np.testing.assert_allclose(matrix @ solver.solve(right), right, atol=1e-11)
    half = solver.half_solve(right)
    np.testing.assert_allclose(half.T @ half, right.T @ np.linalg.solve(matrix, right), rtol=1e-9)
    assert solver.log_determinant == pytest.approx(np.linalg.slogdet(matrix)[1], rel=1e-10)
    assert solver.jitter == 0.0


def test_factorisation_happens_in_place() -> None:
    solver = CholeskySolver(make(), 0.1, 0.05, 0.0)
    assert not solver._factor.flags.owndata  # a view of the assembled matrix, not a copy LAPACK made


def test_jitter_is_bounded_and_reported() -> None:
    covariance = make(duplicate=True)
    solver = CholeskySolver(covariance, 0.0, 0.0, 1e-6)
    assert 0.0 < solver.jitter <= 1e-6 * np.diag(covariance.dense()).mean()
    with pytest.raises(NumericalError, match="remove duplicate structures, raise the noise"):
        CholeskySolver(covariance, 0.0, 0.0, 0.0)


def test_memory_forecast_chooses_the_solver() -> None:
    assert dense_bytes(1000, 20) == 8 * 61000**2
    assert choose_solver(250, 20, 4e9) == "cholesky"
    assert choose_solver(1000, 20, 16e9) == "conjugate_gradient"
    assert iterative_bytes(1000, 20, 190, 4000) < dense_bytes(1000, 20) / 30
