from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.regression.gp_model import predict
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver
from aenet_gpr_cli.gpr.solvers.conjugate_gradient import ConjugateGradientSolver
from tests.gpr.small_molecule import cg, cholesky, make_set

POSITIONS = make_set(16, seed=2).positions


@pytest.mark.parametrize("kernel", ["squared_exponential", "matern52"])
@pytest.mark.parametrize("descriptor", [Cartesian(4), InverseDistance(4)])
@pytest.mark.parametrize("max_rank", [0, 80, 208])
def test_solution_equals_the_exact_one(
    kernel: str, descriptor: Cartesian | InverseDistance, max_rank: int
) -> None:
    covariance = Covariance.of(make_kernel(kernel, 0.8), descriptor, POSITIONS)
    right = np.random.default_rng(1).normal(size=(covariance.n_rows, 2))
    exact = CholeskySolver(covariance, 0.02, 0.02, 0.0).solve(right)
    solver = ConjugateGradientSolver(covariance, 0.02, 0.02, cg(max_rank, 1e-10, 2000))
    # error of the solution <= condition number (about 1e5) times the residual
    np.testing.assert_allclose(solver.solve(right), exact, atol=1e-5 * np.abs(exact).max())
    assert solver.residual <= 1e-10


@pytest.mark.parametrize("max_rank", [0, 100])
@pytest.mark.parametrize("descriptor", [Cartesian(4), InverseDistance(4)])
def test_fit_equals_the_exact_one(max_rank: int, descriptor: Cartesian | InverseDistance) -> None:
    training, kernel = make_set(16, seed=2), make_kernel("squared_exponential", 0.8)

    def iterative(covariance: Covariance, noise_energy: float, noise_force: float) -> ConjugateGradientSolver:
        return ConjugateGradientSolver(covariance, noise_energy, noise_force, cg(max_rank, 1e-9, 2000))

    models = [fit(training, descriptor, kernel, 1e-2, 1e-2, solver) for solver in (cholesky, iterative)]
    # prior mean and weights come from one run in the plane of weights whose energy part adds up to zero
    assert models[1].prior_mean == pytest.approx(models[0].prior_mean, abs=1e-6)
    assert models[1].signal_std == pytest.approx(models[0].signal_std, rel=1e-6)
    assert models[1].energy_weights.sum() == pytest.approx(0.0, abs=1e-9)
    test = make_set(10, seed=3).positions
    for own, exact in zip(*(predict(m, descriptor, test) for m in models[::-1]), strict=True):
        np.testing.assert_allclose(own, exact, atol=1e-6)


@pytest.mark.parametrize("kernel", ["squared_exponential", "matern52"])
def test_preconditioner_saves_iterations(kernel: str) -> None:
    covariance = Covariance.of(make_kernel(kernel, 0.8), InverseDistance(4), POSITIONS)
    right = np.random.default_rng(1).normal(size=(covariance.n_rows, 1))
    iterations = []
    for max_rank in (0, 104, 208):
        solver = ConjugateGradientSolver(covariance, 1e-2, 1e-2, cg(max_rank, 1e-8, 2000))
        solver.solve(right)
        iterations.append(solver.iterations)
    assert iterations[0] > 1.5 * iterations[2]
    assert iterations[0] > iterations[1] >= iterations[2]


def test_zero_right_hand_side_gives_zero() -> None:
    covariance = Covariance.of(make_kernel("squared_exponential", 0.8), Cartesian(4), POSITIONS)
    right = np.zeros((covariance.n_rows, 2))
    right[:, 1] = 1.0
    solution = ConjugateGradientSolver(covariance, 0.1, 0.1, cg(4, 1e-8, 500)).solve(right)
    assert not solution[:, 0].any()
    assert solution[:, 1].any()


def test_callback_sees_a_falling_residual_and_failure_gives_advice() -> None:
    covariance = Covariance.of(make_kernel("squared_exponential", 0.8), Cartesian(4), POSITIONS)
    right = np.random.default_rng(1).normal(size=(covariance.n_rows, 1))
    seen: list[tuple[int, float]] = []
    ConjugateGradientSolver(covariance, 0.1, 0.1, cg(4, 1e-8, 500), lambda i, r: seen.append((i, r))).solve(
        right
    )
    assert [i for i, _ in seen] == list(range(1, len(seen) + 1))
    assert seen[-1][1] <= 1e-8 < seen[0][1]
    with pytest.raises(NumericalError, match="raise the rank"):
        ConjugateGradientSolver(covariance, 1e-4, 1e-4, cg(0, 1e-12, 3)).solve(right)
