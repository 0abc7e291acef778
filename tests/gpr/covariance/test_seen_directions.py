from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.gpr.covariance.seen_directions import expressible
from aenet_gpr_cli.gpr.kernels.stationary import SquaredExponential
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.regression.gp_model import predict
from tests.gpr.small_molecule import cholesky, make_set

STRUCTURES = make_set(5, seed=0)
ALL = (True, True, True)


def test_net_force_and_torque_are_removed_and_nothing_else() -> None:
    points = InverseDistance(4).linearise(STRUCTURES.positions)
    assert STRUCTURES.forces is not None
    translation = np.broadcast_to([0.3, -0.2, 0.1], (5, 4, 3))
    rotation = np.cross([0.2, 0.1, -0.5], STRUCTURES.positions)
    projected, n_null = expressible(points, STRUCTURES.forces + translation + rotation)
    # the true forces of a molecule have neither; 1e-8: angle between computed and true null space
    np.testing.assert_allclose(projected, STRUCTURES.forces, atol=1e-8)
    assert n_null == 5 * 6


# twice the molecule: with more pairs than motions, nothing but rigid ones is unseen
TWO = np.concatenate([STRUCTURES.positions, STRUCTURES.positions[::-1] + np.array([1.2, 0.9, 0.7])], axis=1)


@pytest.mark.parametrize(
    ("descriptor", "null"),
    [
        (Cartesian(8), 0),
        (InverseDistance(8), 6),
        (InverseDistance(8, 2.5 * np.eye(3), ALL, TWO[0]), 3),
    ],
)
def test_number_of_unseen_motions(descriptor: Cartesian | InverseDistance, null: int) -> None:
    gradients = np.random.default_rng(0).normal(size=(5, 8, 3))
    assert expressible(descriptor.linearise(TWO), gradients)[1] == 5 * null


def test_net_force_in_the_data_changes_neither_predictions_nor_signal() -> None:
    assert STRUCTURES.forces is not None
    noisy = replace(STRUCTURES, forces=STRUCTURES.forces + np.array([0.3, -0.2, 0.1]))
    models = [
        fit(s, InverseDistance(4), SquaredExponential(0.8), 1e-3, 1e-3, cholesky) for s in (STRUCTURES, noisy)
    ]
    test = make_set(6, seed=1).positions
    for clean, dirty in zip(*(predict(m, InverseDistance(4), test) for m in models), strict=True):
        np.testing.assert_allclose(dirty, clean, atol=1e-6)
    assert models[1].signal_std == pytest.approx(models[0].signal_std, rel=1e-6)
    assert models[0].net_force_rms < 1e-8
    assert models[1].net_force_rms == pytest.approx(np.sqrt(0.14 / 3), rel=1e-6)
