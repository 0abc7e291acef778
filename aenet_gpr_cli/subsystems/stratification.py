"""An order of mixed structures of which every beginning and every end is spread like the whole.

Owns what structures are told apart by: their kind (group), composition, volume and energy per atom. How many
of them train, `sampling` counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from aenet_gpr_cli.reference_energies import energies_by_counts
from aenet_gpr_cli.structures import FloatArray, IntArray, Structure
from aenet_gpr_cli.subsystems.sampling import Division, counts, random_stream
from aenet_gpr_cli.subsystems.trajectories import blocks, edges

SMALLEST_STRATUM = 4  # structures of a kind or composition that are drawn from apart from the others
_LEAF = 3  # structures too alike to be divided further


def sample_spread(
    structures: Sequence[Structure],
    key: str,
    seed: int,
    train: int | float,
    test: int | float | None,
    block_size: int = 1,
    gap: int = 0,
) -> Division:
    """Draw training and test structures so that both are spread like the whole.

    Training structures are the first of `spread_order`, test structures the last: with the same seed a larger
    training set contains the smaller one, and the test set stays. The order of the files does not matter.

    Parameters
    ----------
    structures : sequence of Structure
        With unique names.
    key : str
        Name of the whole, for notes and the stream of random numbers.
    train, test : int, float or None
        As in `sampling.sample`.
    block_size : int
        Successive frames of a trajectory that stay together; then counts are met to half a block.
    gap : int
        Test frames so near in time to a training frame are left out.

    Returns
    -------
    Division
        Structures with an element that no training structure has are for training.
    """
    by_name = sorted(range(len(structures)), key=lambda i: structures[i].name)
    items = [structures[i] for i in by_name]
    n_train, n_test, notes = counts(len(items), key, train, test)
    divided = blocks([s.name for s in items], block_size) if block_size > 1 else []
    units = [unit for row in divided for unit in row] or [np.array([i]) for i in range(len(items))]
    strata, features = describe(items)
    means = np.array([features[unit].mean(axis=0) for unit in units])
    order = spread_order([strata[unit[0]] for unit in units], means, seed, key)
    ordered = [units[i] for i in order]
    first = _how_many(ordered, n_train)
    last = (
        len(ordered) - first if test is None else min(len(ordered) - first, _how_many(ordered[::-1], n_test))
    )
    rare = _rare(items, ordered, first) if n_train else []
    training = _joined([*ordered[:first], *(ordered[i] for i in rare)])
    testing = np.setdiff1d(_joined(ordered[len(ordered) - last :]), training)
    said = list(notes)
    if rare:
        said.append(f"{key}: {len(rare)} more for training, the only ones with some element")
    if gap and len(near := edges(divided, testing, training, gap)):
        testing = np.setdiff1d(testing, near)
        said.append(f"{key}: {len(near)} test frames within {gap} of a training frame are left out")
    index = np.array(by_name, np.int64)
    return Division(np.sort(index[training]), np.sort(index[testing]), tuple(said))


def spread_order(strata: Sequence[tuple[str, ...]], features: FloatArray, seed: int, key: str) -> IntArray:
    """Return an order of units such that each part of it is a stratified sample.

    Units are divided by the first entry of their strata, those by the second, and so on, and then by the
    median of the feature that spreads most, down to a few units, which are shuffled. On the way back the
    parts are merged: unit k of n in its part stands at (k + u)/n, with one random u for each part. So the
    first m of N units hold m·n/N of a part with n, give or take one or two, and so do the last.

    Parameters
    ----------
    strata : sequence of tuple of str
        Of each unit, all of the same length; strata with fewer than four units are taken together.
    features : ndarray of shape (n, n_features), any units
        Scaled by their spread within a stratum.
    seed : int
    key : str
        Name of the stream of random numbers.
    """
    rng = random_stream(seed, key)

    def divided(members: IntArray, level: int) -> IntArray:
        if level == len(strata[0]):
            scale = features[members].std(axis=0)
            return bisected(members, features[members] / np.where(scale > 1e-12, scale, np.inf))
        found: dict[str, list[int]] = defaultdict(list)
        for i in members.tolist():
            found[strata[i][level]].append(i)
        small = [i for part in found.values() if len(part) < SMALLEST_STRATUM for i in part]
        parts = [found[name] for name in sorted(found) if len(found[name]) >= SMALLEST_STRATUM]
        return merged([divided(np.array(p, np.int64), level + 1) for p in [*parts, sorted(small)] if p])

    def bisected(members: IntArray, scaled: FloatArray) -> IntArray:
        spread = scaled.std(axis=0)
        if len(members) <= _LEAF or not spread.max(initial=0.0) > 0.0:
            return rng.permutation(members)
        order = np.argsort(scaled[:, int(spread.argmax())], kind="stable")
        return merged([bisected(members[half], scaled[half]) for half in np.array_split(order, 2)])

    def merged(parts: list[IntArray]) -> IntArray:
        if len(parts) == 1:
            return parts[0]
        places = np.concatenate([(np.arange(len(part)) + rng.random()) / len(part) for part in parts])
        return np.concatenate(parts)[np.argsort(places, kind="stable")]

    return divided(np.arange(len(strata)), 0) if len(strata) else np.arange(0)


def describe(structures: Sequence[Structure]) -> tuple[list[tuple[str, str]], FloatArray]:
    """Return by what structures are told apart.

    Parameters
    ----------
    structures : sequence of Structure

    Returns
    -------
    strata : list of (str, str)
        Group, and composition with periodicity.
    features : ndarray of shape (n, n_species + 3)
        Fraction of each element, log of the number of atoms, volume per atom (of slabs area, of wires
        length; 0 without periodicity), and energy per atom beyond that of its elements, by least squares.
    """
    symbols = sorted({symbol for s in structures for symbol in s.species})
    counts = np.array([[s.species.count(symbol) for symbol in symbols] for s in structures], float)
    n_atoms = counts.sum(axis=1)
    strata = [(s.group, f"{'.'.join(sorted(s.species))} {sum(s.pbc)}") for s in structures]
    energies = np.array([np.nan if s.energy is None else s.energy for s in structures])
    if np.isfinite(energies).all():
        atomic = energies_by_counts(counts, energies, np.ones(len(counts)))
        rest = (energies - counts @ atomic) / n_atoms
    else:
        rest = np.zeros(len(structures))
    volumes = np.array([_volume(s) for s in structures]) / n_atoms
    return strata, np.column_stack([counts / n_atoms[:, None], np.log(n_atoms), volumes, rest])


def _volume(structure: Structure) -> float:
    """Return the size of the periodic directions together: Å³, Å² or Å; 0 without any."""
    if structure.cell is None or not any(structure.pbc):
        return 0.0
    return float(np.linalg.svd(structure.cell[list(structure.pbc)], compute_uv=False).prod())


def _how_many(units: Sequence[IntArray], wanted: int) -> int:
    """Return how many of the first units hold about as many structures as are wanted, one at least."""
    if not wanted:
        return 0
    return int(np.abs(np.cumsum([len(unit) for unit in units]) - wanted).argmin()) + 1


def _rare(items: Sequence[Structure], units: Sequence[IntArray], first: int) -> list[int]:
    """Return which units after the first ones are needed so that these have every element."""
    known = {symbol for unit in units[:first] for i in unit for symbol in items[i].species}
    found = []
    for number in range(first, len(units)):
        new = {symbol for i in units[number] for symbol in items[i].species} - known
        if new:
            found.append(number)
            known |= new
    return found


def _joined(units: Sequence[IntArray]) -> IntArray:
    return np.sort(np.concatenate(units)) if units else np.zeros(0, np.int64)
