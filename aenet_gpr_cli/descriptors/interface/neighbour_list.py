"""Neighbour lists of blocks of structures, isolated or periodic.

Owns the edges (centre → neighbour, with the vector between them, own images included). Cutoff
functions and weights are left to the descriptors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import FloatArray, IntArray, Pbc

# ænet's convention: two atoms nearer than this are one and the same.
SAME_ATOM = 1e-12
# Atoms per structure up to which all pairs beat sorting into bins (measured: between 100 and 400).
ALL_PAIRS_LIMIT = 200


@dataclass(frozen=True, slots=True)
class NeighbourList:
    """Edges from each atom of a block of structures to its neighbours, in compressed rows.

    Attributes
    ----------
    offsets : ndarray of int, shape (n_atoms_total + 1,)
        Edges of atom i are ``offsets[i]:offsets[i + 1]``.
    index : ndarray of int, shape (n_edges,)
        Flat index of the neighbour; atom i of structure s has the index ``s * n_atoms + i``.
    vectors : ndarray of shape (n_edges, 3), Å
        From the atom to (the periodic image of) its neighbour, never zero.
    n_atoms : int
        Atoms per structure.
    """

    offsets: IntArray
    index: IntArray
    vectors: FloatArray
    n_atoms: int

    @property
    def n_structures(self) -> int:
        """Number of structures."""
        return (len(self.offsets) - 1) // self.n_atoms

    def moved(self, displacements: FloatArray, deformation: FloatArray | None = None) -> NeighbourList:
        """Return the same edges after the atoms have moved.

        Parameters
        ----------
        displacements : ndarray of shape (n_structures, n_atoms, 3), Å
            New minus old positions, not wrapped; these in the deformed space.
        deformation : ndarray of shape (3, 3), dimensionless, optional
            D of r → r D, with the lattice vectors (rows) as with everything else.

        Notes
        -----
        Complete within a cutoff R as long as the list was built with R + skin and no atom moved by more
        than half the skin; of this (R + skin) (1 - s) is lost to a deformation with the smallest singular
        value s. Descriptors ignore edges beyond their cutoffs.
        """
        flat = np.ascontiguousarray(displacements, float).reshape(-1, 3)
        vectors = self.vectors if deformation is None else self.vectors @ deformation
        return NeighbourList(
            self.offsets, self.index, _moved(self.offsets, self.index, vectors, flat), self.n_atoms
        )

    def closer_than(self, kinds: IntArray, distances: FloatArray) -> IntArray:
        """Return which edges are shorter than a distance that depends on the species of both ends, ascending.

        Parameters
        ----------
        kinds : ndarray of int, shape (n_atoms_total,)
            Species of each atom.
        distances : ndarray of shape (n_species, n_species), Å
        """
        return _closer(self.offsets, self.index, self.vectors, kinds, distances)


def joined(lists: Sequence[NeighbourList], before: NeighbourList | None = None) -> NeighbourList:
    """Return the lists of structures of as many atoms, each of its own age, as that of one block.

    Parameters
    ----------
    lists : sequence of NeighbourList
        Each of one structure.
    before : NeighbourList, optional
        What this function has returned for lists with the same edges: only the vectors are joined anew.

    Examples
    --------
    >>> one = NeighbourList(np.array([0, 1, 2]), np.array([1, 0]), np.array([[1.0, 0, 0], [-1.0, 0, 0]]), 2)
    >>> joined([one, one]).index
    array([1, 0, 3, 2])
    """
    if len(lists) == 1:
        return lists[0]
    n_atoms, vectors = lists[0].n_atoms, np.concatenate([each.vectors for each in lists])
    if before is not None:
        return NeighbourList(before.offsets, before.index, vectors, n_atoms)
    counts = np.concatenate([[0], *(np.diff(each.offsets) for each in lists)])
    index = np.concatenate([each.index + k * n_atoms for k, each in enumerate(lists)])
    return NeighbourList(np.cumsum(counts), index, vectors, n_atoms)


def portions(atoms: IntArray, offsets: IntArray, n_edges: int) -> list[slice]:
    """Return consecutive parts of some atoms with up to so many edges each, or one atom.

    Parameters
    ----------
    atoms : ndarray of int, shape (n,)
        Ascending.
    offsets : ndarray of int, shape (n_atoms_total + 1,)
        See `NeighbourList`.
    n_edges : int

    Examples
    --------
    >>> portions(np.arange(4), np.array([0, 3, 5, 9, 10]), 5)
    [slice(0, 2, None), slice(2, 4, None)]
    """
    ends = np.cumsum(offsets[atoms + 1] - offsets[atoms])
    bounds = [0]
    while bounds[-1] < len(atoms):
        done = ends[bounds[-1] - 1] if bounds[-1] else 0
        bounds.append(max(bounds[-1] + 1, int(np.searchsorted(ends, done + n_edges, side="right"))))
    return [slice(a, b) for a, b in pairwise(bounds)]


def neighbour_list(positions: FloatArray, cells: FloatArray | None, pbc: Pbc, cutoff: float) -> NeighbourList:
    """Find all neighbours within the cutoff, periodic and own images included.

    Parameters
    ----------
    positions : ndarray of shape (n_structures, n_atoms, 3), Å
        Wrapped into the cell or not.
    cells : ndarray of shape (n_structures, 3, 3), Å, or None
        Lattice vectors as rows; None for isolated structures.
    pbc : tuple of three bool
        Periodicity along each lattice vector.
    cutoff : float, Å

    Returns
    -------
    NeighbourList
        Edges no longer than the cutoff, in an order that depends only on the structure they belong to.

    Raises
    ------
    InputError
        If a coordinate is not finite, or the periodic lattice vectors are missing or dependent.

    Notes
    -----
    Small structures: all pairs, O(N²) per structure; the images along lattice vector a that can lie within
    the cutoff are those with |f_a + s_a| ≤ cutoff·|b_a|, b_a the reciprocal vector, so cells smaller than
    the cutoff need no special case. Large ones: bins, O(N) per structure. 32 bytes per edge.
    """
    n_structures, n_atoms = positions.shape[:2]
    positions = np.ascontiguousarray(positions, float)
    if not np.isfinite(positions).all():
        raise InputError("positions: expected finite coordinates, got NaN or infinity")
    periodic = np.array(pbc, bool)
    lattice, reciprocal = _lattice(cells, periodic, n_structures)
    if n_atoms <= ALL_PAIRS_LIMIT or n_structures == 0:
        edges = _all_pairs(positions, lattice, reciprocal, float(cutoff))
    else:
        edges = _cell_list(positions, lattice, reciprocal, periodic, float(cutoff))
    return NeighbourList(*edges, n_atoms=n_atoms)


def _lattice(
    cells: FloatArray | None, periodic: NDArray[np.bool_], n_structures: int
) -> tuple[FloatArray, FloatArray]:
    """Return lattice and reciprocal vectors as rows, zero along directions that are not periodic."""
    lattice, reciprocal = np.zeros((2, n_structures, 3, 3))
    if not periodic.any():
        return lattice, reciprocal
    if cells is None or not np.isfinite(cells).all():
        raise InputError(f"cells: expected finite lattice vectors for pbc {tuple(periodic)}, got {cells}")
    lattice[:, periodic] = np.asarray(cells, float)[:, periodic]
    singular = np.linalg.svd(lattice[:, periodic], compute_uv=False)
    if n_structures and (singular[:, -1] <= 1e-8 * singular[:, 0]).any():
        raise InputError("cells: expected linearly independent periodic lattice vectors, got a flat cell")
    # Rows b_a with b_a·a_c = δ_ac over the periodic vectors, so that |f_a| = |r·b_a| ≤ |r||b_a|.
    reciprocal[:, periodic] = np.linalg.pinv(lattice[:, periodic]).transpose(0, 2, 1)
    return lattice, reciprocal


@njit(cache=True, nogil=True)
def _moved(offsets: IntArray, index: IntArray, vectors: FloatArray, moves: FloatArray) -> FloatArray:
    """Return the vectors of edges whose ends have moved."""
    result = np.empty_like(vectors)
    for i in range(len(moves)):
        for e in range(offsets[i], offsets[i + 1]):
            for a in range(3):
                result[e, a] = vectors[e, a] + moves[index[e], a] - moves[i, a]
    return result


@njit(cache=True, nogil=True)
def _closer(
    offsets: IntArray, index: IntArray, vectors: FloatArray, kinds: IntArray, distances: FloatArray
) -> IntArray:
    """Look at every edge: once to count, once to write; most are longer than all of the distances."""
    longest, count, found = 0.0, 0, np.empty(0, np.int64)
    for a in range(len(distances)):
        for b in range(len(distances)):
            longest = max(longest, distances[a, b] ** 2)
    for fill in (False, True):
        if fill:
            found, count = np.empty(count, np.int64), 0
            if len(found) == 0:
                break
        for i in range(len(offsets) - 1):
            for e in range(offsets[i], offsets[i + 1]):
                square = vectors[e, 0] ** 2 + vectors[e, 1] ** 2 + vectors[e, 2] ** 2
                if square < longest and square < distances[kinds[i], kinds[index[e]]] ** 2:
                    if fill:
                        found[count] = e
                    count += 1
    return found


@njit(cache=True, nogil=True)
def _edges_of_atom(
    positions: FloatArray,
    lattice: FloatArray,
    reciprocal: FloatArray,
    widths: FloatArray,
    cutoff: float,
    i: int,
    base: int,
    start: int,
    index: IntArray,
    vectors: FloatArray,
    fill: bool,
) -> int:
    """Count, and write if wanted, the edges of atom i of one structure; return the end of its row."""
    low, high = np.zeros(3, np.int64), np.zeros(3, np.int64)
    end = start
    for j in range(positions.shape[0]):
        x = positions[j, 0] - positions[i, 0]
        y = positions[j, 1] - positions[i, 1]
        z = positions[j, 2] - positions[i, 2]
        for a in range(3):
            if widths[a] > 0.0:
                f = x * reciprocal[a, 0] + y * reciprocal[a, 1] + z * reciprocal[a, 2]
                low[a], high[a] = np.ceil(-f - widths[a]), np.floor(-f + widths[a])
        for sa in range(low[0], high[0] + 1):
            for sb in range(low[1], high[1] + 1):
                for sc in range(low[2], high[2] + 1):
                    dx = x + sa * lattice[0, 0] + sb * lattice[1, 0] + sc * lattice[2, 0]
                    dy = y + sa * lattice[0, 1] + sb * lattice[1, 1] + sc * lattice[2, 1]
                    dz = z + sa * lattice[0, 2] + sb * lattice[1, 2] + sc * lattice[2, 2]
                    squared = dx * dx + dy * dy + dz * dz
                    if squared <= cutoff * cutoff and squared > SAME_ATOM * SAME_ATOM:
                        if fill:
                            index[end] = base + j
                            vectors[end, 0], vectors[end, 1], vectors[end, 2] = dx, dy, dz
                        end += 1
    return end


@njit(cache=True, nogil=True)
def _all_pairs(
    positions: FloatArray, lattice: FloatArray, reciprocal: FloatArray, cutoff: float
) -> tuple[IntArray, IntArray, FloatArray]:
    """Look at every pair of atoms and every image within reach: once to count, once to write."""
    n_structures, n_atoms = positions.shape[:2]
    offsets = np.zeros(n_structures * n_atoms + 1, np.int64)
    index, vectors = np.empty(0, np.int64), np.empty((0, 3))
    widths = np.zeros(3)
    for fill in (False, True):
        if fill:
            index, vectors = np.empty(offsets[-1], np.int64), np.empty((offsets[-1], 3))
        for s in range(n_structures):
            for a in range(3):
                # A hair more than the bound, against rounding; the distance decides.
                b = reciprocal[s, a]
                widths[a] = cutoff * np.sqrt(b[0] * b[0] + b[1] * b[1] + b[2] * b[2]) * (1.0 + 1e-9)
            for i in range(n_atoms):
                row = s * n_atoms + i
                offsets[row + 1] = _edges_of_atom(
                    positions[s], lattice[s], reciprocal[s], widths, cutoff,
                    i, s * n_atoms, offsets[row], index, vectors, fill,
                )  # fmt: skip
    return offsets, index, vectors


def _cell_list(
    positions: FloatArray,
    lattice: FloatArray,
    reciprocal: FloatArray,
    periodic: NDArray[np.bool_],
    cutoff: float,
) -> tuple[IntArray, IntArray, FloatArray]:
    """Sort the atoms of one structure after the other into bins and look only at the bins within reach."""
    found = [
        _bin_pairs(points, vectors, *_bins(points, duals, periodic, cutoff))
        for points, vectors, duals in zip(positions, lattice, reciprocal)
    ]
    counts = [np.diff(offsets) for offsets, _, _ in found]
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
    index = np.concatenate([index + s * positions.shape[1] for s, (_, index, _) in enumerate(found)])
    return offsets, index, np.concatenate([vectors for _, _, vectors in found])


def _bins(
    points: FloatArray, duals: FloatArray, periodic: NDArray[np.bool_], cutoff: float
) -> tuple[FloatArray, IntArray, IntArray, NDArray[np.bool_], float]:
    """Return fractional coordinates, numbers of bins and how many bins the cutoff spans, along three axes."""
    axes = duals.copy()
    if not periodic.all():
        # Directions orthogonal to all periodic ones, scaled so that the atoms lie between 0 and 1.
        axes[~periodic] = np.linalg.svd(duals)[2][periodic.sum() :]
        extent = np.ptp(points @ axes[~periodic].T, axis=0) * (1.0 + 1e-9) + 1e-9
        axes[~periodic] /= extent[:, None]
    fractions = points @ axes.T
    fractions[:, ~periodic] -= fractions[:, ~periodic].min(axis=0)
    reach = cutoff * np.linalg.norm(axes, axis=1) * (1.0 + 1e-9)
    # Not many more bins than atoms, whatever the shape.
    numbers = np.clip(np.floor(1.0 / reach), 1, np.ceil(2.0 * np.cbrt(len(points)))).astype(np.int64)
    return fractions, numbers, np.ceil(reach * numbers).astype(np.int64), periodic, cutoff


@njit(cache=True, nogil=True)
def _bin_pairs(
    points: FloatArray,
    lattice: FloatArray,
    fractions: FloatArray,
    numbers: IntArray,
    span: IntArray,
    periodic: NDArray[np.bool_],
    cutoff: float,
) -> tuple[IntArray, IntArray, FloatArray]:
    """Find the edges of one structure bin by bin: once to count, once to write."""
    n_atoms = len(points)
    wrapped, home = np.empty((n_atoms, 3)), np.empty((n_atoms, 3), np.int64)
    following = np.full(n_atoms, -1)
    first = np.full((numbers[0], numbers[1], numbers[2]), -1)
    for i in range(n_atoms - 1, -1, -1):
        for c in range(3):
            wrapped[i, c] = points[i, c]
        for a in range(3):
            turns = np.floor(fractions[i, a]) if periodic[a] else 0.0
            home[i, a] = min(np.int64((fractions[i, a] - turns) * numbers[a]), numbers[a] - 1)
            for c in range(3):
                wrapped[i, c] -= turns * lattice[a, c]
        following[i] = first[home[i, 0], home[i, 1], home[i, 2]]
        first[home[i, 0], home[i, 1], home[i, 2]] = i
    offsets = np.zeros(n_atoms + 1, np.int64)
    index, vectors = np.empty(0, np.int64), np.empty((0, 3))
    place, image, shift = np.empty(3, np.int64), np.empty(3, np.int64), np.empty(3)
    n_bins = (2 * span[0] + 1) * (2 * span[1] + 1) * (2 * span[2] + 1)
    for fill in (False, True):
        if fill:
            index, vectors = np.empty(offsets[-1], np.int64), np.empty((offsets[-1], 3))
        for i in range(n_atoms):
            end = offsets[i]
            for number in range(n_bins):
                inside, rest = True, number
                for a in range(3):
                    bin_a = home[i, a] + rest % (2 * span[a] + 1) - span[a]
                    rest //= 2 * span[a] + 1
                    image[a] = bin_a // numbers[a]
                    place[a] = bin_a - image[a] * numbers[a]
                    inside = inside and (periodic[a] or image[a] == 0)
                if not inside:
                    continue
                for c in range(3):
                    shift[c] = -wrapped[i, c]
                    for a in range(3):
                        shift[c] += image[a] * lattice[a, c]
                j = first[place[0], place[1], place[2]]
                while j >= 0:
                    dx, dy, dz = wrapped[j, 0] + shift[0], wrapped[j, 1] + shift[1], wrapped[j, 2] + shift[2]
                    squared = dx * dx + dy * dy + dz * dz
                    if squared <= cutoff * cutoff and squared > SAME_ATOM * SAME_ATOM:
                        if fill:
                            index[end] = j
                            vectors[end, 0], vectors[end, 1], vectors[end, 2] = dx, dy, dz
                        end += 1
                    j = following[j]
            offsets[i + 1] = end
    return offsets, index, vectors
