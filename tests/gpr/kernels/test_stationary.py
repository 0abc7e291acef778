from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.gpr.kernels.stationary import KERNELS, LengthScaleDerivative, make_kernel


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_k1_and_k2_are_derivatives_with_respect_to_the_squared_distance(name: str) -> None:
    kernel, d2, h = make_kernel(name, 0.7), np.linspace(0.1, 4.0, 30), 1e-5
    k, k1, k2 = kernel(d2)
    assert k2.min() > 1e-4  # the comparison would also hold for zeros
    upper, lower = kernel(d2 + h), kernel(d2 - h)
    np.testing.assert_allclose(k1, -(upper[0] - lower[0]) / h, rtol=1e-7)  # -2 dk/d(d²)
    np.testing.assert_allclose(k2, -(upper[1] - lower[1]) / h, rtol=1e-7)  # -2 dk1/d(d²)
    np.testing.assert_array_equal(kernel.value(d2), k)


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_derivatives_with_respect_to_the_length_scale(name: str) -> None:
    d2, h = np.linspace(0.0, 4.0, 30), 1e-5
    derivative = LengthScaleDerivative(make_kernel(name, 0.7))
    upper, lower = (make_kernel(name, 0.7 * np.exp(step))(d2) for step in (h, -h))
    for own, plus, minus in zip(derivative(d2), upper, lower, strict=True):
        assert np.abs(own).max() > 0.1
        np.testing.assert_allclose(own, (plus - minus) / (2 * h), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_unit_variance_at_zero_distance_and_nothing_far_away(name: str) -> None:
    k, k1, k2 = make_kernel(name, 0.7)(np.array([0.0, 1e6]))
    assert k[0] == 1.0
    assert np.isfinite([k1, k2]).all()
    assert k[1] < 1e-100


def test_unknown_name_and_bad_length_scale_are_refused() -> None:
    with pytest.raises(ConfigError, match="squared_exponential, matern52, got 'rbf'"):
        make_kernel("rbf", 1.0)
    for bad in (0.0, -1.0, np.nan):
        with pytest.raises(ConfigError, match="length_scale"):
            make_kernel("matern52", bad)
