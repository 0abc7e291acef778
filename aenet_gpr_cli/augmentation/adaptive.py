"""Displacements as far as the uncertainty of the surrogate allows: δ of every copy by itself.

Owns directions and amplitudes. The surrogate comes in as plain functions of positions. Each parent is probed
along a few directions, where the amplitude is bisected until σ reaches its target; for the other copies the
distance in descriptor space that was reached there is kept. Nor does a copy go farther than the room between
reference structures, beyond which the copies of others are. No label and no test structure is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.augmentation.displacements import random_shifts
from aenet_gpr_cli.structures import FloatArray, StructureSet

Function = Callable[[FloatArray], FloatArray]
BISECTIONS = 6  # of the logarithm of δ: from a range of 30 to 6 %
STEP = 1e-3  # Å, of finite differences; amplitudes are ten times larger, so that their error is of no concern


@dataclass(frozen=True, slots=True)
class AdaptiveSettings:
    """How far copies go.

    Attributes
    ----------
    target_sigma : float, eV
        Standard deviation of the label that a copy should have.
    smallest, largest : float, Å
        Limits of δ, the root mean square of the displacement components.
    softness : float, dimensionless
        0: all directions alike; 1: the amplitude along a normal mode falls as 1/√(1 + λ/λ_median) with its
        force constant λ, as that of thermal motion.
    n_probes : int
        Directions per parent along which σ is looked at.
    """

    target_sigma: float
    smallest: float
    largest: float
    softness: float
    n_probes: int


def adaptive_shifts(
    structures: StructureSet,
    n_copies: int,
    seed: int,
    free: NDArray[np.bool_],
    sigma: Function,
    forces: Function,
    descriptor: Function,
    neighbours: FloatArray,
    settings: AdaptiveSettings,
    first_copy: int = 0,
    n_all: int | None = None,
) -> FloatArray:
    """Return displacements whose labels have at most about the same σ.

    Copies 2k and 2k+1 go in opposite directions, so that odd terms of their errors cancel. With D degrees of
    freedom, pair k of K goes ((k+1)/K)^(1/D) of the way, which fills a ball evenly: in one dimension copies
    are equally spaced, in many all are near its surface. The ball ends where σ reaches its target, or at
    h √(D/(2(D+1))) (M/(M+1))^(1/D) with h the step to the nearest reference structure: the distance of a
    point from D + 1 references that are h apart, less the room of the copies of these. For a dimer with
    M = 2 that is a third of h: copies of neighbours are then as far from each other as from their parents.

    Parameters
    ----------
    structures : StructureSet
        Reference structures.
    n_copies : int
    seed : int
    free : ndarray of bool, shape (n_atoms,)
        Atoms that move.
    sigma : callable, (m, n_atoms, 3) Å -> (m,) eV
    forces : callable, (m, n_atoms, 3) Å -> (m, n_atoms, 3) eV/Å
        Of the surrogate: its force constants tell soft from stiff.
    descriptor : callable, (m, n_atoms, 3) Å -> (m, n_features)
    neighbours : ndarray of shape (n_structures,), Å
        Root-mean-square step to the nearest other reference structure.
    settings : AdaptiveSettings
    first_copy : int
    n_all : int, optional
        Copies of each structure in all, if ``n_copies`` are only a part of them.

    Returns
    -------
    ndarray of shape (n_structures, n_copies, n_atoms, 3), Å

    Notes
    -----
    6 n_probes evaluations of σ, 6 n_atoms of the forces (softness above 0) and two descriptors per copy.
    """
    shapes = mode_shapes(structures, free, forces, settings.softness)
    probes = _directions(structures, settings.n_probes, 0, seed, free, shapes)
    n_all = n_all or first_copy + n_copies
    reach = _reach(structures.positions, probes, sigma, descriptor, settings)
    freedom = _degrees_of_freedom(shapes[0], free)
    filled = (n_all / (n_all + 1)) ** (1.0 / freedom)
    room = neighbours * np.sqrt(0.5 * freedom / (freedom + 1)) * filled
    pairs = np.arange(first_copy, first_copy + n_copies) // 2
    share = ((pairs + 1) / (-(-n_all // 2))) ** (1.0 / freedom)
    directions = _directions(structures, n_copies, first_copy, seed, free, shapes)
    stretch = _stretch(structures.positions, directions, descriptor)
    with np.errstate(divide="ignore"):  # a direction that the descriptor does not see has no limit
        far = np.minimum(reach[:, None] / stretch, room[:, None])
    amplitude = np.clip(far * share, settings.smallest, settings.largest)
    return amplitude[..., None, None] * directions


def mode_shapes(
    structures: StructureSet, free: NDArray[np.bool_], forces: Function, softness: float
) -> FloatArray:
    """Return for each structure the matrix that makes soft modes of white noise larger than stiff ones.

    A = Σ_k q_k (1 + |λ_k|/λ_median)^(-softness/2) q_kᵀ over the normal modes q_k, with λ the force constants
    between free atoms by central differences. Rotations of an isolated structure are left out: its energy
    does not depend on them.

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
    width = 3 * structures.n_atoms
    moves = np.repeat(free, 3)
    shapes = np.zeros((len(structures), width, width))
    for shape, positions in zip(shapes, structures.positions, strict=True):
        inner = np.eye(width) * moves
        if free.all() and not structures.is_periodic:
            rotations = _rotations(positions)
            inner -= rotations @ rotations.T
        if softness > 0.0:
            hessian = inner @ _hessian(positions, forces) @ inner
            constants, modes = np.linalg.eigh(0.5 * (hessian + hessian.T))
            constants = np.abs(constants)
            seen = constants > 1e-8 * constants.max(initial=0.0)
            median = np.median(constants[seen]) if seen.any() else 1.0
            inner = inner @ (modes * (1.0 + constants / median) ** (-0.5 * softness)) @ modes.T @ inner
        shape[...] = inner
    return shapes


