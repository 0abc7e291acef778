"""The kernel summed over the images of one argument is the double sum, in all its blocks."""

from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.descriptors.structure.permutation import PermutationImages
from aenet_gpr_cli.gpr.covariance.centre_pairs import CentrePairCovariance
from aenet_gpr_cli.gpr.covariance.image_pairs import ImageCovariance, covariance_at
from aenet_gpr_cli.gpr.covariance.seen_directions import Directions
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from tests.gpr.small_molecule import make_set, symmetric

POSITIONS = make_set(5, seed=3).positions
GROUP = [[1, 2, 0, 3], [0, 1, 2, 3], [2, 0, 1, 3], [1, 0, 2, 3], [0, 2, 1, 3], [2, 1, 0, 3]]  # not abelian
KERNELS = ["squared_exponential", "matern52"]
DESCRIPTORS = [InverseDistance(4), Cartesian(4)]


@pytest.mark.parametrize("inner", DESCRIPTORS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_one_sum_is_the_double_sum(kernel: str, inner: InverseDistance | Cartesian) -> None:
    descriptor = PermutationImages(inner, GROUP)
    made = make_kernel(kernel, 0.8)
    double = CentrePairCovariance.of(made, descriptor, POSITIONS, 6)
    single = covariance_at(made, descriptor, POSITIONS, 6)
    assert isinstance(single, ImageCovariance)
    full, chosen = double.columns(slice(None)), np.array([4, 1])
    assert np.abs(full[5:, 5:]).max() > 0.1
    near = {"rtol": 1e-11, "atol": 1e-11 * np.abs(full).max()}
    np.testing.assert_allclose(single.columns(slice(None)), full, **near)
    np.testing.assert_allclose(symmetric(single.dense()), full, **near)
    np.testing.assert_allclose(single.columns(chosen), double.columns(chosen), **near)
    values = descriptor.values(POSITIONS[chosen])
    np.testing.assert_allclose(single.energy_columns(values), full[:, chosen], **near)
    np.testing.assert_allclose(single.energy_variances(values), np.diag(full)[chosen], rtol=1e-12)
    vectors = np.random.default_rng(0).normal(size=(single.n_rows, 2))
    for tables in (None, single.tables(10**6)):
        np.testing.assert_allclose(single.product(vectors, tables), full @ vectors, rtol=1e-9, atol=1e-9)
    assert single.tables(8 * 25 * 6 - 1) is None


def test_it_does_not_change_when_a_structure_is_permuted() -> None:
    descriptor, made = PermutationImages(InverseDistance(4), GROUP), make_kernel("squared_exponential", 0.8)
    moved = POSITIONS.copy()
    moved[2] = moved[2][GROUP[3]]
    before, after = (symmetric(covariance_at(made, descriptor, p, 6).dense()) for p in (POSITIONS, moved))
    rows = np.arange(len(before))
    own = 5 + 12 * 2 + np.arange(12)
    rows[own] = own.reshape(4, 3)[GROUP[3]].ravel()
    np.testing.assert_allclose(after, before[np.ix_(rows, rows)], rtol=1e-11, atol=1e-12)


def test_directional_derivatives_of_images_are_those_of_all_atoms() -> None:
    descriptor, made = PermutationImages(InverseDistance(4), GROUP), make_kernel("matern52", 0.8)
    whole = covariance_at(made, descriptor, POSITIONS, 6)
    directions = Directions.of(whole.points)
    seen = directions.n_seen
    restricted = directions.restrict(whole.points, slice(None), seen)
    reduced = ImageCovariance(made, restricted, whole.origin, seen // 3)
    turn = np.zeros((whole.n_rows, reduced.n_rows))
    turn[:5, :5] = np.eye(5)
    for i in range(5):
        turn[5 + 12 * i : 17 + 12 * i, 5 + seen * i : 5 + seen * (i + 1)] = directions.q[i, :, :seen]
    np.testing.assert_allclose(
        symmetric(reduced.dense()), turn.T @ symmetric(whole.dense()) @ turn, rtol=1e-10, atol=1e-11
    )
