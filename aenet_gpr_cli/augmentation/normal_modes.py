"""Normal modes of reference structures: which directions are soft, and which cost no energy at all.

Force constants come from the forces of the surrogate, given as a plain function of positions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.structures import FloatArray, StructureSet

Function = Callable[[FloatArray], FloatArray]
STEP = 1e-3  # Å, of finite differences; amplitudes are ten times larger, so that their error is of no concern


def normal_modes(
    positions: FloatArray, free: NDArray[np.bool_], forces: Function, turns: bool
) -> tuple[FloatArray, FloatArray]:
    """Return the softness scale and the directions of the normal modes of one structure.

    Parameters
    ----------
    positions : ndarray of shape (n_atoms, 3), Å
    free : ndarray of bool, shape (n_atoms,)
        Atoms that move.
    forces : callable, (m, n_atoms, 3) Å -> (m, n_atoms, 3) eV/Å
    turns : bool
        The structure is isolated and may turn: rotations are left out, its energy does not depend on them.

    Returns
    -------
    stiffness : ndarray of shape (n_modes,), dimensionless
        1 + |λ|/λ_median with λ the force constants between free atoms by central differences.
    modes : ndarray of shape (3 * n_atoms, n_modes), dimensionless
        Orthonormal, without translations where all atoms are free.
    """
    inner = _movable(positions, free, turns)
    hessian = inner.T @ _hessian(positions, forces) @ inner
    constants, modes = np.linalg.eigh(0.5 * (hessian + hessian.T))
    constants = np.abs(constants)
    seen = constants > 1e-8 * constants.max(initial=0.0)
    median = np.median(constants[seen]) if seen.any() else 1.0
    return 1.0 + constants / median, inner @ modes


def mode_shapes(
    structures: StructureSet, free: NDArray[np.bool_], forces: Function, softness: float
) -> FloatArray:
    """Return for each structure the matrix that makes soft modes of white noise larger than stiff ones.

    A = Σ_k q_k (1 + |λ_k|/λ_median)^(-softness/2) q_kᵀ over the normal modes q_k.

    Parameters
    ----------
    structures : StructureSet
    free : ndarray of bool, shape (n_atoms,)
    forces : callable, (m, n_atoms, 3) Å -> (m, n_atoms, 3) eV/Å
    softness : float, dimensionless

    Returns
    -------
    ndarray of shape (n_structures, 3 * n_atoms, 3 * n_atoms), dimensionless
    """
    turns = may_turn(structures, free)
    shapes = np.empty((len(structures), 3 * structures.n_atoms, 3 * structures.n_atoms))
    for shape, positions in zip(shapes, structures.positions, strict=True):
        if softness > 0.0:
            stiffness, modes = normal_modes(positions, free, forces, turns)
            shape[...] = (modes * stiffness ** (-0.5 * softness)) @ modes.T
        else:
            inner = _movable(positions, free, turns)
            shape[...] = inner @ inner.T
    return shapes


def degrees_of_freedom(structures: StructureSet, free: NDArray[np.bool_]) -> int:
    """Count the directions in which structures move, without those that cost no energy.

    Parameters
    ----------
    structures : StructureSet
    free : ndarray of bool, shape (n_atoms,)

    Returns
    -------
    int
        At least 1.
    """
    return max(1, _movable(structures.positions[0], free, may_turn(structures, free)).shape[1])


def may_turn(structures: StructureSet, free: NDArray[np.bool_]) -> bool:
    """Tell whether structures are isolated and wholly free, so that they turn without cost.

    Parameters
    ----------
    structures : StructureSet
    free : ndarray of bool, shape (n_atoms,)

    Returns
    -------
    bool
    """
    return bool(free.all()) and not structures.is_periodic


def _movable(positions: FloatArray, free: NDArray[np.bool_], turns: bool) -> FloatArray:
    """Orthonormal directions of the free atoms, shape (3 n_atoms, n), without those that cost no energy."""
    if not free.all():
        return np.eye(positions.size)[:, np.repeat(free, 3)]
    idle = [np.tile(axis, len(positions)) for axis in np.eye(3)]
    if turns:
        arms = positions - positions.mean(axis=0)
        idle += [np.cross(axis, arms).ravel() for axis in np.eye(3)]
    left, size, _ = np.linalg.svd(np.stack(idle, axis=1))
    return np.asarray(left[:, np.count_nonzero(size > 1e-6 * size.max()) :])


def _hessian(positions: FloatArray, forces: Function) -> FloatArray:
    """Force constants ∂²E/∂R∂R' of one structure, eV/Å², shape (3 n_atoms, 3 n_atoms)."""
    steps = STEP * np.eye(positions.size).reshape(-1, *positions.shape)
    both = forces(np.concatenate([positions + steps, positions - steps]))
    return -(both[: len(steps)] - both[len(steps) :]).reshape(len(steps), -1) / (2.0 * STEP)
