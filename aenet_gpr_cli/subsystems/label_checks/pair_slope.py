"""The slope of energy differences against forces integrated between near structures, and what it can prove.

The trapezoidal rule errs by what is of third order in the step, in all pairs alike, so that neither their
number nor their scatter says how far right forces may be off. What is of second order does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.structures import FloatArray, IntArray

_FEWEST = 5  # structures: three pairs of three say one thing, not three
_SURE = 4.0  # standard errors between a slope that proves something and one
_SHORT = 0.7  # what a slope of one then leaves, in units of the second order
_MANY, _SURER, _LESS_SHORT = 8, 8.0, 0.45  # the same of many structures, which seldom agree by accident
_AGREED = 0.1  # spread of single slopes of these
_LEAST_ERROR = 0.02  # of slopes; of forces and energies as they are printed
_N_NEIGHBOURS = 3
_FEWEST_PAIRS = 6
_SAME_POINT = 1e-3  # Å, of all atoms together: two copies of a structure say nothing
_HALF = 3  # pairs, at least, of the straighter half


def near_pairs(points: FloatArray) -> tuple[IntArray, IntArray]:
    """Return pairs of near neighbours: the few nearest of each point, the nearer half of all of them.

    Of points at one place the first counts only: pairs of copies would repeat what one pair says.
    """
    if len(points) < 2:
        return np.array([], np.int64), np.array([], np.int64)
    from scipy.spatial.distance import cdist  # heavy, and needed here only

    distance = cdist(points, points, "sqeuclidean")
    kept = np.flatnonzero(~np.tril(distance < _SAME_POINT**2, -1).any(axis=1))
    n = len(kept)
    if n < 2:
        return np.array([], np.int64), np.array([], np.int64)
    distance = distance[np.ix_(kept, kept)] if n < len(points) else distance
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1)[:, : min(_N_NEIGHBOURS, n - 1)]
    pairs = np.column_stack([np.repeat(np.arange(n), nearest.shape[1]), nearest.ravel()])
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    lengths = distance[pairs[:, 0], pairs[:, 1]]
    keep = np.argsort(lengths, kind="stable")[: max(_FEWEST_PAIRS, len(pairs) // 2)]
    return kept[pairs[keep, 0]], kept[pairs[keep, 1]]


@dataclass(frozen=True, slots=True)
class PairSlope:
    """Energy differences as a multiple of what the forces say.

    Attributes
    ----------
    value, error : float, dimensionless
        Of a line through the origin; its standard error when structures are left out in turn.
    correlation : float, dimensionless
    middle, spread : float, dimensionless
        Median and relative quartile distance of single slopes, over the half where the force changes least.
    excess : float, dimensionless
        What a slope of one leaves there, in units of what is of second order in the step; right forces leave
        less than 0.45.
    n_pairs, n_structures : int
    """

    value: float
    error: float
    correlation: float
    middle: float
    spread: float
    excess: float
    n_pairs: int
    n_structures: int

    @property
    def numbers(self) -> str:
        """The slope in words."""
        return f"slope {self.value:.3g}, correlation {self.correlation:.3f}, {self.n_pairs} pairs"

    @property
    def resolution(self) -> float:
        """How far units must lie apart to be told from each other, relative."""
        return 0.05 + 3.0 * (self.error / abs(self.value) + self.spread)

    @property
    def is_enough(self) -> bool:
        """Whether it says anything, be it that forces are right."""
        return self.n_structures >= _FEWEST

    @property
    def is_not_one(self) -> bool:
        """Whether neither accident nor the length of the steps explains that it is not one."""
        sure = abs(self.value - 1.0) / max(self.error, _LEAST_ERROR)
        few = sure > _SURE and self.excess > _SHORT
        agreed = self.n_structures >= _MANY and self.spread < _AGREED
        many = agreed and sure > _SURER and self.excess > _LESS_SHORT
        return self.is_enough and (few or many)


def pair_slope(
    work: FloatArray, change: FloatArray, bend: FloatArray, one: IntArray, other: IntArray
) -> PairSlope | None:
    """Return the slope of ``change`` against ``work``; None without pairs, or where nothing changes.

    Parameters
    ----------
    work, change : ndarray of shape (n_pairs,), eV
        -F·d of the mean force, and the difference of the energy.
    bend : ndarray of shape (n_pairs,), eV
        Half the difference of -F·d at both ends: what is of second order in the step.
    one, other : ndarray of int, shape (n_pairs,)
        Structures of each pair.
    """
    size = float(work @ work) * float(change @ change)
    if not size > 0.0:
        return None
    single = change / np.where(work == 0.0, 1e-300, work)
    order = np.argsort(bend / np.maximum(np.abs(work), 1e-300), kind="stable")
    low, middle, high = np.percentile(single[order[: max(2 * _HALF, len(work) // 2)]], [25, 50, 75])
    straight = order[: max(_HALF, len(work) // 2)]
    rest = (change - work)[straight]
    second = max(float(bend[straight] @ bend[straight]), 1e-300)
    return PairSlope(
        float(work @ change) / float(work @ work),
        _error(work, change, one, other),
        float(work @ change) / size**0.5,
        float(middle),
        float((high - low) / max(abs(middle), 1e-300)),
        float(np.sqrt(rest @ rest / second)),
        len(work),
        len(np.union1d(one, other)),
    )


def _error(work: FloatArray, change: FloatArray, one: IntArray, other: IntArray) -> float:
    """Return the standard error of the slope, by leaving out each structure with all its pairs."""
    structures = np.union1d(one, other)
    squares, products = work * work, work * change
    slopes = []
    for k in structures:
        kept = (one != k) & (other != k)
        total = float(squares[kept].sum())
        if not total > 0.0:
            return np.inf
        slopes.append(float(products[kept].sum()) / total)
    n = len(structures)
    return float(np.sqrt((n - 1) * np.var(slopes)))
