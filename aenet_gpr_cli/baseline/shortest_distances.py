"""The shortest distances between atoms of each pair of elements in training, and atoms that are nearer.

A model has learnt nothing of atoms that collide. In a smooth descriptor they may still look like others: a
sum over all neighbours changes little when one of them comes too near.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from ase.data import atomic_numbers, covalent_radii

from aenet_gpr_cli.structures import AnySet, FloatArray, IntArray

# What needs neighbours imports them when called: their compiled loops load numba, and `show` reads this.
if TYPE_CHECKING:
    from aenet_gpr_cli.descriptors.interface.neighbour_list import NeighbourList

ATOMS_AT_A_TIME = 4000  # whose neighbours are held in memory
LOOKED_FOR = 3.0  # Å; shorter distances are measured
BONDED = 1.25  # of the sum of covalent radii: where that is farther, up to there
NEARER = 0.97  # of the shortest distance: others of the same kind come by a few percent nearer
TINY = 1e-3  # Å; atoms at one place are refused elsewhere
STEEPNESS = 6  # of the repulsion that a distance to the training data is measured by


class Pair(NamedTuple):
    """Two atoms nearer to each other than any of their elements in training, counted from 0; lengths in Å."""

    first: int
    second: int
    distance: float
    shortest: float


def blocks(structures: AnySet) -> Iterator[IntArray]:
    """Yield the numbers of some structures at a time."""
    size = max(1, ATOMS_AT_A_TIME // max(structures.n_atoms, 1))
    for start in range(0, len(structures), size):
        yield np.arange(start, min(start + size, len(structures)))


def shortest_distances(species: Sequence[str], sets: Iterable[AnySet], reach: float) -> FloatArray:
    """Return the shortest distance of each pair of elements, Å; infinite where none is below ``reach``.

    Parameters
    ----------
    species : sequence of str
        Includes those of the sets.
    sets : iterable of AnySet
        Read some structures at a time.
    reach : float, Å

    Returns
    -------
    ndarray of shape (n_species, n_species), Å
        Symmetric.
    """
    from aenet_gpr_cli.descriptors.interface.neighbour_list import neighbour_list

    shortest = np.full((len(species), len(species)), np.inf)
    for structures in sets:
        kinds = np.array([list(species).index(symbol) for symbol in structures.species])
        for index in blocks(structures):
            block = structures.select(index).in_memory()
            near = neighbour_list(block.positions, block.cells, block.pbc, reach)
            centres = np.repeat(np.arange(len(near.offsets) - 1), np.diff(near.offsets))
            pairs = (kinds[centres % block.n_atoms], kinds[near.index % block.n_atoms])
            np.minimum.at(shortest, pairs, np.linalg.norm(near.vectors, axis=1))
    return shortest


def nearest_in_training(species: Sequence[str], sets: Iterable[AnySet], cutoff: float) -> FloatArray:
    """Return below which distance two atoms were never in training, shape (n_species, n_species), Å.

    The shortest distance of each pair of elements, or how far it was looked for where none is shorter.

    Parameters
    ----------
    species, sets
        As for `shortest_distances`.
    cutoff : float, Å
        Of the potential's neighbours: nothing farther is looked for.
    """
    radii = covalent_radii[[atomic_numbers[symbol] for symbol in species]]
    reach = np.minimum(np.maximum(BONDED * (radii[:, None] + radii), LOOKED_FOR), cutoff)
    return np.minimum(shortest_distances(species, sets, float(reach.max())), reach)


def crowding(kinds: IntArray, neighbours: NeighbourList, shortest: FloatArray) -> FloatArray:
    """Return how many times stronger the nearest neighbour repels an atom than any does in training.

    (0.97 R/r)⁶ of the worst pair, with R its shortest distance in training: between atoms that touch, a
    repulsion grows about so. 0 where no pair is nearer than 0.97 R.

    Parameters
    ----------
    kinds : ndarray of int, shape (n_atoms_total,)
        Species of each atom, as in ``shortest``.
    neighbours : NeighbourList
        Complete up to the largest of these distances; every pair in both directions.
    shortest : ndarray of shape (n_species, n_species), Å

    Returns
    -------
    ndarray of shape (n_atoms_total,), dimensionless
        0, or above 1.
    """
    found = np.zeros(len(kinds))
    for centre, _, distance, limit in _too_near(kinds, neighbours, shortest):
        found[centre] = max(found[centre], (NEARER * limit / max(distance, TINY)) ** STEEPNESS)
    return found


def worst_pair(kinds: IntArray, neighbours: NeighbourList, shortest: FloatArray) -> Pair | None:
    """Return the pair that is nearest in units of its shortest distance in training, if any is too near."""
    pairs = list(_too_near(kinds, neighbours, shortest))
    return min(pairs, key=lambda pair: pair.distance / pair.shortest, default=None)


def _too_near(kinds: IntArray, neighbours: NeighbourList, shortest: FloatArray) -> Iterator[Pair]:
    edges = neighbours.closer_than(kinds, NEARER * shortest)
    centres = np.searchsorted(neighbours.offsets, edges, side="right") - 1
    for edge, centre in zip(edges, centres, strict=True):
        end = neighbours.index[edge]
        length = float(np.linalg.norm(neighbours.vectors[edge]))
        yield Pair(int(centre), int(end), length, float(shortest[kinds[centre], kinds[end]]))
