from __future__ import annotations

import numpy as np
import pytest
from small_molecule import cholesky, make_set

from aenet_gpr_cli.descriptors.inverse_distance import InverseDistance
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.gpr import domain as module
from aenet_gpr_cli.gpr.domain import domain
from aenet_gpr_cli.gpr.kernels import SquaredExponential
from aenet_gpr_cli.gpr.regression import GPModel, fit

TRAINING = make_set(30, seed=0)


def fitted(n: int = 30) -> GPModel:
    return fit(
        TRAINING.select(slice(0, n)), InverseDistance(4), SquaredExponential(0.8), 1e-3, 1e-3, cholesky
    )


def test_training_data_are_inside_and_distorted_structures_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    model, descriptor = fitted(), InverseDistance(4)
    own = domain(model, descriptor, TRAINING.positions, 1.0, None, 1.0)
    np.testing.assert_allclose(own.distance, 0.0, atol=1e-6)
    assert not own.outside.any()
    similar = domain(model, descriptor, make_set(40, seed=1).positions, 1.0, None, 1.0)
    assert similar.outside.mean() < 0.2
    squeezed = 0.6 * TRAINING.positions
    far = domain(model, descriptor, squeezed, 1.0, None, 1.0)
    assert far.outside.all()
    monkeypatch.setattr(module, "BLOCK", 7)
    np.testing.assert_array_equal(domain(model, descriptor, squeezed, 1.0, None, 1.0).distance, far.distance)


def test_distance_is_in_units_of_the_largest_gap() -> None:
    model, descriptor = fitted(), InverseDistance(4)
    x = descriptor.values(TRAINING.positions)
    between = np.linalg.norm(x[:, None] - x[None], axis=2) + 1e9 * np.eye(30)
    test = make_set(5, seed=1).positions
    nearest = np.linalg.norm(descriptor.values(test)[:, None] - x[None], axis=2).min(axis=1)
    result = domain(model, descriptor, test, 1.0, None, 1.0)
    np.testing.assert_allclose(result.distance, nearest / between.min(axis=1).max(), rtol=1e-6)


def test_uncertain_structures_are_outside_too() -> None:
    sigma = np.array([0.01, 0.2, 0.01])
    result = domain(fitted(), InverseDistance(4), TRAINING.positions[:3], 1.0, sigma, 0.1)
    np.testing.assert_array_equal(result.outside, [False, True, False])


def test_one_training_structure_flags_nothing_and_bad_limits_are_refused() -> None:
    result = domain(fitted(1), InverseDistance(4), TRAINING.positions, 1.0, None, 1.0)
    np.testing.assert_array_equal(result.distance, 0.0)
    with pytest.raises(ConfigError, match="positive limits"):
        domain(fitted(), InverseDistance(4), TRAINING.positions, 0.0, None, 1.0)
