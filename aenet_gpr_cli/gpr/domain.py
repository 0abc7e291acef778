"""Which structures lie outside the domain of a Gaussian process.

A structure is outside where it is farther from its nearest training structure than training structures are
from each other, or where its σ is larger than a limit. Distances are those of the descriptor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.descriptors.base import Descriptor
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.gpr.covariance import squared_distances
from aenet_gpr_cli.gpr.regression import GPModel
from aenet_gpr_cli.structures import FloatArray

BLOCK = 1024  # structures compared with the training data at a time


@dataclass(frozen=True, slots=True)
class Domain:
    """Structures compared with the domain of the training data.

    Attributes
    ----------
    distance : ndarray of shape (n_structures,), dimensionless
        Distance to the nearest training structure over the largest distance of a training structure to its
        nearest neighbour.
    outside : ndarray of bool, shape (n_structures,)
    """

    distance: FloatArray
    outside: NDArray[np.bool_]


def domain(
    model: GPModel,
    descriptor: Descriptor,
    positions: FloatArray,
    max_distance: float,
    sigma: FloatArray | None,
    max_sigma: float,
) -> Domain:
    """Compare structures with the domain of the training data.

    Parameters
    ----------
    model : GPModel
    descriptor : Descriptor
        The one the model was fitted with.
    positions : ndarray of shape (n_structures, n_atoms, 3), Å
    max_distance : float, dimensionless
        Distance beyond which a structure is outside; 1 is what training structures themselves reach.
    sigma : ndarray of shape (n_structures,), eV, or None
        Standard deviations, if they are to be considered.
    max_sigma : float, eV
        σ beyond which a structure is outside.

    Returns
    -------
    Domain
        With a single training structure every distance is 0: there is nothing to compare with.

    Raises
    ------
    ConfigError
        If a limit is not positive.
    """
    if not (max_distance > 0.0 and max_sigma > 0.0):
        raise ConfigError(
            f"domain: expected positive limits, got distance {max_distance:g} and sigma {max_sigma:g}"
        )
    own = descriptor.values(model.training_positions)
    origin = own.mean(axis=0)
    own -= origin
    distance = np.empty(len(positions))
    for start in range(0, len(positions), BLOCK):
        rows = slice(start, start + BLOCK)
        x = descriptor.values(positions[rows]) - origin
        distance[rows] = np.sqrt(squared_distances(x, own).min(axis=1))
    distance /= _largest_gap(own)
    outside = distance > max_distance
    if sigma is not None:
        outside |= sigma > max_sigma
    return Domain(distance, outside)


def _largest_gap(training_x: FloatArray) -> float:
    """Largest distance of a training structure to its nearest neighbour; infinite for one alone."""
    between = squared_distances(training_x, training_x)
    np.fill_diagonal(between, np.inf)
    # copies of one structure alone leave a gap of zero: everything else is then outside
    return max(float(np.sqrt(between.min(axis=1).max())), float(np.finfo(float).tiny))
