"""Where one method becomes cheaper than another as something grows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def crossing(x: Sequence[float], ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Return from which x on ours is less than theirs, between points along straight lines in log-log axes.

    Parameters
    ----------
    x : sequence of float
        Positive, in rising order: atoms, neighbours.
    ours, theirs : sequence of float
        Positive: seconds, bytes.

    Returns
    -------
    float or None
        The first x if ours is less everywhere; None if it is not less at the last.
    """
    log_x = np.log(np.asarray(x, float))
    gap = np.log(np.asarray(ours, float)) - np.log(np.asarray(theirs, float))
    above = np.flatnonzero(gap >= 0.0)
    if not len(above):
        return float(x[0])
    last = int(above[-1])
    if last == len(gap) - 1:
        return None
    share = gap[last] / (gap[last] - gap[last + 1])
    return float(np.exp(log_x[last] + share * (log_x[last + 1] - log_x[last])))
