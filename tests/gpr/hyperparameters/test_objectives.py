from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.gpr.covariance.observation_order import split_rows, stack_rows
from aenet_gpr_cli.gpr.covariance.seen_directions import expressible
from aenet_gpr_cli.gpr.hyperparameters.objectives import Problem
from aenet_gpr_cli.gpr.kernels.stationary import Kernel, make_kernel
from aenet_gpr_cli.gpr.process_settings import Hyperparameters
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.regression.gp_model import predict
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver
from tests.gpr.small_molecule import cholesky, make_set

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


def refitted(descriptor: Descriptor, kernel: Kernel, noise_energy: float, noise_force: float):
    """Errors of energies and forces of each structure, predicted from a solve with the others."""
    assert STRUCTURES.energies is not None
    assert STRUCTURES.forces is not None
    model = fit(STRUCTURES, descriptor, kernel, noise_energy, noise_force, cholesky)
    whole, n = model.covariance(descriptor), len(STRUCTURES)
    energies, forces = np.zeros(n), np.zeros_like(STRUCTURES.forces)
    for left_out in range(n):
        others = np.delete(np.arange(n), left_out)
        solver = CholeskySolver(whole.select(others), noise_energy, noise_force, 0.0)
        rows = stack_rows(STRUCTURES.energies[others] - model.prior_mean, -STRUCTURES.forces[others])
        columns = whole.columns(np.array([left_out]))
        kept = np.concatenate([others, (n + 12 * others[:, None] + np.arange(12)).ravel()])
        energy, gradients = split_rows(columns[kept].T @ solver.solve(rows[:, None])[:, 0], 1)
        energies[left_out] = energy[0] + model.prior_mean - STRUCTURES.energies[left_out]
        forces[left_out] = -gradients[0] - STRUCTURES.forces[left_out]
    return energies, forces


@pytest.mark.parametrize("descriptor", [Cartesian(4), InverseDistance(4)])
def test_leave_one_out_errors_are_those_of_fits_without_each_structure(descriptor: Descriptor) -> None:
    kernel = make_kernel("squared_exponential", 0.7)
    evidence = Problem.of(STRUCTURES, descriptor, "squared_exponential", 0.0).leave_one_out(PARAMETERS)
    energy_errors, force_errors = refitted(descriptor, kernel, 3e-3, 2e-3)
    seen = expressible(descriptor.linearise(STRUCTURES.positions), force_errors)[0]
    n_seen = 12 if descriptor.name == "cartesian" else 6
    product = np.square(energy_errors).mean() * np.square(seen).sum() / (9 * n_seen)
    assert evidence.value == pytest.approx(-0.25 * np.log(product) * 9 * (1 + n_seen), rel=1e-5)


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
