from __future__ import annotations

import numpy as np
import pytest
from small_molecule import cholesky, make_set

from aenet_gpr_cli.descriptors.base import Descriptor
from aenet_gpr_cli.descriptors.cartesian import Cartesian
from aenet_gpr_cli.descriptors.inverse_distance import InverseDistance
from aenet_gpr_cli.gpr.conjugate_gradient import ConjugateGradientSolver
from aenet_gpr_cli.gpr.covariance import Covariance
from aenet_gpr_cli.gpr.kernels import SquaredExponential
from aenet_gpr_cli.gpr.leave_one_out import leave_one_out, leave_one_out_sample
from aenet_gpr_cli.gpr.regression import fit
from aenet_gpr_cli.gpr.rows import split_rows, stack_rows
from aenet_gpr_cli.gpr.solvers import CholeskySolver

STRUCTURES = make_set(9, seed=0)
KERNEL, NOISE = SquaredExponential(0.8), 1e-2


@pytest.mark.parametrize("descriptor", [Cartesian(4), InverseDistance(4)])
def test_equals_refitting_without_each_structure(descriptor: Descriptor) -> None:
    result = leave_one_out(STRUCTURES, descriptor, KERNEL, NOISE, NOISE, 0.0)
    model = fit(STRUCTURES, descriptor, KERNEL, NOISE, NOISE, cholesky)
    assert STRUCTURES.energies is not None
    assert STRUCTURES.forces is not None
    whole = model.covariance(descriptor)
    for left_out in (0, 5):
        others = np.delete(np.arange(9), left_out)
        solver = CholeskySolver(whole.select(others), NOISE, NOISE, 0.0)
        rows = stack_rows(STRUCTURES.energies[others] - model.prior_mean, -STRUCTURES.forces[others])
        # columns of the left-out structure against the rows of the others
        columns = whole.columns(np.array([left_out]))
        kept = np.concatenate([others, (9 + 12 * others[:, None] + np.arange(12)).ravel()])
        posterior = columns[kept].T @ solver.solve(rows[:, None])[:, 0]
        energy, gradients = split_rows(posterior, 1)
        error = energy[0] + model.prior_mean - STRUCTURES.energies[left_out]
        assert abs(error) > 1e-4
        assert result.energy_errors[left_out] == pytest.approx(error, abs=1e-7)
        np.testing.assert_allclose(
            result.force_errors[left_out], -gradients[0] - STRUCTURES.forces[left_out], atol=1e-6
        )
        half = solver.half_solve(columns[kept][:, :1])
        variance = 1.0 - (half**2).sum() + NOISE**2
        assert result.energy_sigma[left_out] == pytest.approx(model.signal_std * variance**0.5, rel=1e-5)


def test_summaries_are_mean_absolute_errors() -> None:
    result = leave_one_out(STRUCTURES, InverseDistance(4), KERNEL, NOISE, NOISE, 0.0)
    assert result.energy_mae == pytest.approx(np.mean(np.abs(result.energy_errors)))
    assert result.force_component_mae == pytest.approx(np.mean(np.abs(result.force_errors)))


def test_sample_without_matrices_equals_the_closed_form() -> None:
    def iterative(covariance: Covariance, noise_energy: float, noise_force: float) -> ConjugateGradientSolver:
        return ConjugateGradientSolver(covariance, noise_energy, noise_force, 60, 1e-11, 2000)

    chosen, descriptor = np.array([7, 2, 4]), InverseDistance(4)
    exact = leave_one_out(STRUCTURES, descriptor, KERNEL, NOISE, NOISE, 0.0)
    sample = leave_one_out_sample(STRUCTURES, descriptor, KERNEL, NOISE, NOISE, iterative, chosen)
    np.testing.assert_allclose(sample.energy_errors, exact.energy_errors[chosen], atol=1e-6)
    np.testing.assert_allclose(sample.force_errors, exact.force_errors[chosen], atol=1e-5)
    np.testing.assert_allclose(sample.energy_sigma, exact.energy_sigma[chosen], rtol=1e-4)
