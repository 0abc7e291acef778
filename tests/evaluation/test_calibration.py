from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.evaluation.calibration import LEVELS, calibrate, sorting, z_scores


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
    assert result.z_rms == pytest.approx(1.0, abs=0.02)
    assert result.n == 20000


def test_sign_is_reference_minus_prediction() -> None:
    z = z_scores(np.array([2.0]), np.array([1.0]), np.array([0.3]), 0.4)
    np.testing.assert_allclose(z, 2.0)


def test_too_small_sigma_covers_less_than_it_promises() -> None:
    errors, sigma = draw(true_over_claimed=3.0)
    result = calibrate(z_scores(errors, np.zeros(len(errors)), sigma, 0.02))
    assert max(result.coverage) < 0.55
    assert result.z_rms == pytest.approx(3.0, abs=0.06)


def test_a_shift_is_an_error_too() -> None:
    result = calibrate(z_scores(np.full(5, 4.0) + 0.1 * np.arange(5), np.zeros(5), np.full(5, 2.0), 0.0))
    assert result.z_rms == pytest.approx(np.sqrt(2.1**2 + 0.05**2 * 2))
    assert result.z_mean == pytest.approx(2.1)


def test_what_says_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="positive standard deviations"):
        z_scores(np.ones(2), np.ones(2), np.zeros(2), 0.0)
    with pytest.raises(InputError, match="equal shapes"):
        z_scores(np.ones(2), np.ones(3), np.ones(2), 0.0)
    with pytest.raises(InputError, match="at least one"):
        calibrate(np.zeros(0))


def test_normal_errors_are_sorted_as_well_as_expected():
    rng = np.random.default_rng(8)
    sigma = np.exp(rng.normal(size=4000))
    found = sorting(sigma * rng.normal(size=4000), sigma, rng)
    assert found.rank_correlation == pytest.approx(found.expected, abs=0.04)
    assert found.expected > 0.3
    assert found.mae_sure < 0.5 * found.mae_unsure


def test_sigma_that_says_nothing_does_not_sort():
    rng = np.random.default_rng(9)
    errors, sigma = rng.normal(size=2000), np.exp(rng.normal(size=2000))
    found = sorting(errors, sigma, rng)
    assert abs(found.rank_correlation) < 0.1
    assert found.mae_sure == pytest.approx(found.mae_unsure, rel=0.1)
    alike = sorting(errors, np.ones(2000), rng)
    assert alike.rank_correlation == alike.expected == 0.0


def test_one_error_cannot_be_sorted():
    with pytest.raises(InputError, match="at least two"):
        sorting(np.ones(1), np.ones(1), np.random.default_rng(0))
