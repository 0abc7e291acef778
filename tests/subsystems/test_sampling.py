"""Sampling: disjoint, seeded, independent of order and of other subsets; tiny subsets work and say so."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.subsystems.sampling import Division, by_names, leaking, match_names, sample

NAMES = [f"train.zip/set/file_{i:04d}.xsf" for i in range(100)]
RECORDED_TRAIN = [1, 55, 66, 67, 81]
RECORDED_TEST = [58, 70, 75]
amounts = st.integers(0, 50) | st.floats(0, 1)


def chosen(names: list[str], part: np.ndarray) -> set[str]:
    return {names[i] for i in part}


@given(st.integers(0, 40), st.integers(0, 2**31), amounts, st.none() | amounts)
def test_training_and_test_never_overlap(n: int, seed: int, train: float, test: float | None) -> None:
    if isinstance(train, float) and isinstance(test, float) and train + test > 1:
        train, test = train / 2, test / 2
    division = sample([f"s{i}" for i in range(n)], "H2", seed, train, test)
    assert not set(division.train) & set(division.test)
    assert len(set(division.train)) == len(division.train)
    assert set(division.train) | set(division.test) <= set(range(n))
    if n and train > 0:
        assert len(division.train) > 0
    if test is None and len(division.train) < n:
        assert len(division.train) + len(division.test) == n


def test_counts_and_fractions() -> None:
    assert [len(part) for part in _parts(sample(NAMES, "a", 0, 25, 30))] == [25, 30]
    assert [len(part) for part in _parts(sample(NAMES, "a", 0, 0.25, None))] == [25, 75]
    assert [len(part) for part in _parts(sample(NAMES, "a", 0, 0.5, 0.5))] == [50, 50]
    assert [len(part) for part in _parts(sample(NAMES, "a", 0, 1.0, 0))] == [100, 0]
    assert sample(NAMES, "a", 0, 25, 30).notes == ()


def _parts(division: Division) -> tuple[np.ndarray, np.ndarray]:
    return division.train, division.test


def test_the_order_of_the_files_does_not_matter() -> None:
    shuffled = random.Random(3).sample(NAMES, len(NAMES))
    one, other = sample(NAMES, "a", 7, 20, 30), sample(shuffled, "a", 7, 20, 30)
    assert chosen(NAMES, one.train) == chosen(shuffled, other.train)
    assert chosen(NAMES, one.test) == chosen(shuffled, other.test)


def test_the_stream_depends_on_seed_and_subset_only() -> None:
    reference = sample(NAMES, "C6H8O6", 7, 20, None)
    np.testing.assert_array_equal(reference.train, sample(NAMES, "C6H8O6", 7, 20, None).train)
    assert set(reference.train) != set(sample(NAMES, "C6H8O6", 8, 20, None).train)
    assert set(reference.train) != set(sample(NAMES, "C6H8O6-2", 7, 20, None).train)


def test_the_draw_is_the_same_on_every_machine() -> None:
    # Recorded from this function; a change would silently change everybody's split.
    assert sample(NAMES, "C6H8O6", 42, 5, 3).train.tolist() == RECORDED_TRAIN
    assert sample(NAMES, "C6H8O6", 42, 5, 3).test.tolist() == RECORDED_TEST


def test_a_larger_training_set_contains_the_smaller_and_the_test_set_stays() -> None:
    small, large = sample(NAMES, "a", 0, 10, 40), sample(NAMES, "a", 0, 60, 40)
    assert set(small.train) < set(large.train)
    assert set(small.test) == set(large.test)


@pytest.mark.parametrize(
    ("n", "train", "test", "counts", "note"),
    [
        (1, 250, 750, (1, 0), "a: 250 for training and 750 for testing asked for, only 1 there"),
        (1, 0.25, None, (1, 0), "a: none of 1 structures is for testing"),
        (100, 250, 750, (25, 75), "only 100 there: 25 for training, 75 for testing"),
        (100, 250, None, (100, 0), "a: 250 for training asked for, only 100 there: 100 for training, 0 for"),
        (10, 8, 4, (7, 3), "only 10 there: 7 for training, 3 for testing"),
        (10, 2, 0.5, (2, 5), None),
        (10, 0, 5, (0, 5), "a: none of 10 structures is for training"),
        (0, 2, 2, (0, 0), "only 0 there"),
    ],
)
def test_small_subsets_work_and_say_so(
    n: int, train: float, test: float, counts: tuple, note: str | None
) -> None:
    division = sample(NAMES[:n], "a", 0, train, test)
    assert (len(division.train), len(division.test)) == counts
    assert note is None or any(note in line for line in division.notes)
    assert (note is None) == (division.notes == ())


@pytest.mark.parametrize(
    ("train", "test"), [(-1, None), (1.5, None), (0.5, -0.1), (0.7, 0.7), (float("nan"), None)]
)
def test_impossible_amounts(train: float, test: float | None) -> None:
    with pytest.raises(ConfigError, match="expected"):
        sample(NAMES, "a", 0, train, test)


ALL = ["train.zip/a/f1.xsf", "train.zip/a/f2.xsf", "test.zip/f1.xsf", "md.traj#0", "md.traj#1"]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["train.zip"], ALL[:2]),
        (["train.zip/a/"], ALL[:2]),
        (["train.zip/a/f1.xsf", "f2.xsf"], ALL[:2]),
        (["a/f1.xsf"], ALL[:1]),
        (["md.traj"], ALL[3:]),
        (["md.traj#1"], ALL[4:]),
        ([], []),
    ],
)
def test_entries_mean_names_beginnings_or_unique_ends(entries: list[str], expected: list[str]) -> None:
    assert match_names(ALL, entries) == set(expected)


def test_entries_that_mean_nothing_or_too_much() -> None:
    with pytest.raises(
        InputError, match=r"got 1 that are not: 'f1.xsf' means 2 structures: train.zip/a/f1.xsf, test"
    ):
        match_names(ALL, ["f1.xsf"])
    with pytest.raises(InputError, match=r"'md.traj#2' is not there .did you mean 'md.traj#"):
        match_names(ALL, ["md.traj#2"])
    with pytest.raises(InputError, match=r"got 5 that are not: .* and 2 more"):
        match_names(ALL, ["p", "q", "r", "s", "t"])


def test_by_source_as_the_published_sets_are() -> None:
    division = by_names(ALL, "a", match_names(ALL, ["train.zip"]), None)
    assert division.train.tolist() == [0, 1]
    assert division.test.tolist() == [2, 3, 4]
    assert by_names(ALL, "a", None, set(ALL[2:])).train.tolist() == [0, 1]


def test_by_lists() -> None:
    division = by_names(ALL, "a", {ALL[0]}, {ALL[3], "of another subset"})
    assert (division.train.tolist(), division.test.tolist()) == ([0], [3])
    assert division.notes == ("a: 3 of 5 structures are in neither list and left out",)
    with pytest.raises(InputError, match=r"disjoint, got 1 in both: train.zip/a/f1.xsf"):
        by_names(ALL, "a", {ALL[0]}, {ALL[0]})
    with pytest.raises(ConfigError, match="got neither"):
        by_names(ALL, "a", None, None)


def test_duplicates_on_both_sides_are_named() -> None:
    division = Division(np.array([0, 1, 2]), np.array([3, 4, 5]))
    # 1 and 4 are linked through 5; 0 and 2 are both for training.
    assert leaking(division, [(0, 2, 0.0), (1, 5, 0.0), (4, 5, 0.0)]) == [(1, 4), (1, 5)]
    assert leaking(division, []) == []
