"""Displacements as far as the uncertainty of the surrogate allows: δ of every parent by itself.

Owns directions and amplitudes. The surrogate comes in as plain functions of positions. Each parent is probed
along a few directions, where the amplitude is bisected until σ reaches its target; their mean is that of its
copies. Nor does a copy go farther than the room between reference structures, beyond which the copies of
others are. No label and no test structure is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.augmentation.displacements import random_shifts
from aenet_gpr_cli.augmentation.normal_modes import degrees_of_freedom, mode_shapes
from aenet_gpr_cli.structures import FloatArray, StructureSet

Function = Callable[[FloatArray], FloatArray]
BISECTIONS = 6  # of the logarithm of δ: from a range of 30 to 6 %


@dataclass(frozen=True, slots=True)
class AdaptiveSettings:
    """How far copies go.

    Attributes
    ----------
    target_sigma : float, eV
        Standard deviation that the displacement should add to that of the parent's label: √(σ² - σ_parent²).
        An upper bound of σ is not zero at the training structures themselves, and this part does not count.
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
    neighbours: FloatArray,
    settings: AdaptiveSettings,
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
    n_copies : int
    seed : int
    free : ndarray of bool, shape (n_atoms,)
        Atoms that move.
    sigma : callable, (m, n_atoms, 3) Å -> (m,) eV
    forces : callable, (m, n_atoms, 3) Å -> (m, n_atoms, 3) eV/Å
        Of the surrogate: its force constants tell soft from stiff.
    neighbours : ndarray of shape (n_structures,), Å
        Root-mean-square step to the D nearest other reference structures.
    settings : AdaptiveSettings
    first_copy : int
    n_all : int, optional
        Copies of each structure in all, if ``n_copies`` are only a part of them.

    Returns
    -------
    ndarray of shape (n_structures, n_copies, n_atoms, 3), Å

    Notes
    -----
    6 n_probes evaluations of σ per parent, and 6 n_atoms of the forces (softness above 0).
    """
    shapes = mode_shapes(structures, free, forces, settings.softness)
    probes = _directions(structures, settings.n_probes, 0, seed, free, shapes)
    n_all = n_all or first_copy + n_copies
    reach = _reach(structures.positions, probes, sigma, settings)
    freedom = degrees_of_freedom(structures, free)
    n_pairs = -(-n_all // 2)
    outermost = max(n_pairs, 2)
    filled = (outermost / (outermost + 1)) ** (1.0 / freedom)
    room = neighbours * np.sqrt(0.5 * freedom / (freedom + 1)) * filled
    pairs = np.arange(first_copy, first_copy + n_copies) // 2
    share = ((pairs + 1) / n_pairs) ** (1.0 / freedom)
    directions = _directions(structures, n_copies, first_copy, seed, free, shapes)
    amplitude = np.clip(np.minimum(reach, room)[:, None] * share, settings.smallest, settings.largest)
    return amplitude[..., None, None] * directions


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


def _reach(
    positions: FloatArray, probes: FloatArray, sigma: Function, settings: AdaptiveSettings
) -> FloatArray:
    """Amplitude in Å at which σ is at its target, for each parent: geometric mean over its probes."""
    low = np.full(probes.shape[:2], np.log(settings.smallest))
    high = np.full(probes.shape[:2], np.log(settings.largest))
    allowed = np.sqrt(np.square(sigma(positions)) + settings.target_sigma**2)[:, None]
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        moved = positions[:, None] + np.exp(middle)[..., None, None] * probes
        too_far = sigma(moved.reshape(-1, *positions.shape[1:])).reshape(low.shape) > allowed
        low, high = np.where(too_far, low, middle), np.where(too_far, middle, high)
    return np.asarray(np.exp(0.5 * (low + high).mean(axis=1)))
