from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import block_diag
from scipy.optimize import minimize

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.gpr.covariance.observation_order import stack_rows
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import SquaredExponential
from aenet_gpr_cli.gpr.regression.conditioning import centred_targets, closed_form_signal, fit
from aenet_gpr_cli.structures import FloatArray
from tests.gpr.small_molecule import cholesky, make_set, symmetric


def seen_directions(descriptor: Descriptor, positions: FloatArray) -> FloatArray:
    """Orthonormal rows that span the energies and the force directions a descriptor can express."""
    rank = 6 if isinstance(descriptor, InverseDistance) else 12
    spans = [np.linalg.svd(jacobian, full_matrices=False)[2] for jacobian in descriptor.jacobian(positions)]
    return block_diag(np.eye(len(positions)), *(span[:rank] for span in spans))


@pytest.mark.parametrize("descriptor", [Cartesian(4), InverseDistance(4)])
def test_mean_and_variance_maximise_the_likelihood(descriptor: Descriptor) -> None:
    structures, kernel, noise = make_set(8, seed=0), SquaredExponential(0.8), 0.05
    model = fit(structures, descriptor, kernel, noise, noise, cholesky)
    energies, gradients, offset = centred_targets(structures)
    seen = seen_directions(descriptor, structures.positions)
    y = seen @ stack_rows(energies, gradients)
    unit = np.r_[np.ones(8), np.zeros(len(y) - 8)]
    covariance = Covariance.of(kernel, descriptor, structures.positions)
    relative = seen @ symmetric(covariance.dense()) @ seen.T + noise**2 * np.eye(len(y))
    inverse, log_determinant = np.linalg.inv(relative), np.linalg.slogdet(relative)[1]

    def negative_log_likelihood(parameters: np.ndarray) -> float:
        """Density of a multivariate normal, written out."""
        mean, log_std = parameters
        residual = y - mean * unit
        quadratic = residual @ inverse @ residual / np.exp(2 * log_std)
        n = len(y)
        return 0.5 * (quadratic + 2 * n * log_std + log_determinant + n * np.log(2 * np.pi))

    best = minimize(negative_log_likelihood, [0.0, 0.0], method="BFGS", options={"gtol": 1e-7})
    # the maximum is flat: its place is known to the root of the precision of its value
    assert model.prior_mean - offset == pytest.approx(best.x[0], abs=1e-5)
    assert model.signal_std == pytest.approx(np.exp(best.x[1]), rel=1e-5)
    assert model.log_marginal_likelihood == pytest.approx(-best.fun, abs=1e-6)


def test_indefinite_quadratic_form_is_refused_with_advice() -> None:
    residual = np.array([1.0, -1.0])
    with pytest.raises(NumericalError, match="raise the noise"):
        closed_form_signal(residual, -residual)
