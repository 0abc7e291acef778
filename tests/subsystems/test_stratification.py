"""Stratified samples: every beginning and end is spread like the whole, whatever the order of the files."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aenet_gpr_cli.structures import Structure
from aenet_gpr_cli.subsystems.stratification import describe, sample_spread, spread_order

BULK = (True, True, True)


def mixed(n: int, seed: int = 0) -> list[Structure]:
    """Alloys of three kinds, several compositions and any cell; energy and volume say something."""
    rng = np.random.default_rng(seed)
    out = []
    for i in range(n):
        species = ("Cu",) * 2 + ("Au",) * int(rng.integers(0, 4))
        energy = float(rng.normal(len(species), 1.0))
        kind = ("bulk", "slab", "liquid")[int(rng.choice(3, p=[0.7, 0.2, 0.1]))]
        cell = float(rng.uniform(3, 5)) * np.eye(3)
        positions = rng.random((len(species), 3))
        out.append(Structure(species, positions, cell, BULK, energy, name=f"md.xyz#{i}", group=kind))
    return out


def names(structures: list[Structure], index: np.ndarray) -> set[str]:
    return {structures[i].name for i in index}


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 120), st.integers(0, 2**31))
def test_every_beginning_holds_a_fair_share_of_each_stratum(n, seed):
    structures = mixed(n, seed % 1000)
    strata, features = describe(structures)
    order = spread_order(strata, features, seed, "all")
    assert sorted(order) == list(range(n))
    for level, worst in ((0, 2.0), (1, 3.0)):
        keys = [stratum[: level + 1] for stratum in strata]
        for key, total in Counter(keys).items():
            if min(Counter(keys).values()) < 4:
                continue  # taken together with others
            held = np.cumsum([keys[i] == key for i in order])
            assert np.abs(held - total * np.arange(1, n + 1) / n).max() <= worst


def test_energies_are_drawn_from_the_whole_range():
    """Four strata of 50 by energy: a quarter of each, where a random draw errs by three."""
    rng = np.random.default_rng(1)
    energy = np.sort(rng.normal(size=200))
    for seed in range(20):
        order = spread_order([("", "")] * 200, energy[:, None], seed, "all")
        held = np.histogram(order[:50], bins=[0, 50, 100, 150, 200])[0]
        assert np.abs(held - 12.5).max() <= 2.5


def test_counts_hold_over_the_whole_set_where_no_two_compositions_are_the_same():
    structures = [Structure(("Cu",) * n + ("Au",), np.zeros((n + 1, 3)), name=f"{n}") for n in range(1, 41)]
    division = sample_spread(structures, "all", 0, 0.75, None)
    assert (len(division.train), len(division.test)) == (30, 10)
    assert not set(division.train) & set(division.test)


def test_order_of_files_larger_sets_and_seeds():
    structures = mixed(80)
    shuffled = random.Random(3).sample(structures, len(structures))
    one, other = (sample_spread(s, "all", 7, 20, 30) for s in (structures, shuffled))
    assert names(structures, one.train) == names(shuffled, other.train)
    assert names(structures, one.test) == names(shuffled, other.test)
    more = sample_spread(structures, "all", 7, 50, 30)
    assert set(one.train) < set(more.train)
    assert set(one.test) == set(more.test)
    assert set(one.train) != set(sample_spread(structures, "all", 8, 20, 30).train)


@pytest.mark.parametrize("seed", range(8))
def test_what_has_a_rare_element_trains(seed):
    structures = [*mixed(40), Structure(("Cu", "Xe"), np.zeros((2, 3)), energy=0.0, name="rare")]
    division = sample_spread(structures, "all", seed, 0.25, None)
    assert "rare" in names(structures, division.train)
    assert "rare" not in names(structures, division.test)


def test_blocks_stay_together_and_their_edges_can_be_left_out():
    structures = mixed(100)
    division = sample_spread(structures, "all", 0, 0.5, None, block_size=10)
    parts = {"train": division.train, "test": division.test}
    for index in parts.values():
        assert Counter(i // 10 for i in index) == dict.fromkeys({i // 10 for i in index}, 10)
    assert len(division.train) == 50
    gapped = sample_spread(structures, "all", 0, 0.5, None, block_size=10, gap=2)
    assert set(gapped.train) == set(division.train)
    assert min(abs(i - j) for i in gapped.train for j in gapped.test) == 3
    assert any("within 2 of a training frame are left out" in note for note in gapped.notes)
