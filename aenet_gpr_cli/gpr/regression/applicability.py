"""How far structures lie from the training data of a Gaussian process, as its descriptor sees them.

The unit is the largest distance of a training structure to its nearest neighbour: up to 1, a structure is as
near to the data as they are to each other; far beyond, the process returns to its prior mean.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.gpr.kernels.expansion import squared_distances
from aenet_gpr_cli.gpr.regression.gp_model import GPModel
from aenet_gpr_cli.structures import FloatArray

BLOCK = 1024  # structures compared with the training data at a time
OUTSIDE = 1.0  # a larger distance is outside the training data


class TrainingDomain:
    """Distances to the training data.

    Parameters
    ----------
    model : GPModel
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
            Relative to the largest distance of a training structure to its nearest neighbour; 0 where there
            is only one, for want of anything to compare with.
        """
        out = np.empty(len(positions))
        for start in range(0, len(positions), BLOCK):
            rows = slice(start, start + BLOCK)
            values = self._descriptor.values(positions[rows])
            # the distance of all pairs of images is that of one image to all
            x = values[:, : self._images.shape[1]] - self._origin
            out[rows] = np.sqrt(squared_distances(x, self._images).min(axis=1))
        return np.asarray(out / self._unit)
