"""Geometry of a subset: unwrapping across periodic boundaries, duplicates, all distances.

Owns findings about positions. What to do about them (warn, refuse) is left to the stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from aenet_gpr_cli.lattice import by_cell
from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet

_BLOCK_BYTES = 64 * 2**20
# A displacement longer than this fraction of the smallest height of the cell after unwrapping: the atom
# is nearly as close to another image, so that the choice means little.
_JUMP_FRACTION = 0.4


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """A subset in which no atom jumps across a periodic boundary.

    Attributes
    ----------
    structures : StructureSet
        Positions shifted by whole lattice vectors; energies and forces are those of the input.
    n_atoms_shifted : int
        Number of atoms, over all structures, that were shifted.
    shifted : tuple of str
        Names of the structures in which an atom was shifted.
    jumping : tuple of str
        Names of the structures with an atom still far from the reference (more than 0.4 of the
        smallest height of the cell): it moved freely, and its nearest image is arbitrary.
    """

    structures: StructureSet
    n_atoms_shifted: int
    shifted: tuple[str, ...]
    jumping: tuple[str, ...]


def unwrap(structures: StructureSet, reference: FloatArray | None = None) -> Unwrapped:
    """Shift atoms by whole lattice vectors to the images nearest those of a reference structure.

    R' = R + s·A with integers s and lattice vectors A (rows) such that ‖R' - R_ref‖ is smallest, per atom.
    Only periodic directions are shifted; atoms that need no shift keep their coordinates to the last bit.

    Parameters
    ----------
    reference : ndarray of shape (n_atoms, 3), Å, optional
        The first structure, if not given.
    """
    if not structures.is_periodic or structures.cells is None:
        return Unwrapped(structures, 0, (), ())
    reference = structures.positions[0] if reference is None else reference
    positions = structures.positions.copy()
    moved = np.zeros(positions.shape[:2], bool)
    far = np.zeros(len(structures), bool)
    for lattice, own in by_cell(structures):
        steps = structures.positions[own] - reference
        nearest = lattice.nearest(steps)
        turns = np.rint((nearest - steps) @ lattice.inverse)
        moved[own] = (turns != 0.0).any(axis=2)
        shifted = positions[own] + turns @ lattice.rows
        positions[own] = np.where(moved[own][:, :, None], shifted, positions[own])
        distances = np.linalg.norm(positions[own] - reference, axis=2)
        far[own] = (distances > _JUMP_FRACTION * lattice.height).any(axis=1)
    return Unwrapped(
        structures=replace(structures, positions=positions),
        n_atoms_shifted=int(moved.sum()),
        shifted=_names(structures, np.flatnonzero(moved.any(axis=1))),
        jumping=_names(structures, np.flatnonzero(far)),
    )


def duplicates(structures: StructureSet, tolerance: float) -> list[tuple[int, int, float]]:
    """Find structures that agree in all interatomic distances, whatever their position and orientation.

    Two structures are duplicates if max_ij |r_ij - r'_ij| ≤ tolerance (minimum image where periodic), and the
    lengths of their lattice vectors and of their sums, sorted, agree as well. Mirror images count: their
    energies are the same.

    Parameters
    ----------
    tolerance : float, Å

    Returns
    -------
    list of (int, int, float)
        Index of a structure, of its duplicate, and the largest difference of a distance in Å. Of n
        structures that agree, n-1 pairs are returned, so that dropping the second of each leaves one.

    Notes
    -----
    Only structures that agree in the few distances that vary most are compared in full. Cost about
    n·N² for n structures of N atoms; memory of one block of structures.
    """
    first, second = np.triu_indices(structures.n_atoms, 1)
    if len(structures) < 2:
        return []
    key = np.hstack([_telling_distances(structures, first, second), _cell_lengths(structures)])
    # Distances of the same structure in another orientation differ by rounding.
    window = tolerance + 1e-12 * (1.0 + np.abs(key).max(initial=0.0))
    alive = np.argsort(key[:, 0], kind="stable")
    pairs: list[tuple[int, int, float]] = []
    offset = 1
    while offset < len(alive):
        one, other = alive[:-offset], alive[offset:]
        close = np.flatnonzero(key[other, 0] - key[one, 0] <= window)
        if len(close) == 0:
            break
        close = close[(np.abs(key[one[close]] - key[other[close]]) <= window).all(axis=1)]
        one, other = one[close], other[close]
        difference = _largest_difference(structures, one, other, first, second)
        same = difference <= window
        low, high = np.minimum(one, other), np.maximum(one, other)
        pairs += list(zip(low[same].tolist(), high[same].tolist(), difference[same].tolist(), strict=True))
        # Each duplicate leaves the list, so that many copies of one structure cost no more than one.
        alive = np.delete(alive, close[same] + offset)
        offset = 1 if same.any() else offset + 1
    return sorted(pairs)


def _cell_lengths(structures: StructureSet) -> FloatArray:
    """Return lengths of the periodic lattice vectors and of the sums of two, sorted, shape (n, ≤6), Å."""
    if structures.cells is None or not structures.is_periodic:
        return np.zeros((len(structures), 0))
    rows = structures.cells[:, list(structures.pbc)]
    one, other = np.triu_indices(rows.shape[1], 1)
    sums = np.linalg.norm(rows[:, one] + rows[:, other], axis=2)
    return np.hstack([np.sort(np.linalg.norm(rows, axis=2), axis=1), np.sort(sums, axis=1)])


def distance_matrix(structures: StructureSet) -> FloatArray:
    """Return the distances of all pairs of atoms (minimum image where periodic).

    Returns
    -------
    ndarray of shape (n_structures, n_atoms, n_atoms), Å
    """
    first, second = np.triu_indices(structures.n_atoms, 1)
    matrix = np.zeros((len(structures), structures.n_atoms, structures.n_atoms))
    for start, distances in _distance_blocks(structures, first, second):
        matrix[start : start + len(distances), first, second] = distances
    return matrix + matrix.transpose(0, 2, 1)


def _telling_distances(structures: StructureSet, first: IntArray, second: IntArray) -> FloatArray:
    """Return (n, ≤16) distances of the pairs of atoms that vary most, the most varying first."""
    if len(first) == 0:
        return np.zeros((len(structures), 1))
    some = np.unique(np.linspace(0, len(structures) - 1, 64).astype(int))
    spread = np.vstack([d for _, d in _distance_blocks(structures.select(some), first, second)]).std(axis=0)
    most = np.argsort(-spread, kind="stable")[:16]
    return np.vstack([d for _, d in _distance_blocks(structures, first[most], second[most])])


def _distance_blocks(
    structures: StructureSet, first: IntArray, second: IntArray
) -> Iterator[tuple[int, FloatArray]]:
    """Iterate over (start, distances of shape (block, n_pairs))."""
    block = max(1, _BLOCK_BYTES // (8 * 9 * max(1, len(first))))
    for start in range(0, len(structures), block):
        index = np.arange(start, min(start + block, len(structures)))
        yield start, _distances(structures, index, first, second)


def _distances(structures: StructureSet, index: IntArray, first: IntArray, second: IntArray) -> FloatArray:
    chosen = structures.select(index)
    distances = np.empty((len(index), len(first)))
    for lattice, own in by_cell(chosen):
        positions = chosen.positions[own]
        distances[own] = np.linalg.norm(lattice.nearest(positions[:, second] - positions[:, first]), axis=2)
    return distances


def _largest_difference(
    structures: StructureSet, one: IntArray, other: IntArray, first: IntArray, second: IntArray
) -> FloatArray:
    block = max(1, _BLOCK_BYTES // (8 * 9 * max(1, len(first))))
    parts = [np.zeros(0)]
    for lo in range(0, len(one), block):
        a = _distances(structures, one[lo : lo + block], first, second)
        b = _distances(structures, other[lo : lo + block], first, second)
        parts.append(np.abs(a - b).max(axis=1, initial=0.0))
    return np.concatenate(parts)


def _names(structures: StructureSet, index: IntArray) -> tuple[str, ...]:
    return tuple(structures.names[i] if structures.names else str(i) for i in index)


def torques(positions: FloatArray, forces: FloatArray) -> FloatArray:
    """Return |Σ r×F| / Σ |r| |F| of each structure, with r from the centre; dimensionless.

    Parameters
    ----------
    positions, forces : ndarray of shape (n_structures, n_atoms, 3)
    """
    arms = positions - positions.mean(axis=1, keepdims=True)
    lever = (np.linalg.norm(forces, axis=2) * np.linalg.norm(arms, axis=2)).sum(axis=1)
    return np.asarray(np.linalg.norm(np.cross(arms, forces).sum(axis=1), axis=1) / np.maximum(lever, 1e-2))
