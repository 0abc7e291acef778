from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.descriptors.structure.permutation import PermutationImages
from aenet_gpr_cli.gpr.kernels.stationary import SquaredExponential
from aenet_gpr_cli.gpr.regression import structure_distances as module
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.regression.gp_model import GPModel
from aenet_gpr_cli.gpr.regression.structure_distances import TrainingDomain, near_duplicates, typical_distance
from tests.gpr.small_molecule import cholesky, make_set

TRAINING = make_set(30, seed=0)
POSITIONS = TRAINING.positions


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


def fitted(n: int = 30) -> GPModel:
    return fit(
        TRAINING.select(slice(0, n)), InverseDistance(4), SquaredExponential(0.8), 1e-3, 1e-3, cholesky
    )


def domain(model: GPModel) -> TrainingDomain:
    return TrainingDomain(model, InverseDistance(4), 1)


def test_training_data_are_inside_and_distorted_structures_far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    distances = domain(fitted())
    np.testing.assert_allclose(distances(TRAINING.positions), 0.0, atol=1e-6)
    assert (distances(make_set(40, seed=1).positions) > 1.0).mean() < 0.2
    far = distances(0.6 * TRAINING.positions)
    assert (far > 1.0).all()
    monkeypatch.setattr(module, "BLOCK", 7)
    np.testing.assert_allclose(domain(fitted())(0.6 * TRAINING.positions), far, rtol=1e-12)


def test_distance_is_in_units_of_the_largest_gap() -> None:
    x = InverseDistance(4).values(TRAINING.positions)
    between = np.linalg.norm(x[:, None] - x[None], axis=2) + 1e9 * np.eye(30)
    test = make_set(5, seed=1).positions
    nearest = np.linalg.norm(InverseDistance(4).values(test)[:, None] - x[None], axis=2).min(axis=1)
    np.testing.assert_allclose(domain(fitted())(test), nearest / between.min(axis=1).max(), rtol=1e-6)


def test_exchanged_atoms_are_no_nearer_and_no_farther_where_the_kernel_cannot_tell() -> None:
    images = PermutationImages(InverseDistance(4), [(0, 1, 2, 3), (0, 2, 1, 3)])
    model = fit(TRAINING, images, SquaredExponential(0.8), 1e-3, 1e-3, cholesky, 2)
    distances, test = TrainingDomain(model, images, 2), make_set(5, seed=1).positions
    np.testing.assert_allclose(distances(test), distances(test[:, [0, 2, 1, 3]]), rtol=1e-9)
    np.testing.assert_allclose(distances(TRAINING.positions[:, [0, 2, 1, 3]]), 0.0, atol=1e-6)
    x = images.values(TRAINING.positions).reshape(30, 2, -1)
    gaps = np.linalg.norm(x[:, :1, None] - x.transpose(1, 0, 2)[None], axis=3).min(axis=1) + 1e9 * np.eye(30)
    y = InverseDistance(4).values(test)
    nearest = np.linalg.norm(y[:, None] - x.reshape(60, -1)[None], axis=2).min(axis=1)
    np.testing.assert_allclose(distances(test), nearest / gaps.min(axis=1).max(), rtol=1e-6)


def test_one_training_structure_says_nothing() -> None:
    np.testing.assert_array_equal(domain(fitted(1))(TRAINING.positions), 0.0)
