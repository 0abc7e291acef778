from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.descriptors.structure.permutation import PermutationImages
from aenet_gpr_cli.gpr.hyperparameters import length_units as module
from aenet_gpr_cli.gpr.hyperparameters.length_units import near_duplicates, typical_distance
from tests.gpr.small_molecule import make_set

POSITIONS = make_set(30, seed=0).positions


def test_only_copies_are_duplicates_and_their_distance_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    moved = POSITIONS[[4, 9]] + np.array([1e-6, 1e-4])[:, None, None] * rng.normal(size=(2, 4, 3))
    values = InverseDistance(4).values(np.concatenate([POSITIONS, POSITIONS[2:3], moved]))
    found = near_duplicates(values, 1, 1e-3)
    np.testing.assert_array_equal(found.pairs, [[2, 30], [4, 31], [9, 32]])
    expected = np.linalg.norm(values[[2, 4, 9]] - values[[30, 31, 32]], axis=1)
    np.testing.assert_allclose(found.distance, expected, rtol=1e-6, atol=1e-15)
    assert found.distance[0] == 0.0 < found.distance[1] < found.distance[2]
    monkeypatch.setattr(module, "BLOCK", 7)
    np.testing.assert_array_equal(near_duplicates(values, 1, 1e-3).pairs, found.pairs)
    assert len(near_duplicates(values, 1, 1e-5).pairs) == 2
    assert len(near_duplicates(values[:30], 1, 1e-3).pairs) == 0


def test_exchanged_atoms_make_a_duplicate_where_the_kernel_cannot_tell() -> None:
    both = np.concatenate([POSITIONS, POSITIONS[3:4, [0, 2, 1, 3]]])
    plain = InverseDistance(4)
    images = PermutationImages(plain, [(0, 1, 2, 3), (0, 2, 1, 3)])
    assert len(near_duplicates(plain.values(both), 1, 1e-3).pairs) == 0
    np.testing.assert_array_equal(near_duplicates(images.values(both), 2, 1e-3).pairs, [[3, 30]])


def test_typical_distance_is_the_median_and_never_zero() -> None:
    x = np.array([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]])
    assert typical_distance(x) == pytest.approx(2.0)
    assert typical_distance(np.ones((3, 4))) == pytest.approx(2.0)
    assert typical_distance(np.ones((1, 4))) == pytest.approx(2.0)
