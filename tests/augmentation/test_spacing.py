"""The room between reference structures."""

import numpy as np
from scipy.spatial.transform import Rotation

from aenet_gpr_cli.augmentation.spacing import neighbour_steps
from aenet_gpr_cli.structures import StructureSet


def of(positions):
    return StructureSet(("C",) * positions.shape[1], positions)


def test_the_nearest_structure_decides():
    base = np.random.default_rng(0).normal(size=(5, 3))
    step = np.zeros((5, 3))
    step[2, 1] = 0.3
    found = neighbour_steps(of(np.stack([base, base + step, base + 4 * step])), 1, align=False)
    np.testing.assert_allclose(found, np.array([0.3, 0.3, 0.9]) / np.sqrt(15), rtol=1e-12)


def test_motion_and_rotation_are_no_distance_but_reflection_is():
    base = np.random.default_rng(1).normal(size=(6, 3))
    turned = Rotation.random(random_state=2).apply(base) + 3.0
    assert neighbour_steps(of(np.stack([base, turned])), 1, align=True).max() < 1e-7
    assert neighbour_steps(of(np.stack([base, -base])), 1, align=True).min() > 0.1


def test_superposition_is_the_best_of_all_rotations():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 4, 3))
    found = neighbour_steps(of(np.stack([a, b])), 1, align=True)[0]
    centred = a - a.mean(axis=0), b - b.mean(axis=0)
    turned = Rotation.random(3000, random_state=4)
    tried = [np.sqrt(np.mean((r.apply(centred[0]) - centred[1]) ** 2)) for r in turned]
    assert found <= min(tried) < 1.2 * found


def test_one_alone_has_all_the_room():
    assert np.isinf(neighbour_steps(of(np.zeros((1, 2, 3))), 1, align=True)).all()


def test_of_several_neighbours_the_mean_square_counts():
    base = np.random.default_rng(6).normal(size=(5, 3))
    step = np.zeros((5, 3))
    step[2, 1] = 0.3
    line = of(np.stack([base + k * step for k in (0, 1, 3)]))
    two = np.array([np.hypot(1, 3), np.hypot(1, 2), np.hypot(3, 2)]) * 0.3 / np.sqrt(2 * 15)
    np.testing.assert_allclose(neighbour_steps(line, 2, align=False), two, rtol=1e-12)
    np.testing.assert_allclose(neighbour_steps(line, 9, align=False), two, rtol=1e-12)  # there are no more
