from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.descriptors.structure.permutation import PermutationImages
from aenet_gpr_cli.gpr.kernels.stationary import SquaredExponential
from aenet_gpr_cli.gpr.regression import applicability as module
from aenet_gpr_cli.gpr.regression.applicability import TrainingDomain
from aenet_gpr_cli.gpr.regression.gp_model import GPModel, fit
from tests.gpr.small_molecule import cholesky, make_set

TRAINING = make_set(30, seed=0)


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
