from __future__ import annotations

import numpy as np
import pytest
from small_molecule import cholesky, make_set

from aenet_gpr_cli.descriptors.base import Descriptor
from aenet_gpr_cli.descriptors.cartesian import Cartesian
from aenet_gpr_cli.descriptors.inverse_distance import InverseDistance
from aenet_gpr_cli.gpr.evidence import Hyperparameters, Problem
from aenet_gpr_cli.gpr.kernels import make_kernel
from aenet_gpr_cli.gpr.leave_one_out import leave_one_out
from aenet_gpr_cli.gpr.regression import fit, predict

STRUCTURES = make_set(9, seed=0)
PARAMETERS = Hyperparameters(0.7, 3e-3, 2e-3)


@pytest.mark.parametrize("kernel", ["squared_exponential", "matern52"])
@pytest.mark.parametrize("descriptor", [Cartesian(4), InverseDistance(4)])
def test_gradient_is_that_of_the_likelihood(kernel: str, descriptor: Descriptor) -> None:
    problem, h = Problem.of(STRUCTURES, descriptor, kernel, 0.0), 1e-4
    numeric = [
        (
            problem.likelihood(Hyperparameters.from_logs(PARAMETERS.logs + step), False).value
            - problem.likelihood(Hyperparameters.from_logs(PARAMETERS.logs - step), False).value
        )
        / (2 * h)
        for step in h * np.eye(3)
    ]
    gradient = problem.likelihood(PARAMETERS, True).gradient
    assert gradient is not None
    assert np.abs(gradient).max() > 1.0  # the comparison would also hold for zeros
    # truncation of order h² of values around 100, condition number 1e7
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("descriptor", [Cartesian(4), InverseDistance(4)])
def test_leaving_out_what_is_never_seen_changes_no_likelihood(descriptor: Descriptor) -> None:
    kernel = make_kernel("squared_exponential", PARAMETERS.length_scale)
    model = fit(STRUCTURES, descriptor, kernel, 3e-3, 2e-3, cholesky)
    evidence = Problem.of(STRUCTURES, descriptor, "squared_exponential", 0.0).likelihood(PARAMETERS, False)
    assert evidence.value == pytest.approx(model.log_marginal_likelihood, abs=1e-6)
    assert evidence.signal_std == pytest.approx(model.signal_std, rel=1e-8)


def test_leave_one_out_probability_is_that_of_its_errors() -> None:
    # one direction is enough to tell: energies alone carry the block of each structure in Cartesian space
    descriptor, kernel = Cartesian(4), make_kernel("squared_exponential", 0.7)
    evidence = Problem.of(STRUCTURES, descriptor, "squared_exponential", 0.0).leave_one_out(PARAMETERS)
    errors = leave_one_out(STRUCTURES, descriptor, kernel, 3e-3, 2e-3, 0.0)
    model = fit(STRUCTURES, descriptor, kernel, 3e-3, 2e-3, cholesky)
    problem = Problem.of(STRUCTURES, descriptor, "squared_exponential", 0.0)
    covariance, solver, *_ = problem._solve(PARAMETERS)
    whole = covariance.columns(slice(None)) + np.diag(covariance.noise_variances(3e-3, 2e-3))
    total, rows, quadratic = 0.0, len(whole), 0.0
    for i in range(9):
        own = np.r_[i, 9 + 12 * i + np.arange(12)]
        others = np.setdiff1d(np.arange(rows), own)
        gain = np.linalg.solve(whole[np.ix_(others, others)], whole[np.ix_(others, own)])
        variance = whole[np.ix_(own, own)] - whole[np.ix_(own, others)] @ gain
        assert model.signal_std * variance[0, 0] ** 0.5 == pytest.approx(errors.energy_sigma[i], rel=1e-6)
        residual = problem.targets - model_mean(problem, solver)
        error = residual[own] - gain.T @ residual[others]
        assert abs(error[0]) == pytest.approx(abs(errors.energy_errors[i]), rel=1e-5)
        total -= 0.5 * np.linalg.slogdet(variance)[1]
        quadratic += error @ np.linalg.solve(variance, error)
    expected = total - 0.5 * rows * (1 + np.log(2 * np.pi * quadratic / rows))
    assert evidence.value == pytest.approx(expected, rel=1e-8)


def model_mean(problem: Problem, solver) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Prior mean on the energy rows."""
    unit = np.r_[np.ones(problem.n_structures), np.zeros(len(problem.targets) - problem.n_structures)]
    return solver.solve_centred(problem.targets, unit)[1] * unit


def test_typical_distance_is_the_median() -> None:
    problem = Problem.of(STRUCTURES.select([0, 1, 2]), Cartesian(4), "matern52", 0.0)
    x = STRUCTURES.positions[:3].reshape(3, -1)
    distances = [np.linalg.norm(x[i] - x[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert problem.typical_distance() == pytest.approx(np.median(distances))


def test_errors_on_what_is_held_out_are_those_of_a_fit_without_it() -> None:
    # as many directions as coordinates, so that lengths of force errors are the same in both
    descriptor, kernel = Cartesian(4), make_kernel("squared_exponential", 0.7)
    evidence = Problem.of(STRUCTURES, descriptor, "squared_exponential", 0.0).held_out(PARAMETERS, 3)
    model = fit(STRUCTURES.select(slice(0, 6)), descriptor, kernel, 3e-3, 2e-3, cholesky)
    assert evidence.signal_std == pytest.approx(model.signal_std, rel=1e-6)
    rest = STRUCTURES.select(slice(6, None))
    assert rest.energies is not None
    assert rest.forces is not None
    energies, forces = predict(model, descriptor, rest.positions)
    product = np.square(energies - rest.energies).mean() * np.square(forces - rest.forces).mean()
    assert evidence.value == pytest.approx(-0.25 * np.log(product) * 9 * 13, rel=1e-6)
