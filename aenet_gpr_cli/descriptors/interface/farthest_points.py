"""Points that cover a set: always the one farthest from those chosen before."""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.structures import FloatArray, IntArray


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
    norms = np.einsum("ip,ip->i", x, x)
    nearest = np.full(len(x), np.inf)
    for point in () if covered is None else covered:
        nearest = np.minimum(nearest, _squared_distances(x, norms, point))
    chosen: list[int] = []
    while len(chosen) < n_selected:
        if chosen or (covered is not None and len(covered)):
            chosen.append(int(np.argmax(nearest)))
        else:
            centred = x - x.mean(axis=0)
            chosen.append(int(np.argmin(np.einsum("ip,ip->i", centred, centred))))
        nearest = np.minimum(nearest, _squared_distances(x, norms, x[chosen[-1]]))
        nearest[chosen[-1]] = -1.0  # never again, not even among equals
    return np.array(chosen, dtype=np.int64)


def _squared_distances(x: FloatArray, norms: FloatArray, point: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(norms - 2.0 * (x @ point) + point @ point, 0.0))
