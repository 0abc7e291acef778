"""Displaced copies: their statistics, their independence of order and sharding, and the paper's dimer."""

import time
from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.augmentation.displacements import Placement, as_augmented_set, displace
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import StructureSet

WATER = ("O", "H", "H", "O", "H", "H")
MASSES = np.array([15.999, 1.008, 1.008, 15.999, 1.008, 1.008])


def water(n: int = 5, periodic: bool = False) -> StructureSet:
    rng = np.random.default_rng(3)
    return StructureSet(
        species=WATER,
        positions=rng.normal(size=(n, 6, 3)) * 2,
        cells=np.tile(8 * np.eye(3), (n, 1, 1)) if periodic else None,
        pbc=(periodic,) * 3,
        names=tuple(f"water_{i}" for i in range(n)),
    )


def dimers(lengths: np.ndarray, direction: tuple[float, float, float] = (1.0, 0.0, 0.0)) -> StructureSet:
    half = 0.5 * np.outer(lengths, direction)
    return StructureSet(
        species=("H", "H"),
        positions=np.stack([-half, half], axis=1) + 0.3,
        names=tuple(f"h2_{i}" for i in range(len(lengths))),
    )


def test_copies_are_ordered_by_parent_and_numbered_from_zero():
    positions, parents, copies = displace(water(3), Placement(displacement=0.02), 4, seed=1)
    assert positions.shape == (12, 6, 3)
    assert parents.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert copies.tolist() == [0, 1, 2, 3] * 3


def test_components_are_normal_with_standard_deviation_delta():
    # with a fixed atom nothing is removed, so each free component is exactly N(0, δ²)
    structures = water(4)
    positions, parents, _ = displace(structures, Placement(displacement=0.03, fixed_atoms=(0,)), 5000, seed=7)
    moves = (positions - structures.positions[parents])[:, 1:].ravel() / 0.03
    standard_error = 1 / np.sqrt(moves.size)  # 300,000 numbers
    assert abs(moves.mean()) < 4 * standard_error
    assert abs(moves.std() - 1) < 4 * standard_error
    assert abs((moves**4).mean() - 3) < 4 * np.sqrt(96) * standard_error  # kurtosis of a normal distribution
    assert abs((np.abs(moves) > 2).mean() - 0.0455) < 4 * np.sqrt(0.0455) * standard_error


def test_components_and_copies_are_uncorrelated():
    structures = water(2)
    positions, parents, _ = displace(structures, Placement(displacement=1.0, fixed_atoms=(5,)), 4000, seed=2)
    moves = (positions - structures.positions[parents])[:, :5].reshape(2, 4000, 15)
    joined = np.concatenate([moves[0], moves[1], np.roll(moves[0], 1, axis=0)], axis=1)
    correlation = np.corrcoef(joined.T) - np.eye(45)
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)  # five standard errors over about 1,000 pairs


@pytest.mark.parametrize("periodic", [False, True])
def test_centre_of_mass_stays_without_fixed_atoms(periodic):
    structures = water(periodic=periodic)
    positions, parents, _ = displace(structures, Placement(displacement=0.05), 10, seed=1)
    drift = np.einsum("a,cax->cx", MASSES, positions - structures.positions[parents])
    assert np.abs(drift).max() < 1e-13 * MASSES.sum()  # rounding of positions of a few Å
    assert np.abs(positions - structures.positions[parents]).max() > 0.05


@pytest.mark.parametrize("periodic", [False, True])
def test_fixed_atoms_do_not_move_at_all(periodic):
    structures = water(periodic=periodic)
    positions, parents, _ = displace(structures, Placement(displacement=0.05, fixed_atoms=(1, 4)), 6, seed=1)
    assert np.array_equal(positions[:, [1, 4]], structures.positions[parents][:, [1, 4]])
    assert (positions[:, [0, 2, 3, 5]] != structures.positions[parents][:, [0, 2, 3, 5]]).all()


def test_order_of_structures_changes_nothing():
    structures = water(5)
    order = [3, 0, 4, 2, 1]
    straight = displace(structures, Placement(displacement=0.02), 3, seed=9)[0].reshape(5, 3, 6, 3)
    permuted = displace(structures.select(order), Placement(displacement=0.02), 3, seed=9)[0].reshape(
        5, 3, 6, 3
    )
    assert np.array_equal(permuted, straight[order])


def test_shards_put_together_equal_the_whole():
    structures = water(5)
    whole = displace(structures, Placement(displacement=0.02), 3, seed=9)[0]
    shards = [
        displace(structures.select(part), Placement(displacement=0.02), 3, seed=9)[0]
        for part in ([0, 1], [2], [3, 4])
    ]
    assert np.array_equal(np.concatenate(shards), whole)


def test_a_larger_multiple_keeps_the_first_copies():
    few = displace(water(2), Placement(displacement=0.02), 4, seed=9)[0].reshape(2, 4, 6, 3)
    many = displace(water(2), Placement(displacement=0.02), 9, seed=9)[0].reshape(2, 9, 6, 3)
    assert np.array_equal(many[:, :4], few)


def test_the_same_random_numbers_serve_every_delta():
    structures = water(2)
    small = displace(structures, Placement(displacement=0.01), 4, seed=9)[0] - np.repeat(
        structures.positions, 4, axis=0
    )
    large = displace(structures, Placement(displacement=0.04), 4, seed=9)[0] - np.repeat(
        structures.positions, 4, axis=0
    )
    np.testing.assert_allclose(large, 4 * small, atol=1e-14)  # rounding of positions of a few Å


