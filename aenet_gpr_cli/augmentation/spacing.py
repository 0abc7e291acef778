"""How far apart reference structures are: the room that their copies have."""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.structures import FloatArray, StructureSet


def nearest_steps(structures: StructureSet, align: bool) -> FloatArray:
    """Return the root-mean-square displacement that leads to the nearest other structure.

    Parameters
    ----------
    structures : StructureSet
        Reference structures of one subset, periodic ones unwrapped.
    align : bool
        Superpose structures first (Kabsch, Acta Cryst. A 32, 922, 1976): right for isolated ones that may
        move and turn freely.

    Returns
    -------
    ndarray of shape (n_structures,), Å
        Per Cartesian component; infinite for a single structure.
    """
    own = structures.positions
    if align:
        own = own - own.mean(axis=1, keepdims=True)
    found = np.full(len(own), np.inf)
    for number, positions in enumerate(own):
        squares = _squares(own, positions, align)
        squares[number] = np.inf
        found[number] = np.sqrt(max(squares.min(), 0.0) / positions.size)
    return found


def _squares(others: FloatArray, positions: FloatArray, align: bool) -> FloatArray:
    """Sums of squared displacements, shape (n_structures,)."""
    if not align:
        return np.asarray(np.square(others - positions).sum(axis=(1, 2)))
    mixed = np.einsum("nax,ay->nxy", others, positions)
    singular = np.linalg.svd(mixed, compute_uv=False)
    singular[:, 2] *= np.sign(np.linalg.det(mixed))  # rotations, no reflections
    both = np.square(others).sum(axis=(1, 2)) + np.square(positions).sum()
    return np.asarray(both - 2.0 * singular.sum(axis=1))
