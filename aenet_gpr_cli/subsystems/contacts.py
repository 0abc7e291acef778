"""The two atoms of a structure that are closest to each other, and structures in which they are too close."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from aenet_gpr_cli.errors import AtomsCoincide, InputError
from aenet_gpr_cli.jit import loop
from aenet_gpr_cli.lattice import by_cell
from aenet_gpr_cli.structures import COINCIDENT, FloatArray, IntArray, StructureSet


def closest_pairs(structures: StructureSet) -> tuple[FloatArray, IntArray]:
    """Find the two closest atoms of every structure, with periodic images.

    Distances of an atom to its own images are left out: displacements do not change them.

    Returns
    -------
    distances : ndarray of shape (n_structures,), Å
        Infinite for a single atom.
    pairs : ndarray of int, shape (n_structures, 2)
    """
    distances, pairs = np.empty(len(structures)), np.zeros((len(structures), 2), np.int64)
    for lattice, index in by_cell(structures):
        images = np.vstack([np.zeros((1, 3)), lattice.corrections])
        positions = np.ascontiguousarray(structures.positions[index])
        own, found = np.empty(len(positions)), np.zeros((len(positions), 2), np.int64)
        rows, inverse = np.ascontiguousarray(lattice.rows), np.ascontiguousarray(lattice.inverse)
        _closest(positions, rows, inverse, images, own, found)
        distances[index], pairs[index] = own, found
    return distances, pairs


def close_contacts(structures: StructureSet, threshold: float) -> list[tuple[int, int, int, float]]:
    """Find the closest pair of atoms of each structure in which two atoms are too close.

    Parameters
    ----------
    threshold : float, Å

    Returns
    -------
    list of (int, int, int, float)
        Index of the structure, of both atoms, and their distance in Å (minimum image where periodic).
    """
    distances, pairs = closest_pairs(structures)
    close = np.flatnonzero(distances < threshold)
    return [(int(n), int(pairs[n, 0]), int(pairs[n, 1]), float(distances[n])) for n in close]


def at_one_place(structures: StructureSet) -> list[tuple[int, int, int, float]]:
    """Find structures with two atoms at one place, as `close_contacts` gives them."""
    return close_contacts(structures, COINCIDENT)


@contextmanager
def naming_atoms_at_one_place(structures: StructureSet) -> Iterator[None]:
    """Name the structure in errors about atoms at one place, which have its number in a block only.

    Raises
    ------
    InputError
        That of the block, with name and atoms of the structure.
    """
    try:
        yield
    except AtomsCoincide as error:
        found = at_one_place(structures)
        if not found or not structures.names:
            raise
        n, i, j, distance = found[0]
        raise InputError(
            f"{structures.names[n]}: atoms {i} and {j} are at one place ({distance:.2g} Å); "
            "expected distinct atoms, remove the structure or the atom"
        ) from error


@loop
def _closest(
    positions: FloatArray,
    rows: FloatArray,
    inverse: FloatArray,
    images: FloatArray,
    distances: FloatArray,
    pairs: IntArray,
) -> None:
    """Write the shortest distance of each structure and its atoms; `Lattice.nearest` without arrays."""
    for n in range(len(positions)):
        smallest = np.inf
        for i in range(positions.shape[1]):
            for j in range(i + 1, positions.shape[1]):
                x = positions[n, j, 0] - positions[n, i, 0]
                y = positions[n, j, 1] - positions[n, i, 1]
                z = positions[n, j, 2] - positions[n, i, 2]
                bx, by, bz = x, y, z
                for k in range(rows.shape[0]):
                    turn = np.rint(bx * inverse[0, k] + by * inverse[1, k] + bz * inverse[2, k])
                    x -= turn * rows[k, 0]
                    y -= turn * rows[k, 1]
                    z -= turn * rows[k, 2]
                for a in range(images.shape[0]):
                    dx, dy, dz = x + images[a, 0], y + images[a, 1], z + images[a, 2]
                    squared = dx * dx + dy * dy + dz * dz
                    if squared < smallest:
                        smallest = squared
                        pairs[n, 0], pairs[n, 1] = i, j
        distances[n] = np.sqrt(smallest)
