"""Adaptive displacements: σ reaches its target, soft modes go farther, limits hold."""

import numpy as np
import pytest

from aenet_gpr_cli.augmentation.adaptive import AdaptiveSettings, adaptive_shifts
from aenet_gpr_cli.structures import StructureSet

FREE = np.ones(4, bool)


@pytest.fixture
def molecules() -> StructureSet:
    positions = np.random.default_rng(1).normal(size=(3, 4, 3)) * 1.5
    return StructureSet(species=("O", "H", "H", "C"), positions=positions, names=("a", "b", "c"))


def distances(positions):
    i, j = np.triu_indices(4, 1)
    return np.linalg.norm(positions[:, i] - positions[:, j], axis=2)


def sigma_around(structures):
    """σ grows with the square of the change of the distances to the nearest structure."""
    own = distances(structures.positions)

    def sigma(positions):
        return (np.linalg.norm(distances(positions)[:, None] - own, axis=2) ** 2).min(axis=1)

    return sigma


def springs(positions):
    """Forces of unlike springs towards the origin of each component."""
    return -np.linspace(0.5, 50.0, 12).reshape(4, 3) * positions


FAR = np.full(3, np.inf)


def shifts_of(structures, target, smallest=1e-4, largest=1.0, n=8, first=0, free=FREE, room=FAR):
    settings = AdaptiveSettings(target, smallest, largest, 0.0, 4)
    sigma = sigma_around(structures)
    return adaptive_shifts(structures, n, 5, free, sigma, springs, room, settings, first, 8)


@pytest.mark.parametrize("target", [1e-4, 1e-2])
def test_sigma_reaches_its_target(molecules, target):
    shifts = shifts_of(molecules, target)
    last = molecules.positions[:, None] + shifts[:, 6:]  # the pair that goes all the way
    found = sigma_around(molecules)(last.reshape(-1, 4, 3))
    # six bisections of a range of 10⁴ leave 15 % in δ; the model of the other directions is linear
    assert np.all((found > 0.4 * target) & (found < 2.5 * target))


def test_sigma_of_the_parents_does_not_count(molecules):
    own, floor = sigma_around(molecules), 0.03

    def bound(positions):
        return np.hypot(own(positions), floor)

    settings = AdaptiveSettings(1e-2, 1e-4, 1.0, 0.0, 4)
    with_floor = adaptive_shifts(molecules, 4, 5, FREE, bound, springs, FAR, settings)
    without = adaptive_shifts(molecules, 4, 5, FREE, own, springs, FAR, settings)
    np.testing.assert_allclose(with_floor, without, rtol=1e-9)


def test_limits_hold(molecules):
    for target, size in ((1e-12, 0.01), (1e6, 0.02)):
        shifts = shifts_of(molecules, target, smallest=0.01, largest=0.02)
        found = np.sqrt(np.square(shifts).mean(axis=(2, 3)))
        assert found.min() >= 0.01 * (1 - 1e-9)
        assert found.max() <= 0.02 * (1 + 1e-9)
        assert np.abs(found - size).min() < 1e-3


def test_copies_come_in_opposite_pairs(molecules):
    shifts = shifts_of(molecules, 1e-3, n=6)
    directions = shifts / np.linalg.norm(shifts, axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(directions[:, 0::2], -directions[:, 1::2], atol=1e-12)
    assert np.abs(np.einsum("nax,nax->n", directions[:, 0], directions[:, 2])).max() < 0.99


@pytest.mark.parametrize("first", [2, 3])
def test_copies_do_not_depend_on_their_block(molecules, first):
    whole, part = shifts_of(molecules, 1e-3, n=8), shifts_of(molecules, 1e-3, n=4, first=first)
    np.testing.assert_array_equal(part, whole[:, first : first + 4])
    alone = shifts_of(molecules.select([1]), 1e-3, n=8, room=FAR[:1])
    # σ of the others is not in play here: their distances are far away
    np.testing.assert_allclose(alone[0], whole[1], rtol=1e-10)


def test_fixed_atoms_stay_and_molecules_neither_move_nor_turn(molecules):
    free = np.array([False, True, True, True])
    assert np.abs(shifts_of(molecules, 1e-3, free=free)[:, :, 0]).max() == 0.0
    shifts = shifts_of(molecules, 1e-3)
    arms = molecules.positions - molecules.positions.mean(axis=1, keepdims=True)
    turning = np.cross(arms[:, None], shifts).sum(axis=2)
    assert np.abs(turning).max() < 1e-10 * np.abs(shifts).max() * 100


def test_a_dimer_moves_along_its_bond():
    h2 = StructureSet(("H", "H"), np.array([[[0, 0, 0], [0.5, 0.6, 0.7]]]), names=("h2",))

    def bond(positions):
        return np.linalg.norm(positions[:, 1] - positions[:, 0], axis=1)[:, None]

    def sigma(positions):
        return ((bond(positions) - length) ** 2)[:, 0]

    length, free = bond(h2.positions), np.ones(2, bool)
    for room, expected in (
        (np.inf, 0.1),
        (0.03, 0.01 * np.sqrt(12)),
    ):
        settings = AdaptiveSettings(1e-2, 1e-4, 1.0, 0.0, 2)
        shifts = adaptive_shifts(h2, 2, 0, free, sigma, lambda x: -x, np.array([room]), settings)
        change = bond(h2.positions + shifts[0]) - length
        np.testing.assert_allclose(np.sort(change[:, 0]), [-expected, expected], rtol=0.1)


def test_copies_of_a_dimer_are_equally_spaced():
    h2 = StructureSet(("H", "H"), np.array([[[0, 0, 0], [1.0, 0, 0]]]), names=("h2",))

    def bond(positions):
        return np.linalg.norm(positions[:, 1] - positions[:, 0], axis=1)[:, None]

    settings = AdaptiveSettings(1e9, 1e-6, 1.0, 0.0, 1)
    arguments = (lambda x: np.zeros(len(x)), lambda x: -x, np.array([0.07]), settings)
    shifts = adaptive_shifts(h2, 6, 0, np.ones(2, bool), *arguments)
    change = np.sort((bond(h2.positions + shifts[0]) - 1.0)[:, 0])
    steps = np.diff(np.sort(np.append(change, 0.0)))
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)
    # four parts of half of the way to the neighbour
    np.testing.assert_allclose(8 * steps[0], 0.07 * np.sqrt(12), rtol=1e-9)
