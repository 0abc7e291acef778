"""Division of a subset into training and test structures: seeded, disjoint, independent of file order.

Owns the choice and says when a subset is too small for what was asked. Stratified samples of a whole data set
are drawn by `stratification`, reading lists from files is left to the stage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.structures import IntArray


@dataclass(frozen=True, slots=True)
class Division:
    """Training and test structures of one subset.

    Attributes
    ----------
    train, test : ndarray of int
        Disjoint, ascending indices into the names that were given.
    notes : tuple of str
        What the user should know, for example that fewer structures were there than asked for.
    """

    train: IntArray
    test: IntArray
    notes: tuple[str, ...] = ()


def sample(
    names: Sequence[str], subset: str, seed: int, train: int | float, test: int | float | None
) -> Division:
    """Draw training and test structures of one subset at random.

    The names are sorted and shuffled by a stream keyed by (seed, subset name), so that neither the order of
    the files nor other subsets change anything. Training structures are the first of the shuffled names and
    test structures the last: with the same seed a larger training set contains the smaller one, and the
    test set stays.

    Parameters
    ----------
    names : sequence of str
        Unique names of the structures.
    subset : str
        Name of the subset.
    train : int or float
        Number of structures, or (float) a fraction of the subset between 0 and 1.
    test : int, float or None
        The same for the test structures; None for all the others.

    Returns
    -------
    Division
        If the subset is smaller than asked, the counts shrink in proportion; at least one structure goes
        to training if any training was asked for.

    Raises
    ------
    ConfigError
        If an amount is negative or a fraction above 1, or both fractions sum to more than 1.
    """
    n = len(names)
    n_train, n_test, notes = counts(n, subset, train, test)
    order = np.array(sorted(range(n), key=lambda i: names[i]), np.int64)
    shuffled = order[random_stream(seed, subset).permutation(n)]
    return Division(np.sort(shuffled[:n_train]), np.sort(shuffled[n - n_test :]), notes)


def by_names(
    names: Sequence[str], subset: str, train: Collection[str] | None, test: Collection[str] | None
) -> Division:
    """Divide one subset by given names of training and test structures.

    Parameters
    ----------
    names : sequence of str
        Unique names of the structures.
    subset : str
        Name of the subset.
    train, test : collection of str or None
        Names as `match_names` returns them; None for all the others. Names of other subsets may be among
        them.

    Returns
    -------
    Division
        Structures in neither collection are left out, with a note.

    Raises
    ------
    InputError
        If a structure is in both.
    ConfigError
        If both are None.
    """
    if train is None and test is None:
        raise ConfigError("expected names of training or of test structures, got neither")
    train_names = set(names) - set(test or ()) if train is None else set(train)
    test_names = set(names) - set(train or ()) if test is None else set(test)
    both = sorted(train_names & test_names)
    if both:
        raise InputError(
            f"expected training and test structures to be disjoint, got {len(both)} in both: {_some(both)}"
        )
    in_train = np.array([name in train_names for name in names], bool)
    in_test = np.array([name in test_names for name in names], bool)
    unused = int((~in_train & ~in_test).sum())
    notes = (
        [f"{subset}: {unused} of {len(names)} structures are in neither list and left out"] if unused else []
    )
    notes += _empty_notes(subset, int(in_train.sum()), int(in_test.sum()), len(names))
    return Division(np.flatnonzero(in_train), np.flatnonzero(in_test), tuple(notes))


def match_names(names: Sequence[str], entries: Sequence[str]) -> set[str]:
    """Return the structures that the entries of a list mean.

    An entry is a full name (``train/file_0001.xsf``), the beginning of names up to a ``/`` or ``#`` (a
    source, folder, archive or file of frames: ``train_set.zip``), or the end of exactly one name
    (``file_0001.xsf``).

    Parameters
    ----------
    names : sequence of str
        Names of all structures.

    Raises
    ------
    InputError
        If an entry means no structure, or the end of several names.
    """
    below, endings = _index(names)
    everything = set(names)
    chosen: set[str] = set()
    problems = []
    for entry in entries:
        ends = endings.get(entry, [])
        if entry in everything:
            chosen.add(entry)
        elif entry.rstrip("/") in below:
            chosen.update(below[entry.rstrip("/")])
        elif len(ends) == 1:
            chosen.add(ends[0])
        elif ends:
            problems.append(f"'{entry}' means {len(ends)} structures: {_some(ends)}")
        else:
            close = get_close_matches(entry, list(names)[:1000], n=1)
            problems.append(f"'{entry}' is not there" + (f" (did you mean '{close[0]}'?)" if close else ""))
    if problems:
        got = f"{len(problems)} that are not: {_some(problems)}"
        raise InputError(f"expected names of the {len(names)} structures, got {got}")
    return chosen


def leaking(division: Division, duplicates: Sequence[tuple[int, int, float]]) -> list[tuple[int, int]]:
    """Return pairs of duplicates of which one is for training and the other for the test.

    Parameters
    ----------
    duplicates : sequence of (int, int, float)
        As `geometry.duplicates` returns them, for the same subset.

    Returns
    -------
    list of (int, int)
        Index of the training structure, index of the test structure.
    """
    # Duplicates come as a tree (each one paired with one other); compare within the whole tree.
    root: dict[int, int] = {}

    def find(i: int) -> int:
        while root.get(i, i) != i:
            i = root[i]
        return i

    for one, other, _ in duplicates:
        low, high = sorted((find(one), find(other)))
        root[high] = low
    train = {find(int(i)): int(i) for i in division.train[::-1]}
    return [(train[find(int(i))], int(i)) for i in division.test if find(int(i)) in train]


def counts(
    n: int, subset: str, train: int | float, test: int | float | None
) -> tuple[int, int, tuple[str, ...]]:
    """Return how many of n structures are for training and for the test, and notes; see `sample`."""
    if isinstance(train, float) and isinstance(test, float) and train + test > 1 + 1e-9:
        raise ConfigError(f"train and test: expected fractions that sum to at most 1, got {train} and {test}")
    wanted_train = _amount(n, train, "train")
    wanted_test = n - wanted_train if test is None else _amount(n, test, "test")
    n_train, n_test = wanted_train, max(0, wanted_test)
    notes = []
    if wanted_train > 0 and n_train + n_test > n:
        n_train = min(n_train, n) if test is None else round(n * wanted_train / (wanted_train + wanted_test))
        n_train = min(n, max(1, n_train))
    n_train = min(n, max(n_train, 1 if train > 0 and n > 0 else 0))
    n_test = min(n_test, n - n_train)
    # A fraction promises no count, so rounding it is not worth a note; a count is.
    short_train = isinstance(train, int) and n_train < train
    short_test = isinstance(test, int) and n_test < test
    if short_train or short_test:
        asked = f"{train} for training" + ("" if test is None else f" and {test} for testing")
        notes.append(
            f"{subset}: {asked} asked for, only {n} there: {n_train} for training, {n_test} for testing"
        )
    return n_train, n_test, (*notes, *_empty_notes(subset, n_train, n_test, n, test == 0))


def _amount(n: int, amount: int | float, key: str) -> int:
    if amount < 0 or (isinstance(amount, float) and not amount <= 1):
        raise ConfigError(f"{key}: expected a count or a fraction between 0 and 1, got {amount}")
    return round(amount * n) if isinstance(amount, float) else amount


def _empty_notes(subset: str, n_train: int, n_test: int, n: int, no_test_wanted: bool = False) -> list[str]:
    notes = []
    if n_train == 0:
        notes.append(f"{subset}: none of {n} structures is for training")
    if n_test == 0 and not no_test_wanted:
        notes.append(f"{subset}: none of {n} structures is for testing; it cannot be evaluated")
    return notes


def random_stream(seed: int, key: str) -> np.random.Generator:
    """Return random numbers that depend on seed and key only."""
    # A hash that is the same on every machine and in every process, unlike Python's own.
    words = np.frombuffer(hashlib.sha256(key.encode()).digest(), "<u4")
    return np.random.default_rng([seed, *words.tolist()])


def _index(names: Sequence[str]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the names by each of their beginnings and by each of their ends, both at separators."""
    below: dict[str, list[str]] = {}
    endings: dict[str, list[str]] = {}
    for name in names:
        path, _, frame = name.partition("#")
        parts = path.split("/")
        starts = ["/".join(parts[:i]) for i in range(1, len(parts) + bool(frame))]
        for start in starts:
            below.setdefault(start, []).append(name)
        for i in range(1, len(parts)):
            endings.setdefault("/".join(parts[i:]) + (f"#{frame}" if frame else ""), []).append(name)
    return below, endings


def _some(items: Collection[str]) -> str:
    shown = list(items)[:3]
    return ", ".join(shown) + (f" and {len(items) - 3} more" if len(items) > 3 else "")
