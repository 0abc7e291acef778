from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.structures import FloatArray

SKEWED = np.array([[4.0, 0.0, 0.0], [3.1, 4.0, 0.0], [1.0, 2.3, 6.0]])
ALL = (True, True, True)


@pytest.fixture
def positions() -> FloatArray:
    return np.random.default_rng(0).normal(size=(3, 6, 3)) * 2.0


def descriptors(positions: FloatArray) -> list[InverseDistance]:
    return [
        InverseDistance(6),
        InverseDistance(6, power=2.0),
        InverseDistance(6, SKEWED, ALL),
        InverseDistance(6, SKEWED, (True, True, False), reference=positions[0]),
        InverseDistance(6, SKEWED, ALL, reference=positions[0], power=3.0),
        InverseDistance(6, power=1.5, cutoff=4.0),
    ]


@pytest.mark.parametrize("case", range(6))
def test_jacobian_and_products_agree_with_central_differences(positions: FloatArray, case: int) -> None:
    descriptor, h = descriptors(positions)[case], 1e-5
    steps = h * np.eye(18).reshape(18, 6, 3)
    numeric = np.stack(
        [(descriptor.values(positions + s) - descriptor.values(positions - s)) / (2 * h) for s in steps],
        axis=2,
    )
    jacobian = descriptor.jacobian(positions)
    assert np.abs(numeric).max() > 0.1  # the comparison would also hold for zeros
    # truncation h² x''' / 6 with x''' up to 60 / r⁴ for the closest pair
    np.testing.assert_allclose(jacobian, numeric, atol=1e-8)

    rng = np.random.default_rng(1)
    tangents, cotangents = rng.normal(size=positions.shape), rng.normal(size=jacobian.shape[:2])
    np.testing.assert_allclose(
        descriptor.jvp(positions, tangents),
        np.einsum("npa,na->np", jacobian, tangents.reshape(3, -1)),
        atol=1e-13,
    )
    np.testing.assert_allclose(
        descriptor.vjp(positions, cotangents).reshape(3, -1),
        np.einsum("npa,np->na", jacobian, cotangents),
        atol=1e-13,
    )


def test_selected_linearisation_is_that_of_the_selected_structures(positions: FloatArray) -> None:
    descriptor = InverseDistance(6)
    selected = descriptor.linearise(positions).select(np.array([2, 0]))
    np.testing.assert_array_equal(selected.values, descriptor.values(positions[[2, 0]]))
    np.testing.assert_array_equal(selected.jacobian(slice(None)), descriptor.jacobian(positions[[2, 0]]))


def test_invariant_to_rotation_and_translation(positions: FloatArray) -> None:
    rotation, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    descriptor = InverseDistance(6)
    moved = positions @ rotation.T + np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(descriptor.values(moved), descriptor.values(positions), rtol=1e-12)
    # products follow: no total force for any cotangent
    force = descriptor.vjp(positions, np.ones((3, 15)))
    np.testing.assert_allclose(force.sum(axis=1), 0.0, atol=1e-13)


@pytest.mark.parametrize("fixed", [False, True])
def test_invariant_to_lattice_translations_of_single_atoms(positions: FloatArray, fixed: bool) -> None:
    descriptor = InverseDistance(6, SKEWED, ALL, reference=positions[0] if fixed else None)
    wrapped = positions + np.random.default_rng(3).integers(-2, 3, size=(3, 6, 3)) @ SKEWED
    np.testing.assert_allclose(descriptor.values(wrapped), descriptor.values(positions), rtol=1e-11)


@pytest.mark.parametrize("pbc", list(product((False, True), repeat=3)))
def test_nearest_image_equals_a_search_over_many_images(pbc: tuple[bool, bool, bool]) -> None:
    positions = np.random.default_rng(4).normal(size=(200, 2, 3)) * 6.0
    ranges = [range(-9, 10) if p else (0,) for p in pbc]
    images = np.array(list(product(*ranges))) @ SKEWED
    vectors = positions[:, 0] - positions[:, 1]
    expected = np.linalg.norm(vectors[:, None] + images, axis=2).min(axis=1)
    values = InverseDistance(2, SKEWED, pbc).values(positions)
    np.testing.assert_allclose(values[:, 0], 1.0 / expected, rtol=1e-12)


def test_reference_keeps_values_smooth_where_the_nearest_image_jumps() -> None:
    cell = 10.0 * np.eye(3)
    before = np.array([[[0.0, 0.0, 0.0], [4.99, 0.3, 0.0]]])
    after = before + np.array([[0.0, 0.0, 0.0], [0.02, 0.0, 0.0]])
    nearest = InverseDistance(2, cell, ALL)
    fixed = InverseDistance(2, cell, ALL, reference=before[0])
    slopes = [d.jacobian(p)[0, 0, 3] for d in (nearest, fixed) for p in (before, after)]
    assert slopes[0] * slopes[1] < 0 < slopes[2] * slopes[3]


def test_pairs_beyond_the_cutoff_do_not_count_and_near_ones_count_fully(positions: FloatArray) -> None:
    whole, cut = InverseDistance(6), InverseDistance(6, cutoff=4.0)
    r = 1.0 / whole.values(positions)
    assert 0.2 < (r > 4.0).mean() < 0.8
    assert ((r > 2.8) & (r < 4.0)).any()
    values = cut.values(positions)
    np.testing.assert_array_equal(values[r >= 4.0], 0.0)
    np.testing.assert_array_equal(values[r <= 2.8], whole.values(positions)[r <= 2.8])
    assert not cut.jacobian(positions).reshape(3, 15, -1)[r >= 4.0].any()
    # two continuous derivatives where the switch begins and ends
    pair, h = np.zeros((2, 2, 3)), 1e-4
    for place in (2.8, 4.0):
        pair[:, 1, 0] = place - h, place + h
        before, after = InverseDistance(2, cutoff=4.0).jacobian(pair)[:, 0, 3]
        assert before == pytest.approx(after, abs=20 * h)
    with pytest.raises(ConfigError, match="positive cutoff"):
        InverseDistance(6, cutoff=-1.0)


def test_coincident_atoms_are_named() -> None:
    positions = np.zeros((2, 3, 3))
    positions[0] = positions[1] = np.diag([1.0, 2.0, 3.0])
    positions[1, 2] = positions[1, 0]
    with pytest.raises(InputError, match="structure 1: atoms 0 and 2 coincide"):
        InverseDistance(3).values(positions)


def test_missing_cell_single_atom_and_wrong_shape_are_refused() -> None:
    with pytest.raises(InputError, match="expected a cell"):
        InverseDistance(3, None, ALL)
    with pytest.raises(InputError, match="at least 2 atoms"):
        InverseDistance(1)
    with pytest.raises(InputError, match="independent lattice vectors"):
        InverseDistance(3, np.ones((3, 3)), ALL)
    with pytest.raises(InputError, match=r"expected shape \(n, 3, 3\)"):
        InverseDistance(3).values(np.zeros((1, 4, 3)))
