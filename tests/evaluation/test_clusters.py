"""Clusters have the density of the liquid, and labels whose forces are slopes."""

import numpy as np
import pytest

from aenet_gpr_cli.evaluation.clusters import SPACING, clusters


@pytest.mark.parametrize("n_molecules", [1, 2, 7, 20])
def test_size_distances_and_seed(n_molecules):
    found = clusters(n_molecules, 3, 0)
    assert found.positions.shape == (3, 10 * n_molecules, 3)
    assert len(found.species) == 10 * n_molecules
    for points in found.positions:
        r = np.linalg.norm(points[:, None] - points[None], axis=-1)
        assert r[np.triu_indices(len(r), 1)].min() > 0.7
    assert np.abs(found.positions[0] - found.positions[1]).max() > 0.05
    np.testing.assert_array_equal(found.positions, clusters(n_molecules, 3, 0).positions)


def test_molecules_do_not_touch_and_fill_space_as_the_liquid_does():
    points = clusters(8, 1, 0).positions[0].reshape(8, 10, 3)
    for i in range(8):
        for j in range(i):
            assert np.linalg.norm(points[i][:, None] - points[j][None], axis=-1).min() > 1.4
    # 88.06 g/mol and 1.32 g/cm³
    assert np.prod(SPACING) == pytest.approx(88.06 / 6.022e23 / 1.32 * 1e24, rel=0.01)


def test_forces_are_minus_the_slope_of_the_energy():
    from aenet_gpr_cli.evaluation.clusters import _pair_potential

    positions, h = clusters(2, 1, 0).positions, 1e-5
    forces = _pair_potential(positions)[1]
    assert np.abs(forces).max() > 0.1
    for atom, axis in ((0, 0), (7, 1), (19, 2)):
        step = np.zeros_like(positions)
        step[0, atom, axis] = h
        slope = (_pair_potential(positions + step)[0] - _pair_potential(positions - step)[0]) / (2 * h)
        assert forces[0, atom, axis] == pytest.approx(-slope[0], abs=1e-8)