def test_seed_and_name_change_the_copies():
    structures = water(1)
    base = displace(structures, Placement(displacement=0.02), 3, seed=9)[0]
    renamed = replace(structures, names=("other",))
    assert np.abs(displace(structures, Placement(displacement=0.02), 3, seed=10)[0] - base).max() > 1e-3
    assert np.abs(displace(renamed, Placement(displacement=0.02), 3, seed=9)[0] - base).max() > 1e-3


def test_inputs_are_not_changed():
    structures = water(2)
    before = structures.positions.copy()
    displace(structures, Placement(displacement=0.02), 3, seed=9)
    assert np.array_equal(structures.positions, before)


def test_dimer_along_the_bond_gives_equally_spaced_points():
    # Figure 2 of the paper: 7 bond lengths from 1 to 2 Å and ±δ = 1/18 Å make 21 equally spaced ones
    structures = dimers(np.linspace(1, 2, 7), (0.6, 0.0, 0.8))
    positions, _, _ = displace(structures, Placement(displacement=1 / 18, mode="along_bond"), 2, seed=0)
    both = np.concatenate([structures.positions, positions])
    lengths = np.sort(np.linalg.norm(both[:, 1] - both[:, 0], axis=1))
    np.testing.assert_allclose(np.diff(lengths), 1 / 18, atol=1e-14)
    assert lengths[0] == pytest.approx(1 - 1 / 18)


def test_dimer_stretches_before_it_shrinks_and_keeps_its_centre():
    positions, _, _ = displace(
        dimers(np.array([1.0])), Placement(displacement=0.055, mode="along_bond"), 2, seed=0
    )
    lengths = np.linalg.norm(positions[:, 1] - positions[:, 0], axis=1)
    np.testing.assert_allclose(lengths, [1.055, 0.945], atol=1e-15)
    np.testing.assert_allclose(positions.mean(axis=1), 0.3, atol=1e-15)


def test_larger_multiples_fill_the_bond_range_evenly():
    positions, _, copies = displace(
        dimers(np.array([1.5])), Placement(displacement=0.06, mode="along_bond"), 6, seed=0
    )
    lengths = np.linalg.norm(positions[:, 1] - positions[:, 0], axis=1)
    np.testing.assert_allclose(lengths - 1.5, [0.02, -0.02, 0.04, -0.04, 0.06, -0.06], atol=1e-15)
    assert copies.tolist() == list(range(6))


def test_fixed_atom_of_a_dimer_stays():
    positions, _, _ = displace(
        dimers(np.array([1.0])), Placement(displacement=0.1, mode="along_bond", fixed_atoms=(0,)), 2, seed=0
    )
    np.testing.assert_allclose(positions[:, 0], 0.3 - np.array([[0.5, 0, 0]] * 2), atol=0)
    np.testing.assert_allclose(positions[:, 1, 0] - 0.3, [0.6, 0.4], atol=1e-15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"displacement": 0.0}, "displacement"),
        ({"displacement": float("nan")}, "displacement"),
        ({"fixed_atoms": (6,)}, "fixed_atoms"),
        ({"fixed_atoms": (-1,)}, "fixed_atoms"),
        ({"mode": "along_bond"}, "isolated dimers"),
        ({"mode": "sideways"}, "mode"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        displace(water(), Placement(**{"displacement": 0.02} | change), 2, seed=1)


def test_no_copies_are_refused():
    with pytest.raises(InputError, match="n_copies"):
        displace(water(), Placement(displacement=0.02), 0, seed=1)


def test_a_bond_is_not_turned_inside_out():
    with pytest.raises(InputError, match="shortest bond"):
        displace(dimers(np.array([0.5])), Placement(displacement=0.6, mode="along_bond"), 2, seed=0)


@pytest.mark.parametrize("names", [(), ("a", "a")])
def test_names_must_be_unique_because_they_key_the_streams(names):
    structures = replace(water(2), names=names)
    with pytest.raises(InputError, match="unique"):
        displace(structures, Placement(displacement=0.02), 2, seed=1)


def test_augmented_set_carries_parents_copies_and_cells():
    structures = water(2, periodic=True)
    positions, parents, copies = displace(structures, Placement(displacement=0.02), 3, seed=1)
    augmented = as_augmented_set(structures, positions, parents, copies, np.arange(6.0), None, "gpr")
    assert augmented.structures.names[4] == "water_1#1"
    assert augmented.parents[4] == "water_1"
    assert augmented.structures.forces is None
    assert augmented.structures.cells.shape == (6, 3, 3)
    assert augmented.structures.pbc == (True, True, True)


def test_a_hundred_thousand_copies_take_seconds():
    structures = replace(water(1000), names=tuple(map(str, range(1000))))
    start = time.perf_counter()
    positions, _, _ = displace(structures, Placement(displacement=0.02), 100, seed=1)
    assert len(positions) == 100_000
    assert time.perf_counter() - start < 5  # measured 0.2 s; generous for a busy machine


def test_labels_of_the_references_are_not_those_of_copies():
    structures = replace(
        water(2, periodic=True), energies=np.ones(2), forces=np.ones((2, 6, 3)), stress=np.ones((2, 3, 3))
    )
    positions, parents, copies = displace(structures, Placement(displacement=0.02), 3, seed=0)
    made = as_augmented_set(
        structures, positions, parents, copies, np.zeros(6), np.zeros(6), "gpr"
    ).structures
    assert made.forces is None
    assert made.stress is None
