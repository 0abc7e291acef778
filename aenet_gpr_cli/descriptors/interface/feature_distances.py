"""Distances between descriptors, and points that cover a set by them: always the farthest one next."""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.structures import FloatArray, IntArray


def squared_distances(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return |x_i - y_j|² by one matrix product.

    Parameters
    ----------
    x : ndarray of shape (m, n_features)
    y : ndarray of shape (n, n_features)
        Both centred on the same origin: large offsets cost digits.

    Returns
    -------
    ndarray of shape (m, n), never negative
    """
    d2 = x @ y.T
    d2 *= -2.0
    d2 += np.einsum("ip,ip->i", x, x)[:, None]
    d2 += np.einsum("jp,jp->j", y, y)[None, :]
    return np.maximum(d2, 0.0, out=d2)


def farthest_points(x: FloatArray, n_selected: int, covered: FloatArray | None = None) -> IntArray:
    """Select points that cover the set: start nearest the mean, then always take the farthest one.

    Parameters
    ----------
    x : ndarray of shape (n_points, n_features)
        Centred near the origin: large offsets cost digits.
    n_selected : int
        At most ``n_points``.
    covered : ndarray of shape (m, n_features), optional
        Points that are there already; the first one selected is then the farthest from these.

    Returns
    -------
    ndarray of int, shape (n_selected,)
        In the order of selection.
    """
    nearest = np.full(len(x), np.inf)
    for point in () if covered is None else covered:
        nearest = np.minimum(nearest, squared_distances(x, point[None])[:, 0])
    chosen: list[int] = []
    while len(chosen) < n_selected:
        if chosen or (covered is not None and len(covered)):
            chosen.append(int(np.argmax(nearest)))
        else:
            centred = x - x.mean(axis=0)
            chosen.append(int(np.argmin(np.einsum("ip,ip->i", centred, centred))))
        nearest = np.minimum(nearest, squared_distances(x, x[chosen[-1:]])[:, 0])
        nearest[chosen[-1]] = -1.0  # never again, not even among equals
    return np.array(chosen, dtype=np.int64)
