"""Which solver is taken by forecast, and that its solution is the other one's."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.descriptors.structure.permutation import PermutationImages
from aenet_gpr_cli.evaluation.clusters import clusters
from aenet_gpr_cli.gpr.covariance.image_pairs import covariance_at
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver, dense_bytes, jacobian_bytes
from aenet_gpr_cli.gpr.solvers.conjugate_gradient import ConjugateGradientSolver
from aenet_gpr_cli.gpr.solvers.preconditioner import cholesky_operations, plan_low_rank
from aenet_gpr_cli.stages.fit_gpr import fit_plan
from tests.gpr.small_molecule import cg, cholesky, make_set

SET = make_set(40, seed=5)
GROUP = [[0, 1, 2, 3], [1, 2, 0, 3], [2, 0, 1, 3]]


def covariance(images: bool):  # type: ignore[no-untyped-def]
    inner = InverseDistance(4)
    descriptor = PermutationImages(inner, GROUP) if images else inner
    return covariance_at(
        make_kernel("squared_exponential", 0.8), descriptor, SET.positions, 3 if images else 1
    )


@pytest.mark.parametrize("images", [False, True])
def test_the_planned_rank_is_that_of_the_factor_and_solves(images: bool) -> None:
    whole = covariance(images)
    noise = whole.noise_variances(1e-2, 1e-2)
    plan = plan_low_rank(whole, noise, 300, 1e-8)
    assert len(plan.make()) == plan.rank <= 300
    assert plan.operations > 0.0
    right = np.random.default_rng(0).normal(size=(whole.n_rows, 2))
    solver = ConjugateGradientSolver(whole, 1e-2, 1e-2, cg(300, 1e-9, 2000), low_rank=plan)
    expected = cholesky(whole, 1e-2, 1e-2).solve(right)
    np.testing.assert_allclose(solver.solve(right), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("images", [False, True])
def test_iterations_gain_on_the_factor_with_more_structures(images: bool) -> None:
    whole, ratios = covariance(images), []
    for n in (5, 20, 40):
        part = whole.select(slice(0, n))
        plan = plan_low_rank(part, part.noise_variances(1e-2, 1e-2), 8000, 1e-4)
        ratios.append(plan.operations / cholesky_operations(part))
    assert ratios[0] > ratios[1] > ratios[2] > 0.0


@pytest.mark.parametrize(("limit", "name"), [(1e9, "conjugate_gradient"), (0.0, "cholesky")])
def test_the_faster_solver_is_made(limit: float, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_plan, "CLEARLY_FASTER", limit)
    config = FitGprConfig(model="full")
    plan = fit_plan.plan_fit(config, "some", SET)
    made = fit_plan.make_solver(config, plan, lambda *_: None, fastest=True)(covariance(False), 1e-2, 1e-2)
    assert made.name == name
    slow = fit_plan.make_solver(config, plan, lambda *_: None)(covariance(False), 1e-2, 1e-2)
    assert slow.name == "cholesky"


def test_a_forecast_for_large_structures_takes_less_than_the_matrix_that_it_spares():
    # 4950 distances and 602 rows: axes of the distances would take 196 MB, and a thousand times the work of K
    cluster = clusters(10, 2, seed=0)
    covariance = Covariance.of(
        make_kernel("squared_exponential", 5.0), InverseDistance(100), cluster.positions
    )
    assert covariance.x.shape[1] > 8 * covariance.n_rows
    noise = covariance.noise_variances(1e-3, 1e-3)
    tracemalloc.start()
    plan = plan_low_rank(covariance, noise, 8000, 1e-4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * covariance.n_rows**2 + 8 * covariance.x.size
    assert len(plan.make()) == plan.rank <= covariance.n_rows


@pytest.mark.parametrize("n_atoms", [12, 90])
def test_the_memory_of_a_dense_matrix_is_forecast_with_its_derivatives(n_atoms):
    """Of large structures the descriptor's derivatives take more than the matrix: 30 times at 500 atoms."""
    positions = 1.5 * np.random.default_rng(0).standard_normal((4, n_atoms, 3))
    covariance = Covariance.of(make_kernel("squared_exponential", 1.0), InverseDistance(n_atoms), positions)
    tracemalloc.start()
    CholeskySolver(covariance, 1e-2, 1e-2, 1e-6)
    measured = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    matrix = dense_bytes(4, n_atoms)
    forecast = matrix + jacobian_bytes(4, n_atoms, n_atoms * (n_atoms - 1) // 2)
    assert 0.6 * forecast < measured < 1.4 * forecast
    assert (measured > 5.0 * matrix) is (n_atoms == 90)