def _hessian(positions: FloatArray, forces: Function) -> FloatArray:
    """Force constants ∂²E/∂R∂R' of one structure, eV/Å², shape (3 n_atoms, 3 n_atoms)."""
    steps = STEP * np.eye(positions.size).reshape(-1, *positions.shape)
    both = forces(np.concatenate([positions + steps, positions - steps]))
    return -(both[: len(steps)] - both[len(steps) :]).reshape(len(steps), -1) / (2.0 * STEP)


def _degrees_of_freedom(shape: FloatArray, free: NDArray[np.bool_]) -> int:
    """Directions that are left without rotations, and without translations where all atoms are free."""
    return max(1, int(np.linalg.matrix_rank(shape)) - 3 * bool(free.all()))


def _rotations(positions: FloatArray) -> FloatArray:
    """Orthonormal rotations about the centre, shape (3 n_atoms, 0 to 3): two for a linear structure."""
    arms = positions - positions.mean(axis=0)
    spins = np.stack([np.cross(axis, arms).ravel() for axis in np.eye(3)], axis=1)
    left, size, _ = np.linalg.svd(spins, full_matrices=False)
    return left[:, size > 1e-6 * size.max(initial=1e-300)]


def _directions(
    structures: StructureSet,
    n_copies: int,
    first_copy: int,
    seed: int,
    free: NDArray[np.bool_],
    shapes: FloatArray,
) -> FloatArray:
    """Directions of shape (n_structures, n_copies, n_atoms, 3) with a root mean square of 1."""
    copies = np.arange(first_copy, first_copy + n_copies)
    pairs = np.arange(copies[0] // 2, copies[-1] // 2 + 1)
    white = random_shifts(structures, len(pairs), seed, free, int(pairs[0]))
    shaped = np.einsum("nij,npj->npi", shapes, white.reshape(len(structures), len(pairs), -1))
    norm = np.sqrt(np.square(shaped).sum(axis=2, keepdims=True) / (3 * np.count_nonzero(free)))
    shaped /= np.maximum(norm, np.finfo(float).tiny)
    signs = 1.0 - 2.0 * (copies % 2)
    return (signs[:, None] * shaped[:, copies // 2 - pairs[0]]).reshape(-1, n_copies, structures.n_atoms, 3)


def _stretch(positions: FloatArray, directions: FloatArray, descriptor: Function) -> FloatArray:
    """Length of the derivative of the descriptor along each direction, shape (n_structures, n_copies)."""
    shape = (-1, *positions.shape[1:])
    ahead = descriptor((positions[:, None] + STEP * directions).reshape(shape))
    behind = descriptor((positions[:, None] - STEP * directions).reshape(shape))
    ahead -= behind
    return np.linalg.norm(ahead.reshape(len(ahead), -1), axis=1).reshape(directions.shape[:2]) / (2.0 * STEP)


def _reach(
    positions: FloatArray,
    probes: FloatArray,
    sigma: Function,
    descriptor: Function,
    settings: AdaptiveSettings,
) -> FloatArray:
    """Distance in descriptor space at which σ is at its target: geometric mean over the probes."""
    low = np.full(probes.shape[:2], np.log(settings.smallest))
    high = np.full(probes.shape[:2], np.log(settings.largest))
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        moved = positions[:, None] + np.exp(middle)[..., None, None] * probes
        too_far = sigma(moved.reshape(-1, *positions.shape[1:])).reshape(low.shape) > settings.target_sigma
        low, high = np.where(too_far, low, middle), np.where(too_far, middle, high)
    stretch = np.maximum(_stretch(positions, probes, descriptor), np.finfo(float).tiny)
    return np.asarray(np.exp((0.5 * (low + high) + np.log(stretch)).mean(axis=1)))
