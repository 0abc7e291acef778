from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.descriptor_settings import SoapSettings
from aenet_gpr_cli.descriptors.soap.soap_descriptor import Soap
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.gpr.covariance.centre_pairs import CentrePairCovariance
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from aenet_gpr_cli.gpr.solvers import mixed_precision as module
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver
from aenet_gpr_cli.gpr.solvers.mixed_precision import MixedPrecisionSolver, SinglePrecisionFactor
from tests.gpr.small_molecule import cg, make_set, symmetric

POSITIONS = make_set(12, seed=3).positions
POINTS = ((0.5, 0.5, 0.5), (-0.5, 1.0, 0.0), (1.0, -0.3, 0.4))
KEYS = SoapSettings(cutoff=3.0, n_max=2, l_max=2, sigma=0.6, average="off", centres=POINTS)
DESCRIPTOR = Soap(("O", "H", "H", "C"), KEYS)
COVARIANCE = CentrePairCovariance.of(make_kernel("squared_exponential", 1.5), DESCRIPTOR, POSITIONS, 3)
NOISE = 1e-3


def test_solution_is_that_of_double_precision_in_few_iterations() -> None:
    rng = np.random.default_rng(0)
    targets, unit = rng.normal(size=COVARIANCE.n_rows), np.repeat([1.0, 0.0], [12, 144])
    exact = CholeskySolver(COVARIANCE, NOISE, NOISE, 0.0)
    solver = MixedPrecisionSolver(COVARIANCE, NOISE, NOISE, cg(0, 1e-9, 200))
    weights, mean = solver.solve_centred(targets, unit)
    expected, expected_mean = exact.solve_centred(targets, unit)
    np.testing.assert_allclose(weights, expected, atol=1e-4 * np.abs(expected).max())
    assert mean == pytest.approx(expected_mean, rel=1e-6)
    assert solver.iterations < 60
    single = SinglePrecisionFactor(COVARIANCE, COVARIANCE.noise_variances(NOISE, NOISE))(targets)
    error = np.linalg.norm(exact.solve(targets[:, None])[:, 0] - single)
    assert error > 1e-3 * np.linalg.norm(single)  # the factor alone is not enough


def test_matrix_in_single_precision_is_the_rounded_one() -> None:
    double, single = (symmetric(COVARIANCE.dense(dtype)) for dtype in (np.float64, np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, atol=1e-4 * np.abs(double).max())
    assert np.abs(single - double).max() > 0.0


def test_size_of_the_right_hand_side_does_not_matter() -> None:
    factor = SinglePrecisionFactor(COVARIANCE, COVARIANCE.noise_variances(NOISE, NOISE))
    right = np.random.default_rng(1).normal(size=COVARIANCE.n_rows)
    np.testing.assert_allclose(factor(1e-60 * right), 1e-60 * factor(right), rtol=1e-6)
    np.testing.assert_array_equal(factor(0.0 * right), 0.0)


def test_singular_matrices_are_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "spotrf", lambda matrix, **_: (matrix, 7))
    with pytest.raises(NumericalError, match="12 structures is not positive definite in single precision"):
        SinglePrecisionFactor(COVARIANCE, COVARIANCE.noise_variances(NOISE, NOISE))
