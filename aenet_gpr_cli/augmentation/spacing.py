"""How far apart reference structures are: the room that their copies have."""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.structures import FloatArray, StructureSet


def neighbour_steps(structures: StructureSet, n_nearest: int, align: bool) -> FloatArray:
    """Return the root-mean-square displacement that leads to the nearest other structures.

    Parameters
    ----------
    structures : StructureSet
        Reference structures of one subset, periodic ones unwrapped.
    n_nearest : int
        Neighbours that count, or all if there are fewer: the frame before in a trajectory alone says little.
    align : bool
        Superpose structures first (Kabsch, Acta Cryst. A 32, 922, 1976): right for isolated ones that may
        move and turn freely.

    Returns
    -------
    ndarray of shape (n_structures,), Å
        Per Cartesian component; infinite for a single structure.
    """
    found = np.full(len(structures), np.inf)
    for number, positions in enumerate(structures.positions):
        others = np.delete(structures.positions, number, axis=0)
        squares = np.sort(np.square(steps_to(positions, others, align)).mean(axis=(1, 2)))[:n_nearest]
        if len(squares):
            found[number] = np.sqrt(squares.mean())
    return found


def steps_to(positions: FloatArray, others: FloatArray, align: bool) -> FloatArray:
    """Return the displacements that lead from a structure to others.

    Parameters
    ----------
    positions : ndarray of shape (n_atoms, 3), Å
    others : ndarray of shape (n_structures, n_atoms, 3), Å
    align : bool
        Superpose them first.

    Returns
    -------
    ndarray of shape (n_structures, n_atoms, 3), Å
    """
    if not align:
        return np.asarray(others - positions)
    others = others - others.mean(axis=1, keepdims=True)
    positions = positions - positions.mean(axis=0)
    left, _, right = np.linalg.svd(np.einsum("nax,ay->nxy", others, positions))
    left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]  # rotations, no reflections
    return np.asarray(others @ (left @ right) - positions)
