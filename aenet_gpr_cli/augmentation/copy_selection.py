"""The most informative of many copies: those that lie farthest apart in descriptor space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.descriptors.interface.farthest_points import farthest_points
from aenet_gpr_cli.structures import FloatArray, IntArray


def most_informative(
    values: FloatArray, parents: IntArray, parent_values: FloatArray, n_copies: int
) -> NDArray[np.bool_]:
    """Choose M copies of each parent: the first far from the parent, each next far from those before.

    Parameters
    ----------
    values : ndarray of shape (n_candidates, n_features)
        Descriptors of the candidates.
    parents : ndarray of int, shape (n_candidates,)
        Index of the parent of each.
    parent_values : ndarray of shape (n_parents, n_features)
        Descriptors of the parents.
    n_copies : int
        M; where a parent has fewer candidates, all are taken.

    Returns
    -------
    ndarray of bool, shape (n_candidates,)
        True for the chosen ones.
    """
    chosen = np.zeros(len(values), bool)
    for parent in np.unique(parents):
        own = np.flatnonzero(parents == parent)
        steps = values[own] - parent_values[parent]
        covered = np.zeros((1, values.shape[1]))  # the parent itself
        chosen[own[farthest_points(steps, min(n_copies, len(own)), covered)]] = True
    return chosen
