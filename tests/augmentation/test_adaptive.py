"""Adaptive displacements: σ reaches its target, limits hold, idle motions are left out."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from aenet_gpr_cli.augmentation.adaptive import adaptive_displacements, degrees_of_freedom, room_between
from aenet_gpr_cli.augmentation.displacements import Adaptive
from aenet_gpr_cli.structures import StructureSet

FREE = np.ones(4, bool)


@pytest.fixture
def molecules() -> StructureSet:
    positions = np.random.default_rng(1).normal(size=(3, 4, 3)) * 1.5
    return StructureSet(species=("O", "H", "H", "C"), positions=positions, names=("a", "b", "c"))


def of(positions):
    return StructureSet(("C",) * positions.shape[1], positions, names=tuple(map(str, range(len(positions)))))


def distances(positions):
    i, j = np.triu_indices(4, 1)
    return np.linalg.norm(positions[:, i] - positions[:, j], axis=2)


def sigma_around(structures):
    """σ grows with the square of the change of the distances to the nearest structure."""
    own = distances(structures.positions)

    def sigma(moved, around=None):
        positions = moved.positions
        return (np.linalg.norm(distances(positions)[:, None] - own, axis=2) ** 2).min(axis=1)

    return sigma


FAR = np.full(3, np.inf)


def displacements_of(structures, target, smallest=1e-4, largest=1.0, n=8, first=0, free=FREE, room=FAR):
    limits = Adaptive(smallest=smallest, largest=largest)
    sigma = sigma_around(structures)
    return adaptive_displacements(structures, n, 5, free, sigma, target, room, limits, first, 8)


@pytest.mark.parametrize("target", [1e-4, 1e-2])
def test_sigma_reaches_its_target(molecules, target):
    moves = displacements_of(molecules, target)
    last = molecules.positions[:, None] + moves[:, 6:]  # the pair that goes all the way
    found = sigma_around(molecules)(molecules.select([0] * 6).moved_to(last.reshape(-1, 4, 3)))
    # six bisections of a range of 10⁴ leave 15 % in δ; the model of the other directions is linear
    assert np.all((found > 0.4 * target) & (found < 2.5 * target))


def test_sigma_of_the_parents_does_not_count(molecules):
    own, floor = sigma_around(molecules), 0.03

    def bound(moved, around):
        return np.hypot(own(moved), floor)

    limits = Adaptive(smallest=1e-4, largest=1.0)
    with_floor = adaptive_displacements(molecules, 4, 5, FREE, bound, 1e-2, FAR, limits)
    without = adaptive_displacements(molecules, 4, 5, FREE, own, 1e-2, FAR, limits)
    np.testing.assert_allclose(with_floor, without, rtol=1e-9)


def test_limits_hold(molecules):
    for target, size in ((1e-12, 0.01), (1e6, 0.02)):
        moves = displacements_of(molecules, target, smallest=0.01, largest=0.02)
        found = np.sqrt(np.square(moves).mean(axis=(2, 3)))
        assert found.min() >= 0.01 * (1 - 1e-9)
        assert found.max() <= 0.02 * (1 + 1e-9)
        assert np.abs(found - size).min() < 1e-3


def test_copies_come_in_opposite_pairs(molecules):
    moves = displacements_of(molecules, 1e-3, n=6)
    directions = moves / np.linalg.norm(moves, axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(directions[:, 0::2], -directions[:, 1::2], atol=1e-12)
    assert np.abs(np.einsum("nax,nax->n", directions[:, 0], directions[:, 2])).max() < 0.99


@pytest.mark.parametrize("first", [2, 3])
def test_copies_do_not_depend_on_their_block(molecules, first):
    whole, part = displacements_of(molecules, 1e-3, n=8), displacements_of(molecules, 1e-3, n=4, first=first)
    np.testing.assert_array_equal(part, whole[:, first : first + 4])
    alone = displacements_of(molecules.select([1]), 1e-3, n=8, room=FAR[:1])
    # σ of the others is not in play here: their distances are far away
    np.testing.assert_allclose(alone[0], whole[1], rtol=1e-10)


def test_fixed_atoms_stay_and_molecules_neither_move_nor_turn(molecules):
    free = np.array([False, True, True, True])
    assert np.abs(displacements_of(molecules, 1e-3, free=free)[:, :, 0]).max() == 0.0
    moves = displacements_of(molecules, 1e-3)
    arms = molecules.positions - molecules.positions.mean(axis=1, keepdims=True)
    turning = np.cross(arms[:, None], moves).sum(axis=2)
    assert np.abs(turning).max() < 1e-10 * np.abs(moves).max() * 100


def test_a_dimer_moves_along_its_bond():
    h2 = StructureSet(("H", "H"), np.array([[[0, 0, 0], [0.5, 0.6, 0.7]]]), names=("h2",))

    def bond(positions):
        return np.linalg.norm(positions[:, 1] - positions[:, 0], axis=1)[:, None]

    def sigma(moved, around=None):
        positions = moved.positions
        return ((bond(positions) - length) ** 2)[:, 0]

    length, free = bond(h2.positions), np.ones(2, bool)
    for room, expected in (
        (np.inf, 0.1),
        (0.03, 0.01 * np.sqrt(12)),
    ):
        limits = Adaptive(smallest=1e-4, largest=1.0, n_probes=2)
        moves = adaptive_displacements(h2, 2, 0, free, sigma, 1e-2, np.array([room]), limits)
        change = bond(h2.positions + moves[0]) - length
        np.testing.assert_allclose(np.sort(change[:, 0]), [-expected, expected], rtol=0.1)


def test_copies_of_a_dimer_are_equally_spaced():
    h2 = StructureSet(("H", "H"), np.array([[[0, 0, 0], [1.0, 0, 0]]]), names=("h2",))

    def bond(positions):
        return np.linalg.norm(positions[:, 1] - positions[:, 0], axis=1)[:, None]

    limits = Adaptive(smallest=1e-6, largest=1.0, n_probes=1)
    arguments = (lambda x, around: np.zeros(len(x)), 1e9, np.array([0.07]), limits)
    moves = adaptive_displacements(h2, 6, 0, np.ones(2, bool), *arguments)
    change = np.sort((bond(h2.positions + moves[0]) - 1.0)[:, 0])
    steps = np.diff(np.sort(np.append(change, 0.0)))
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)
    # four parts of half of the way to the neighbour
    np.testing.assert_allclose(8 * steps[0], 0.07 * np.sqrt(12), rtol=1e-9)


def test_idle_motions_are_no_degrees_of_freedom():
    free = np.ones(4, bool)
    molecule = of(np.random.default_rng(6).normal(size=(1, 4, 3)))
    rod = of(np.arange(4.0)[None, :, None] * np.array([0.6, 0.0, 0.8]))
    h2 = StructureSet(("H", "H"), np.array([[[0, 0, 0], [0.7, 0, 0]]]), names=("h2",))
    assert degrees_of_freedom(molecule, free) == 6
    assert degrees_of_freedom(rod, free) == 7
    assert degrees_of_freedom(h2, np.ones(2, bool)) == 1
    assert degrees_of_freedom(molecule, np.array([True, True, True, False])) == 9


def test_the_nearest_structure_decides():
    base = np.random.default_rng(0).normal(size=(5, 3))
    step = np.zeros((5, 3))
    step[2, 1] = 0.3
    found = room_between(of(np.stack([base, base + step, base + 4 * step])), 1, turns=False)
    np.testing.assert_allclose(found, np.array([0.3, 0.3, 0.9]) / np.sqrt(15), rtol=1e-12)


def test_motion_and_rotation_are_no_distance_but_reflection_is():
    base = np.random.default_rng(1).normal(size=(6, 3))
    turned = Rotation.random(random_state=2).apply(base) + 3.0
    assert room_between(of(np.stack([base, turned])), 1, turns=True).max() < 1e-7
    assert room_between(of(np.stack([base, -base])), 1, turns=True).min() > 0.1


def test_superposition_is_the_best_of_all_rotations():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 4, 3))
    found = room_between(of(np.stack([a, b])), 1, turns=True)[0]
    centred = a - a.mean(axis=0), b - b.mean(axis=0)
    turned = Rotation.random(3000, random_state=4)
    tried = [np.sqrt(np.mean((r.apply(centred[0]) - centred[1]) ** 2)) for r in turned]
    assert found <= min(tried) < 1.2 * found


def test_one_alone_has_all_the_room():
    assert np.isinf(room_between(of(np.zeros((1, 2, 3))), 1, turns=True)).all()


def test_of_several_neighbours_the_mean_square_counts():
    base = np.random.default_rng(6).normal(size=(5, 3))
    step = np.zeros((5, 3))
    step[2, 1] = 0.3
    line = of(np.stack([base + k * step for k in (0, 1, 3)]))
    two = np.array([np.hypot(1, 3), np.hypot(1, 2), np.hypot(3, 2)]) * 0.3 / np.sqrt(2 * 15)
    np.testing.assert_allclose(room_between(line, 2, turns=False), two, rtol=1e-12)
    np.testing.assert_allclose(room_between(line, 9, turns=False), two, rtol=1e-12)  # there are no more
