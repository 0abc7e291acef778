"""Displacements as far as the uncertainty of the surrogate allows: δ of every parent by itself.

Owns directions and δ. The surrogate comes in as a plain function of structures. Each parent is probed along a
few directions, where δ is bisected until σ reaches its target; their mean is that of its copies. Nor does a
copy go farther than the room between reference structures, beyond which the copies of others are. No label
and no test structure is looked at.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.augmentation.copy_labels import Deviations
from aenet_gpr_cli.augmentation.displacements import Adaptive, random_displacements
from aenet_gpr_cli.augmentation.strains import random_strains, strain_freedom, strained
from aenet_gpr_cli.structures import FloatArray, StructureSet

BISECTIONS = 6  # of the logarithm of δ: from a range of 30 to 6 %


def adaptive_displacements(
    structures: StructureSet,
    n_copies: int,
    seed: int,
    free: NDArray[np.bool_],
    sigma: Deviations,
    target_sigma: float,
    room: FloatArray,
    adaptive: Adaptive,
    first_copy: int = 0,
    n_all: int | None = None,
) -> FloatArray:
    """Return displacements whose labels have at most about the same σ.

    Copies 2k and 2k+1 go in opposite directions, so that odd terms of their errors cancel. With D degrees of
    freedom, pair k of K goes ((k+1)/K)^(1/D) of the way, which fills a ball evenly: in one dimension copies
    are equally spaced, in many all are near its surface. The ball ends where σ reaches its target, or at
    h √(D/(2(D+1))) (K/(K+1))^(1/D) with h the step to the D nearest reference structures: the distance of a
    point from D + 1 references that are h apart, less the room of the copies of these. For a dimer the K
    pairs divide half of the way to the next reference into K + 1 equal parts. A single pair goes as far as
    the outer one of two: with that of the neighbour it divides the whole way into three equal parts.

    Parameters
    ----------
    structures : StructureSet
        Reference structures.
    free : ndarray of bool, shape (n_atoms,)
        Atoms that move.
    sigma : callable, two StructureSet -> (m,) eV
        Of displaced structures, and of what they were displaced from.
    target_sigma : float, eV
        Standard deviation that the displacement should add to that of the parent's label: √(σ² - σ_parent²).
        An upper bound of σ is not zero at the training structures themselves, and this part does not count.
    room : ndarray of shape (n_structures,), Å
        Step to the D nearest reference structures, from `room_between`.
    adaptive : Adaptive
        Limits of δ, here the root mean square of the displacement components, and the number of probes.
    n_all : int, optional
        Copies of each structure in all, if ``n_copies`` are only a part of them.

    Returns
    -------
    ndarray of shape (n_structures, n_copies, n_atoms, 3), Å

    Notes
    -----
    6 n_probes evaluations of σ per parent.
    """
    probes = _directions(structures, adaptive.n_probes, 0, seed, free)
    n_all = n_all or first_copy + n_copies

    def moved(some: StructureSet, sizes: FloatArray) -> StructureSet:
        positions = structures.positions[:, None] + sizes[..., None, None] * probes
        return some.moved_to(positions.reshape(-1, structures.n_atoms, 3))

    limits = adaptive.smallest, adaptive.largest
    reach = _reach(structures, moved, adaptive.n_probes, sigma, target_sigma, limits)
    freedom = degrees_of_freedom(structures, free)
    n_pairs = -(-n_all // 2)
    outermost = max(n_pairs, 2)
    filled = (outermost / (outermost + 1)) ** (1.0 / freedom)
    limit = room * np.sqrt(0.5 * freedom / (freedom + 1)) * filled
    pairs = np.arange(first_copy, first_copy + n_copies) // 2
    share = ((pairs + 1) / n_pairs) ** (1.0 / freedom)
    directions = _directions(structures, n_copies, first_copy, seed, free)
    displacement = np.minimum(reach, limit)[:, None] * share
    return np.clip(displacement, adaptive.smallest, adaptive.largest)[..., None, None] * directions


def adaptive_strains(
    structures: StructureSet,
    n_copies: int,
    seed: int,
    sigma: Deviations,
    target_sigma: float,
    adaptive: Adaptive,
    first_copy: int = 0,
    n_all: int | None = None,
) -> FloatArray:
    """Return strains whose labels have at most about the same σ, as `adaptive_displacements` does.

    Copies 2k and 2k+1 have opposite strains, and pair k of K goes ((k+1)/K)^(1/D) of the way to where σ
    reaches its target, with the D components of a strain.

    Returns
    -------
    ndarray of shape (n_structures, n_copies, 3, 3), dimensionless
        Zero for wires and molecules.
    """
    if not (freedom := strain_freedom(structures)):
        return np.zeros((len(structures), n_copies, 3, 3))
    probes = _unit_strains(structures, adaptive.n_probes, 0, seed)
    own = np.repeat(np.arange(len(structures)), adaptive.n_probes)

    def moved(some: StructureSet, sizes: FloatArray) -> StructureSet:
        strains = (sizes[..., None, None] * probes).reshape(-1, 3, 3)
        return some.moved_to(*strained(structures, some.positions, own, strains))

    limits = adaptive.smallest_strain, adaptive.largest_strain
    reach = _reach(structures, moved, adaptive.n_probes, sigma, target_sigma, limits)
    n_pairs = -(-(n_all or first_copy + n_copies) // 2)
    share = ((np.arange(first_copy, first_copy + n_copies) // 2 + 1) / n_pairs) ** (1.0 / freedom)
    sizes = np.clip(reach[:, None] * share, *limits)
    return sizes[..., None, None] * _unit_strains(structures, n_copies, first_copy, seed)


def _unit_strains(structures: StructureSet, n_copies: int, first_copy: int, seed: int) -> FloatArray:
    """Strains, of which every second one is the opposite, with a root mean square component of 1."""
    copies = np.arange(first_copy, first_copy + n_copies)
    pairs = np.arange(copies[0] // 2, copies[-1] // 2 + 1)
    white = random_strains(structures, len(pairs), seed, int(pairs[0]))
    white /= np.sqrt(np.square(white).sum(axis=(2, 3), keepdims=True)) / np.count_nonzero(structures.pbc)
    signs = 1.0 - 2.0 * (copies % 2)
    return signs[:, None, None] * white[:, copies // 2 - pairs[0]]


def room_between(structures: StructureSet, n_nearest: int, turns: bool) -> FloatArray:
    """Return the root-mean-square displacement that leads to the nearest other structures.

    Parameters
    ----------
    structures : StructureSet
        Reference structures of one subset, periodic ones unwrapped.
    n_nearest : int
        Neighbours that count, or all if there are fewer: the frame before in a trajectory says little.
    turns : bool
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
        steps = _superposed(positions, others) if turns else others - positions
        squares = np.sort(np.square(steps).mean(axis=(1, 2)))[:n_nearest]
        if len(squares):
            found[number] = np.sqrt(squares.mean())
    return found


