from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.composite import Composite
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.errors import ConfigError

POSITIONS = np.random.default_rng(0).normal(size=(3, 5, 3)) * 2.0
PARTS = (InverseDistance(5), Cartesian(5))
BOTH = Composite(PARTS, (2.0, 0.5))


def test_squared_distances_are_weighted_sums() -> None:
    def squared(descriptor: object) -> float:
        x = descriptor.values(POSITIONS)  # type: ignore[attr-defined]
        return float(((x[0] - x[1]) ** 2).sum())

    np.testing.assert_allclose(squared(BOTH), 4.0 * squared(PARTS[0]) + 0.25 * squared(PARTS[1]), rtol=1e-12)
    assert BOTH.n_features == BOTH.values(POSITIONS).shape[1] == 25
    assert BOTH.name == "inverse_distance+cartesian"


def test_jacobian_and_products_agree_with_central_differences() -> None:
    h = 1e-5
    steps = h * np.eye(15).reshape(15, 5, 3)
    numeric = np.stack(
        [(BOTH.values(POSITIONS + s) - BOTH.values(POSITIONS - s)) / (2 * h) for s in steps], axis=2
    )
    jacobian = BOTH.jacobian(POSITIONS)
    assert np.abs(numeric[:, :10]).max() > 0.1  # the comparison would also hold for zeros
    # truncation h² x''' / 6 with x''' up to 120 / r⁴ for the closest pair
    np.testing.assert_allclose(jacobian, numeric, atol=1e-7)
    rng = np.random.default_rng(1)
    tangents, cotangents = rng.normal(size=POSITIONS.shape), rng.normal(size=jacobian.shape[:2])
    np.testing.assert_allclose(
        BOTH.jvp(POSITIONS, tangents),
        np.einsum("npa,na->np", jacobian, tangents.reshape(3, -1)),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        BOTH.vjp(POSITIONS, cotangents).reshape(3, -1),
        np.einsum("npa,np->na", jacobian, cotangents),
        atol=1e-12,
    )


def test_selected_linearisation_is_that_of_the_selected_structures() -> None:
    selected = BOTH.linearise(POSITIONS).select(np.array([2, 0]))
    np.testing.assert_array_equal(selected.values, BOTH.values(POSITIONS[[2, 0]]))
    np.testing.assert_array_equal(selected.jacobian(slice(None)), BOTH.jacobian(POSITIONS[[2, 0]]))


def test_wrong_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match="one weight per part, got 2 and 1"):
        Composite(PARTS, (1.0,))
    with pytest.raises(ConfigError, match="positive numbers"):
        Composite(PARTS, (1.0, 0.0))
