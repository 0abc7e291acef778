from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.descriptors.structure.permutation import PermutationImages, check_group
from aenet_gpr_cli.errors import ConfigError

CYCLE = [[0, 1, 2, 3], [1, 2, 0, 3], [2, 0, 1, 3]]  # not its own inverse: catches g mixed up with its inverse
POSITIONS = np.random.default_rng(0).normal(size=(5, 4, 3)) + 3.0 * np.eye(4)[:, :3]
INNER = [Cartesian(4), InverseDistance(4)]


@pytest.mark.parametrize("inner", INNER)
def test_jacobian_and_products_are_derivatives_of_the_values(inner: Descriptor) -> None:
    descriptor, h = PermutationImages(inner, CYCLE), 1e-5
    points = descriptor.linearise(POSITIONS)
    np.testing.assert_array_equal(points.values, descriptor.values(POSITIONS))
    jacobian = points.jacobian(slice(None))
    steps = h * np.eye(12).reshape(12, 4, 3)
    numeric = np.stack(
        [(descriptor.values(POSITIONS + s) - descriptor.values(POSITIONS - s)) / (2 * h) for s in steps],
        axis=2,
    )
    assert np.abs(numeric).max() > 0.1
    np.testing.assert_allclose(jacobian, numeric, atol=1e-8)
    rng = np.random.default_rng(1)
    tangents, cotangents = rng.normal(size=(5, 4, 3)), rng.normal(size=(5, descriptor.n_features))
    np.testing.assert_allclose(
        points.jvp(tangents), np.einsum("npa,na->np", jacobian, tangents.reshape(5, -1)), atol=1e-12
    )
    np.testing.assert_allclose(
        points.vjp(cotangents).reshape(5, -1), np.einsum("npa,np->na", jacobian, cotangents), atol=1e-12
    )
    np.testing.assert_array_equal(points.select([3, 1]).jacobian(slice(None)), jacobian[[3, 1]])


@pytest.mark.parametrize("inner", INNER)
def test_permuted_structure_has_the_same_images_in_another_order(inner: Descriptor) -> None:
    descriptor = PermutationImages(inner, CYCLE)
    images = descriptor.values(POSITIONS).reshape(5, 3, -1)
    turned = descriptor.values(POSITIONS[:, CYCLE[1]]).reshape(5, 3, -1)
    order = [int(np.argmin(np.abs(images[0] - one).sum(axis=1))) for one in turned[0]]
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(turned, images[:, order], atol=1e-14)


def test_only_groups_are_accepted() -> None:
    assert check_group(CYCLE).shape == (3, 4)
    with pytest.raises(ConfigError, match="expected a group"):
        check_group(CYCLE[:2])
    with pytest.raises(ConfigError, match="once each"):
        check_group([[0, 0, 1]])
    with pytest.raises(ConfigError, match="twice"):
        check_group([[0, 1], [0, 1]])
    with pytest.raises(ConfigError, match="1 to"):
        check_group([])
