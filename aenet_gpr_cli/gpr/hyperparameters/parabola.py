"""The maximum of a smooth function of one variable by parabolas through its values, few evaluations each.

A value of the likelihood costs a quarter of its gradient, and along one variable two values tell as much.
"""

from __future__ import annotations

from collections.abc import Callable

GROWTH = 2.0  # of the step while the maximum is not yet between two points
NEAREST = 0.1  # of the first step: nearer points say nothing new


def climb(
    evaluate: Callable[[float], float | None],
    start: float,
    bounds: tuple[float, float],
    step: float,
    tolerance: float,
    max_evaluations: int,
    curvature: float | None = None,
) -> float | None:
    """Evaluate a function near its maximum, until the parabola promises no more than ``tolerance``.

    Parameters
    ----------
    evaluate : callable
        Gives the value, None where there is none; best points are the caller's to keep.
    start : float
        Within the bounds.
    step : float
        Of the first move.
    curvature : float or None
        Minus the second derivative where it is known: then two values make a parabola.

    Returns
    -------
    float or None
        Minus the second derivative at the best point; None where no parabola was found.
    """
    known: dict[float, float | None] = {start: evaluate(start)}
    at: float | None = _moved(start, step, bounds)
    for _ in range(max_evaluations - 1):
        if at is None or min(abs(at - x) for x in known) < NEAREST * step:
            break
        known[at] = evaluate(at)
        at, found = _next(known, bounds, step, tolerance, curvature)
        curvature = found or curvature
    return curvature


def _moved(x: float, step: float, bounds: tuple[float, float]) -> float:
    return x + step if x + step <= bounds[1] else max(x - step, bounds[0])


def _next(
    known: dict[float, float | None],
    bounds: tuple[float, float],
    step: float,
    tolerance: float,
    curvature: float | None,
) -> tuple[float | None, float | None]:
    """Where to go from the points known, None where it does not pay, and the curvature of three of them."""
    values = {x: v for x, v in known.items() if v is not None}
    order = sorted(known)
    if not values:  # shorter is safer: what fails is singular
        return _inside(order[0] - GROWTH ** len(order) * step, bounds), None
    best = max(values, key=values.__getitem__)
    place = order.index(best)
    left = order[place - 1] if place > 0 else None
    right = order[place + 1] if place + 1 < len(order) else None
    if left is not None and right is not None:
        if known[left] is None or known[right] is None:
            failed = left if known[left] is None else right
            return 0.5 * (best + failed), None
        return _vertex(best, left, right, values, tolerance)
    other = left if left is not None else right
    assert other is not None  # two points are known
    if (value := known[other]) is None:
        return _inside(best + (best - other), bounds), None
    outward = best - other
    if curvature is not None:
        top = 0.5 * (best + other) + (values[best] - value) / outward / curvature
        if 0.5 * curvature * (top - best) ** 2 <= tolerance:
            return None, None
        reach = GROWTH**2 * abs(outward)
        return _inside(min(max(top, best - reach), best + reach), bounds), None
    return _inside(best + GROWTH * outward if len(values) > 2 else best + outward, bounds), None


def _vertex(
    best: float, left: float, right: float, values: dict[float, float], tolerance: float
) -> tuple[float | None, float | None]:
    rise = (values[best] - values[left]) / (best - left)
    fall = (values[right] - values[best]) / (right - best)
    curvature = 2.0 * (rise - fall) / (right - left)
    if curvature <= 0.0:
        return None, None
    slope = (rise * (right - best) + fall * (best - left)) / (right - left)
    top = best + slope / curvature
    gain = 0.5 * slope**2 / curvature
    return (top if gain > tolerance else None), curvature


def _inside(x: float, bounds: tuple[float, float]) -> float:
    return min(max(x, bounds[0]), bounds[1])
