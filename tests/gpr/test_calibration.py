from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.calibration import LEVELS, calibrate, sigma_factor, z_scores
from aenet_gpr_cli.gpr.leave_one_out import LeaveOneOut


def draw(n: int = 20000, true_over_claimed: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.001, 0.1, n)
    return true_over_claimed * np.hypot(sigma, 0.02) * rng.normal(size=n), sigma


def test_right_sigma_covers_what_it_promises() -> None:
    errors, sigma = draw()
    result = calibrate(z_scores(errors - 18642.0, np.full(len(errors), -18642.0), sigma, 0.02))
    # 20,000 draws: standard error of a share below 0.004, of the spread 0.005
    np.testing.assert_allclose(result.coverage, LEVELS, atol=0.015)
    assert result.z_mean == pytest.approx(0.0, abs=0.03)
    assert result.z_std == pytest.approx(1.0, abs=0.02)
    assert result.n == 20000


def test_sign_is_reference_minus_prediction() -> None:
    z = z_scores(np.array([2.0]), np.array([1.0]), np.array([0.3]), 0.4)
    np.testing.assert_allclose(z, 2.0)


def test_factor_undoes_wrong_sigma() -> None:
    errors, sigma = draw(true_over_claimed=3.0)
    left_out = LeaveOneOut(-errors, np.zeros((len(errors), 1, 3)), np.hypot(sigma, 0.02))
    factor = sigma_factor(left_out)
    assert factor == pytest.approx(3.0, abs=0.06)
    zero = np.zeros(len(errors))
    assert max(calibrate(z_scores(errors, zero, sigma, 0.02)).coverage) < 0.55
    honest = calibrate(z_scores(errors, zero, factor * np.hypot(sigma, 0.02), 0.0))
    np.testing.assert_allclose(honest.coverage, LEVELS, atol=0.015)


def test_what_says_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="positive standard deviations"):
        z_scores(np.ones(2), np.ones(2), np.zeros(2), 0.0)
    with pytest.raises(InputError, match="equal shapes"):
        z_scores(np.ones(2), np.ones(3), np.ones(2), 0.0)
    with pytest.raises(InputError, match="at least one"):
        calibrate(np.zeros(0))
