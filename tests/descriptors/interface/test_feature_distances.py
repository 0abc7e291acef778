"""Selecting points that cover a set."""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.descriptors.interface.feature_distances import farthest_points


def test_selection_covers_the_set() -> None:
    x = np.array([[0.1], [0.0], [0.2], [5.0], [-5.0]])
    assert set(farthest_points(x, 3)) == {0, 3, 4}
    assert sorted(farthest_points(x, 5)) == [0, 1, 2, 3, 4]


def test_what_is_covered_already_is_left_out() -> None:
    x = np.array([[0.1], [0.0], [0.2], [5.0], [-5.0]])
    assert farthest_points(x, 2, covered=np.array([[5.1]])).tolist() == [4, 1]


def test_equal_points_are_taken_once_each() -> None:
    assert sorted(farthest_points(np.ones((4, 2)), 4)) == [0, 1, 2, 3]


def test_every_choice_is_the_farthest_from_those_before() -> None:
    x = np.random.default_rng(0).normal(size=(30, 3))
    chosen = farthest_points(x, 10)
    for count in range(1, 10):
        distances = np.linalg.norm(x[:, None] - x[chosen[:count]], axis=2).min(axis=1)
        assert distances[chosen[count]] == distances.max()
