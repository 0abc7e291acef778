"""The nearest periodic image: the shortest vectors modulo a lattice, exact for cells of any shape.

Owns the one minimum image of the package, the volumes of cells and the gaps in them. Lists of all images
within a cutoff are `neighbour_list`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet

TIE = 1e-9  # relative gain below which a lattice vector is not replaced by a shorter one


def volumes(structures: StructureSet) -> FloatArray | None:
    """Return the volumes that stresses count for, shape (n_structures,), Å³.

    None where there is no stress: with fewer than two periodic directions, or a cell without volume.
    """
    if structures.cells is None or sum(structures.pbc) < 2:
        return None
    found: FloatArray = np.abs(np.linalg.det(structures.cells))
    return found if (found > 0.0).all() else None


def widest_gaps(positions: FloatArray, cell: FloatArray) -> FloatArray:
    """Return the thickness of the widest layer without atoms across each lattice vector.

    Parameters
    ----------
    positions : ndarray of shape (n_atoms, 3), Å
    cell : ndarray of shape (3, 3), Å
        Of three periodic directions; not flat.

    Returns
    -------
    ndarray of shape (3,), Å
        Between planes of atoms that two other vectors span; the height of the cell where all lie in one.
    """
    inverse = np.linalg.inv(cell)
    places = np.sort((positions @ inverse) % 1.0, axis=0)
    gaps = np.diff(places, axis=0, append=places[:1] + 1.0).max(axis=0)
    return np.asarray(gaps / np.linalg.norm(inverse, axis=0))


class Lattice:
    """Lattice vectors of the periodic directions, and which images of a vector may be the nearest.

    Parameters
    ----------
    cell : ndarray of shape (3, 3), Å, or None
        Lattice vectors as rows; those of directions that are not periodic have no meaning.
    pbc : sequence of three bool

    Attributes
    ----------
    rows : ndarray of shape (rank, 3), Å
        Vectors of the same lattice, reduced: a cell that none of its vectors can make shorter stays as it is.
    inverse : ndarray of shape (3, rank), 1/Å
        Pseudo-inverse of ``rows``; its columns are the dual vectors.
    corrections : ndarray of shape (n, 3), Å
        What may shorten a vector after its fractional coordinates have been rounded away; none in an
        orthogonal cell.

    Raises
    ------
    InputError
        If a periodic direction has no lattice vector of its own.
    """

    def __init__(self, cell: FloatArray | None, pbc: Sequence[bool]) -> None:
        self.rank = sum(bool(p) for p in pbc)
        if self.rank and cell is None:
            raise InputError("periodic structures: expected a cell, got none")
        rows = np.zeros((0, 3)) if cell is None else np.asarray(cell, float)[np.asarray(pbc, bool)]
        if self.rank and np.linalg.matrix_rank(rows) < self.rank:
            raise InputError(
                f"periodic structures: expected {self.rank} independent lattice vectors, got {rows}"
            )
        self.rows = _reduced(rows)
        self.inverse = np.linalg.pinv(self.rows) if self.rank else np.zeros((3, 0))
        self.corrections = self._corrections() if self.rank else np.zeros((0, 3))

    @property
    def height(self) -> float:
        """Smallest distance of opposite faces, Å; infinite without periodic directions."""
        return float(1.0 / np.linalg.norm(self.inverse, axis=0).max(initial=0.0)) if self.rank else np.inf

    def nearest(self, vectors: FloatArray) -> FloatArray:
        """Return the shortest equivalents of vectors of shape (..., 3)."""
        if not self.rank:
            return vectors
        wrapped = vectors - np.round(vectors @ self.inverse) @ self.rows
        best, length = wrapped, np.einsum("...x,...x->...", wrapped, wrapped)
        for shift in self.corrections:
            trial = wrapped + shift
            trial_length = np.einsum("...x,...x->...", trial, trial)
            better = trial_length < length
            best = np.where(better[..., None], trial, best)
            length = np.where(better, trial_length, length)
        return best

    def translations(self, radius: float) -> FloatArray:
        """Return all lattice vectors that can bring one of `nearest` within ``radius`` of the origin."""
        shifts = self._turns(radius) @ self.rows
        return shifts[np.linalg.norm(shifts, axis=1) <= radius + self.half_diagonal]

    @property
    def half_diagonal(self) -> float:
        """Largest length of a vector with fractional coordinates within ±1/2, Å."""
        corners = np.array(list(product((-0.5, 0.5), repeat=self.rank))) @ self.rows
        return float(np.linalg.norm(corners, axis=1).max())

    def _turns(self, radius: float) -> IntArray:
        """Numbers of lattice vectors that can bring a vector, once it is rounded, within the radius.

        A vector v has fractional coordinates |f_i| ≤ |v| |b_i| with the dual vectors b, a rounded one ±1/2.
        """
        limit = np.floor(radius * np.linalg.norm(self.inverse, axis=0) + 0.5).astype(np.int64)
        return np.array(list(product(*(range(-m, m + 1) for m in limit))))

    def _corrections(self) -> FloatArray:
        """Shifts s that can shorten a vector with fractional coordinates in [-1/2, 1/2].

        |(f+s)A|² < |fA|² for some f in the box means sum_i |(Gs)_i| > sᵀGs with G = AAᵀ. None for an
        orthogonal cell, where rounding is already exact.
        """
        gram = self.rows @ self.rows.T
        turns = self._turns(self.half_diagonal)
        push = turns @ gram
        gain = np.abs(push).sum(axis=1) - np.einsum("si,si->s", push, turns)
        return turns[gain > 1e-9 * np.trace(gram)] @ self.rows


def by_cell(structures: StructureSet) -> list[tuple[Lattice, IntArray | slice]]:
    """Return each lattice that occurs among structures, and the structures that have it."""
    if not structures.is_periodic or structures.cells is None:
        return [(Lattice(None, (False,) * 3), slice(None))]
    if not len(structures):
        return []
    cells = structures.cells
    if (cells == cells[:1]).all():
        return [(Lattice(cells[0], structures.pbc), slice(None))]
    unique, group = np.unique(cells.reshape(len(cells), 9), axis=0, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    members = np.split(order, np.cumsum(np.bincount(group.ravel()))[:-1])
    return [(Lattice(u.reshape(3, 3), structures.pbc), m) for u, m in zip(unique, members, strict=True)]


def _reduced(rows: FloatArray) -> FloatArray:
    """Return vectors of the same lattice of which none is shortened by whole multiples of the others.

    Otherwise the images that may be the nearest are many in a skewed cell.
    """
    rows, corners = rows.copy(), np.array(list(product((0, 1), repeat=max(len(rows) - 1, 0))))
    changed = len(rows) > 1
    while changed:
        changed = False
        for k in range(len(rows)):
            others = np.delete(rows, k, axis=0)
            trials = rows[k] - (np.floor(rows[k] @ np.linalg.pinv(others)) + corners) @ others
            lengths = np.einsum("tx,tx->t", trials, trials)
            if lengths.min() < (1.0 - TIE) * (rows[k] @ rows[k]):
                rows[k], changed = trials[np.argmin(lengths)], True
    return rows
