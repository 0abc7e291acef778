"""Distances between structures as the kernel sees them: their typical size, and near duplicates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.gpr.kernels.expansion import squared_distances
from aenet_gpr_cli.structures import FloatArray, IntArray

BLOCK = 1024  # structures compared with all others at a time
SAMPLED = 200  # structures that the median distance is taken on
ROUNDING = 1e-12  # of squared distances by a matrix product, relative to the squares of the descriptors


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Pairs of structures that are nearly the same.

    Attributes
    ----------
    pairs : ndarray of int, shape (n_pairs, 2)
        The nearest first.
    distance : ndarray of shape (n_pairs,), unit of the descriptor
    typical : float, unit of the descriptor
        Median distance of two structures.
    """

    pairs: IntArray
    distance: FloatArray
    typical: float


def typical_distance(values: FloatArray) -> float:
    """Return the median distance of two structures.

    Parameters
    ----------
    values : ndarray of shape (n_structures, n_features)

    Returns
    -------
    float, unit of the descriptor
        The length of the descriptor itself where there is one structure, or all are the same.
    """
    chosen = values[:: max(1, -(-len(values) // SAMPLED))]
    x = chosen - chosen.mean(axis=0)
    distances = np.sqrt(squared_distances(x, x)[np.triu_indices(len(x), 1)])
    median = float(np.median(distances)) if len(distances) else 0.0
    return median or float(np.linalg.norm(values[0]))


def near_duplicates(values: FloatArray, n_images: int, limit: float) -> Duplicates:
    """Return the pairs of structures that are nearer than ``limit`` times the median distance.

    Parameters
    ----------
    values : ndarray of shape (n_structures, n_images * n_features)
        Descriptors; with several images (under permutations), the nearest ones of a pair count.
    n_images : int
    limit : float, dimensionless

    Returns
    -------
    Duplicates

    Notes
    -----
    n² distances, in blocks. Those that matter are computed again from differences: as sums of squares and
    products they are known to 1e-6 of the descriptor only.
    """
    images = values.reshape(len(values), n_images, -1)
    origin = images.reshape(-1, images.shape[2]).mean(axis=0)
    own, every = images[:, 0] - origin, (images - origin).reshape(-1, images.shape[2])
    typical = typical_distance(images[:, 0])
    margin = ROUNDING * float(np.einsum("ip,ip->i", every, every).max(initial=0.0))
    found: list[tuple[float, int, int]] = []
    for start in range(0, len(own), BLOCK):
        near = squared_distances(own[start : start + BLOCK], every) <= (limit * typical) ** 2 + margin
        for i, image in zip(*np.nonzero(near), strict=True):
            first, second = start + int(i), int(image) // n_images
            distance = float(np.linalg.norm(own[first] - every[image]))
            if first < second and distance <= limit * typical:
                found.append((distance, first, second))
    nearest: dict[tuple[int, int], float] = {}
    for distance, first, second in sorted(found):
        nearest.setdefault((first, second), distance)
    pairs = np.array(list(nearest), dtype=np.int64).reshape(-1, 2)
    return Duplicates(pairs, np.array(list(nearest.values()), float), typical)
