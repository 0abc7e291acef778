from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.errors import InputError


def test_values_are_the_coordinates_and_the_jacobian_is_one() -> None:
    positions = np.random.default_rng(0).normal(size=(3, 4, 3))
    descriptor = Cartesian(4)
    assert descriptor.n_features == 12
    np.testing.assert_array_equal(descriptor.values(positions), positions.reshape(3, 12))
    np.testing.assert_array_equal(descriptor.jacobian(positions), np.tile(np.eye(12), (3, 1, 1)))


def test_products_agree_with_the_jacobian() -> None:
    rng = np.random.default_rng(1)
    positions, tangents = rng.normal(size=(2, 3, 4, 3))
    cotangents = rng.normal(size=(3, 12))
    descriptor = Cartesian(4)
    np.testing.assert_array_equal(descriptor.jvp(positions, tangents), tangents.reshape(3, 12))
    np.testing.assert_array_equal(descriptor.vjp(positions, cotangents), cotangents.reshape(3, 4, 3))


def test_input_is_copied_and_wrong_shapes_are_refused() -> None:
    positions = np.zeros((2, 4, 3))
    Cartesian(4).values(positions)[:] = 1.0
    assert not positions.any()
    with pytest.raises(InputError, match=r"expected shape \(n, 5, 3\)"):
        Cartesian(5).values(positions)