def degrees_of_freedom(structures: StructureSet, free: NDArray[np.bool_]) -> int:
    """Count the directions in which structures move, without those that cost no energy; at least 1."""
    return max(1, _movable(structures.positions[0], free, may_turn(structures, free)).shape[1])


def may_turn(structures: StructureSet, free: NDArray[np.bool_]) -> bool:
    """Return whether structures are isolated and wholly free, so that they turn without cost."""
    return bool(free.all()) and not structures.is_periodic


def _superposed(positions: FloatArray, others: FloatArray) -> FloatArray:
    """Return what is left of the steps from a structure to others, shifted and turned onto it."""
    others = others - others.mean(axis=1, keepdims=True)
    positions = positions - positions.mean(axis=0)
    left, _, right = np.linalg.svd(np.einsum("nax,ay->nxy", others, positions))
    left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]  # rotations, no reflections
    return np.asarray(others @ (left @ right) - positions)


def _directions(
    structures: StructureSet, n_copies: int, first_copy: int, seed: int, free: NDArray[np.bool_]
) -> FloatArray:
    """Directions of shape (n_structures, n_copies, n_atoms, 3) with a root mean square of 1."""
    copies = np.arange(first_copy, first_copy + n_copies)
    pairs = np.arange(copies[0] // 2, copies[-1] // 2 + 1)
    white = random_displacements(structures, len(pairs), seed, free, int(pairs[0]))
    turns = may_turn(structures, free)
    projectors = np.stack([m @ m.T for m in (_movable(r, free, turns) for r in structures.positions)])
    moves = np.einsum("nij,npj->npi", projectors, white.reshape(len(structures), len(pairs), -1))
    norm = np.sqrt(np.square(moves).sum(axis=2, keepdims=True) / (3 * np.count_nonzero(free)))
    moves /= np.maximum(norm, np.finfo(float).tiny)
    signs = 1.0 - 2.0 * (copies % 2)
    return (signs[:, None] * moves[:, copies // 2 - pairs[0]]).reshape(-1, n_copies, structures.n_atoms, 3)


def _reach(
    structures: StructureSet,
    moved: Callable[[StructureSet, FloatArray], StructureSet],
    n_probes: int,
    sigma: Deviations,
    target_sigma: float,
    limits: tuple[float, float],
) -> FloatArray:
    """δ in Å, or the strain, at which σ is at its target, for each parent: geometric mean over its probes."""
    low = np.full((len(structures), n_probes), np.log(limits[0]))
    high = np.full((len(structures), n_probes), np.log(limits[1]))
    allowed = np.sqrt(np.square(sigma(structures, structures)) + target_sigma**2)[:, None]
    repeated = structures.select(np.repeat(np.arange(len(structures)), n_probes))
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        too_far = sigma(moved(repeated, np.exp(middle)), repeated).reshape(low.shape) > allowed
        low, high = np.where(too_far, low, middle), np.where(too_far, middle, high)
    return np.asarray(np.exp(0.5 * (low + high).mean(axis=1)))


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
