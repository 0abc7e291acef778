"""Distances between structures in a descriptor: their typical size, near duplicates, training domain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.interface.feature_distances import squared_distances
from aenet_gpr_cli.gpr.regression.gp_model import GPModel
from aenet_gpr_cli.structures import FloatArray, IntArray

BLOCK = 1024  # structures compared with all others at a time
OUTSIDE = 1.0  # in `TrainingDomain`, a larger distance is outside the training data
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
    limit : float, dimensionless

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


class TrainingDomain:
    """Distances to the training data, beyond which a process returns to its prior mean.

    The unit is the largest distance of a training structure to its nearest neighbour: up to 1, a structure is
    as near to the data as they are to each other.

    Parameters
    ----------
    descriptor : Descriptor
        The one the model was fitted with.
    n_images : int
        Images under permutations that the descriptor consists of: the nearest one counts.

    Notes
    -----
    n² distances once, and n for each new structure.
    """

    def __init__(self, model: GPModel, descriptor: Descriptor, n_images: int) -> None:
        n = model.n_structures
        self._descriptor, self._n_images = descriptor, n_images
        # with several centres that are no images, the features of all count together
        self._origin = np.tile(model.origin, model.n_centres // n_images)
        own = model.training_x.reshape(n, n_images, -1)
        self._images = own.reshape(n * n_images, -1)
        gaps = np.full(n, np.inf)
        for start in range(0, n, BLOCK):
            between = squared_distances(own[start : start + BLOCK, 0], self._images)
            for row, i in enumerate(range(start, start + len(between))):
                between[row, i * n_images : (i + 1) * n_images] = np.inf
            gaps[start : start + BLOCK] = between.min(axis=1)
        # copies of one structure alone leave a gap of zero: everything else is then far away
        self._unit = max(float(np.sqrt(gaps.max())), float(np.finfo(float).tiny))

    def __call__(self, positions: FloatArray) -> FloatArray:
        """Return the distance of each structure to the nearest training structure.

        Parameters
        ----------
        positions : ndarray of shape (n_structures, n_atoms, 3), Å

        Returns
        -------
        ndarray of shape (n_structures,), dimensionless
            In the unit of the class; 0 where there is only one training structure, so no unit.
        """
        out = np.empty(len(positions))
        for start in range(0, len(positions), BLOCK):
            rows = slice(start, start + BLOCK)
            values = self._descriptor.values(positions[rows])
            # the distance of all pairs of images is that of one image to all
            x = values[:, : self._images.shape[1]] - self._origin
            out[rows] = np.sqrt(squared_distances(x, self._images).min(axis=1))
        return np.asarray(out / self._unit)
