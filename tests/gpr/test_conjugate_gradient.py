from __future__ import annotations

import numpy as np
import pytest
from small_molecule import make_set

from aenet_gpr_cli.descriptors.cartesian import Cartesian
from aenet_gpr_cli.descriptors.inverse_distance import InverseDistance
from aenet_gpr_cli.errors import ConfigError, NumericalError
from aenet_gpr_cli.gpr.conjugate_gradient import ConjugateGradientSolver, farthest_points
from aenet_gpr_cli.gpr.covariance import Covariance
from aenet_gpr_cli.gpr.kernels import make_kernel
from aenet_gpr_cli.gpr.solvers import CholeskySolver

POSITIONS = make_set(16, seed=2).positions


@pytest.mark.parametrize("kernel", ["squared_exponential", "matern52"])
@pytest.mark.parametrize("descriptor", [Cartesian(4), InverseDistance(4)])
@pytest.mark.parametrize("n_selected", [0, 6, 16])
def test_solution_equals_the_exact_one(
    kernel: str, descriptor: Cartesian | InverseDistance, n_selected: int
) -> None:
    covariance = Covariance.of(make_kernel(kernel, 0.8), descriptor, POSITIONS)
    right = np.random.default_rng(1).normal(size=(covariance.n_rows, 2))
    exact = CholeskySolver(covariance, 0.02, 0.02, 0.0).solve(right)
    solver = ConjugateGradientSolver(covariance, 0.02, 0.02, n_selected, 1e-10, 2000)
    # error of the solution <= condition number (about 1e5) times the residual
    np.testing.assert_allclose(solver.solve(right), exact, atol=1e-5 * np.abs(exact).max())
    assert solver.residual <= 1e-10


def test_preconditioner_saves_iterations() -> None:
    covariance = Covariance.of(make_kernel("squared_exponential", 0.8), InverseDistance(4), POSITIONS)
    right = np.random.default_rng(1).normal(size=(covariance.n_rows, 1))
    iterations = []
    for n_selected in (0, 8, 16):
        solver = ConjugateGradientSolver(covariance, 1e-2, 1e-2, n_selected, 1e-8, 2000)
        solver.solve(right)
        iterations.append(solver.iterations)
    assert iterations[0] > iterations[1] > iterations[2]
    assert iterations[2] < 10  # all structures selected: the preconditioner is the inverse


def test_zero_right_hand_side_gives_zero() -> None:
    covariance = Covariance.of(make_kernel("squared_exponential", 0.8), Cartesian(4), POSITIONS)
    right = np.zeros((covariance.n_rows, 2))
    right[:, 1] = 1.0
    solution = ConjugateGradientSolver(covariance, 0.1, 0.1, 4, 1e-8, 500).solve(right)
    assert not solution[:, 0].any()
    assert solution[:, 1].any()


def test_callback_sees_a_falling_residual_and_failure_gives_advice() -> None:
    covariance = Covariance.of(make_kernel("squared_exponential", 0.8), Cartesian(4), POSITIONS)
    right = np.random.default_rng(1).normal(size=(covariance.n_rows, 1))
    seen: list[tuple[int, float]] = []
    ConjugateGradientSolver(covariance, 0.1, 0.1, 4, 1e-8, 500, lambda i, r: seen.append((i, r))).solve(right)
    assert [i for i, _ in seen] == list(range(1, len(seen) + 1))
    assert seen[-1][1] <= 1e-8 < seen[0][1]
    with pytest.raises(NumericalError, match="select more structures"):
        ConjugateGradientSolver(covariance, 1e-4, 1e-4, 0, 1e-12, 3).solve(right)
    with pytest.raises(ConfigError, match="n_selected"):
        ConjugateGradientSolver(covariance, 0.1, 0.1, 17, 1e-8, 3)


def test_selection_covers_the_set() -> None:
    x = np.array([[0.1], [0.0], [0.2], [5.0], [-5.0]])
    assert set(farthest_points(x, 3)) == {0, 3, 4}
    assert sorted(farthest_points(x, 5)) == [0, 1, 2, 3, 4]
