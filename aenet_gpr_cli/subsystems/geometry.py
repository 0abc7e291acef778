"""Geometry of a subset: unwrapping across periodic boundaries, duplicates, atoms too close.

Owns findings about positions. What to do about them (warn, refuse) is left to the stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

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
    structures : StructureSet
    reference : ndarray of shape (n_atoms, 3), Å, optional
        The first structure, if not given.

    Returns
    -------
    Unwrapped

    Notes
    -----
    Images one lattice vector beyond the rounded one are tried too, which is exact for cells that are not
    extremely skewed.
    """
    if not structures.is_periodic or structures.cells is None:
        return Unwrapped(structures, 0, (), ())
    reference = structures.positions[0] if reference is None else reference
    displacement = structures.positions - reference
    shift = _nearest_image(displacement, structures.cells, structures.pbc)
    moved = np.asarray((shift != 0.0).any(axis=2))
    shifted = structures.positions + np.einsum("nai,nix->nax", shift, structures.cells)
    positions = np.where(moved[:, :, None], shifted, structures.positions)
    far = (
        np.linalg.norm(positions - reference, axis=2) > _JUMP_FRACTION * _smallest_height(structures)[:, None]
    )
    return Unwrapped(
        structures=replace(structures, positions=positions),
        n_atoms_shifted=int(moved.sum()),
        shifted=_names(structures, np.flatnonzero(moved.any(axis=1))),
        jumping=_names(structures, np.flatnonzero(far.any(axis=1))),
    )


def duplicates(structures: StructureSet, tolerance: float) -> list[tuple[int, int, float]]:
    """Find structures that agree in all interatomic distances, whatever their position and orientation.

    Two structures are duplicates if max_ij |r_ij - r'_ij| ≤ tolerance (minimum image where periodic).
    Mirror images count: their energies are the same.

    Parameters
    ----------
    structures : StructureSet
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
    key = _telling_distances(structures, first, second)
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


def close_contacts(structures: StructureSet, threshold: float) -> list[tuple[int, int, int, float]]:
    """Find the closest pair of atoms of each structure in which two atoms are too close.

    Parameters
    ----------
    structures : StructureSet
    threshold : float, Å

    Returns
    -------
    list of (int, int, int, float)
        Index of the structure, of both atoms, and their distance in Å (minimum image where periodic).
    """
    first, second = np.triu_indices(structures.n_atoms, 1)
    if len(first) == 0:
        return []
    found = []
    # Below half the smallest height the rounded image is the nearest one, so no other need be tried.
    short = not structures.is_periodic or 2.0 * threshold < _smallest_height(structures).min(initial=np.inf)
    for start, distances in _distance_blocks(structures, first, second, rounded=bool(short)):
        closest = distances.argmin(axis=1)
        shortest = distances[np.arange(len(distances)), closest]
        for i in np.flatnonzero(shortest < threshold):
            pair = closest[i]
            found.append((start + int(i), int(first[pair]), int(second[pair]), float(shortest[i])))
    return found


def distance_matrix(structures: StructureSet) -> FloatArray:
    """Return the distances of all pairs of atoms (minimum image where periodic).

    Parameters
    ----------
    structures : StructureSet

    Returns
    -------
    ndarray of shape (n_structures, n_atoms, n_atoms), Å
    """
    first, second = np.triu_indices(structures.n_atoms, 1)
    matrix = np.zeros((len(structures), structures.n_atoms, structures.n_atoms))
    for start, distances in _distance_blocks(structures, first, second):
        matrix[start : start + len(distances), first, second] = distances
    return matrix + matrix.transpose(0, 2, 1)


def _nearest_image(
    displacement: FloatArray, cells: FloatArray, pbc: tuple[bool, ...], rounded: bool = False
) -> FloatArray:
    """Return the integer shifts (n, atoms, 3) that make each displacement shortest."""
    periodic = np.array(pbc, float)
    shift = -np.rint(np.einsum("nax,nxi->nai", displacement, np.linalg.inv(cells))) * periodic
    rest = displacement + np.einsum("nai,nix->nax", shift, cells)
    if rounded or _is_orthogonal(cells):  # in an orthogonal cell rounding is exact
        return np.asarray(shift + 0.0)  # no negative zeros
    # Shorter than half the smallest height, no other image can be nearer.
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cells), axis=1)
    n, atom = np.nonzero(np.linalg.norm(rest, axis=2) > 0.5 * heights.min(axis=1)[:, None])
    around = np.array(np.meshgrid(*[[0.0, -1.0, 1.0]] * 3, indexing="ij")).reshape(3, 27).T * periodic
    around = np.array(list(dict.fromkeys(map(tuple, around.tolist()))))
    for lo in range(0, len(n), 20_000):
        i, a = n[lo : lo + 20_000], atom[lo : lo + 20_000]
        candidates = rest[i, a][:, None] + np.einsum("si,nix->nsx", around, cells[i])
        lengths = np.linalg.norm(candidates, axis=2)
        # A gain below rounding is a tie, for which the first image, no extra shift, is kept.
        best = np.where(lengths.min(axis=1) < lengths[:, 0] - 1e-9, lengths.argmin(axis=1), 0)
        shift[i, a] += around[best]
    return np.asarray(shift + 0.0)


def _is_orthogonal(cells: FloatArray) -> bool:
    metric = np.einsum("nix,njx->nij", cells, cells)
    diagonal = np.einsum("nii->ni", metric)
    return bool(np.all(np.abs(metric - diagonal[:, :, None] * np.eye(3)) <= 1e-9 * metric.max(initial=0.0)))


def _telling_distances(structures: StructureSet, first: IntArray, second: IntArray) -> FloatArray:
    """Return (n, ≤16) distances of the pairs of atoms that vary most, the most varying first."""
    if len(first) == 0:
        return np.zeros((len(structures), 1))
    some = np.unique(np.linspace(0, len(structures) - 1, 64).astype(int))
    spread = np.vstack([d for _, d in _distance_blocks(structures.select(some), first, second)]).std(axis=0)
    most = np.argsort(-spread, kind="stable")[:16]
    return np.vstack([d for _, d in _distance_blocks(structures, first[most], second[most])])


def _smallest_height(structures: StructureSet) -> FloatArray:
    assert structures.cells is not None
    heights = 1.0 / np.linalg.norm(np.linalg.inv(structures.cells), axis=1)
    return np.asarray(heights[:, list(structures.pbc)].min(axis=1))


def _distance_blocks(
    structures: StructureSet, first: IntArray, second: IntArray, rounded: bool = False
) -> Iterator[tuple[int, FloatArray]]:
    """Iterate over (start, distances of shape (block, n_pairs))."""
    block = max(1, _BLOCK_BYTES // (8 * 9 * max(1, len(first))))
    for start in range(0, len(structures), block):
        index = np.arange(start, min(start + block, len(structures)))
        yield start, _distances(structures, index, first, second, rounded)


def _distances(
    structures: StructureSet, index: IntArray, first: IntArray, second: IntArray, rounded: bool = False
) -> FloatArray:
    positions = structures.positions[index]
    difference = positions[:, second] - positions[:, first]
    if structures.is_periodic and structures.cells is not None:
        cells = structures.cells[index]
        shift = _nearest_image(difference, cells, structures.pbc, rounded)
        difference += np.einsum("npi,nix->npx", shift, cells, optimize=True)
    return np.asarray(np.linalg.norm(difference, axis=2))


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
