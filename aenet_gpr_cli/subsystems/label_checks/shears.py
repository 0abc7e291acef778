"""Shears of a stress in another order, or with another factor than its normal components.

Six numbers have several orders, and in those of a strain shears are doubled. Normal components are the same
in all, so that they say how far an expected stress, or work, is to be believed.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np

from aenet_gpr_cli.structures import FloatArray

NAMES = ("yz", "xz", "xy")
SHEARS = [1, 0, 0], [2, 2, 1]
_FEWEST = 5  # structures, or pairs of them
_ALIKE, _NORMAL = 0.8, 0.6  # correlations of shears and of normal components from which on they are believed
_LESS = 0.25  # of what is left in one order, in a better one
_HALF, _SURE = (0.36, 0.7), 3.0  # factors taken for one half; standard errors between it and one
_ONE = 0.6, 1.67  # of shears in another order that are neither doubled nor halved
_TOWARDS = 0.8  # a factor below it is towards one half
_LEFT = 0.1  # share of the squares that a right order leaves where structures are near
_TOLERANCE = 1.6  # of the work of normal components, which a pressure makes anharmonic


def other_shears(given: FloatArray, right: FloatArray, keep: str) -> str | None:
    """Compare shears with those of a model.

    Parameters
    ----------
    given, right : ndarray of shape (n_structures, 3, 3), eV/Å³
        Of the data, and of a model fitted to energies and forces.
    keep : str
        What else the user can do, which ends the message.

    Returns
    -------
    str or None
        One sentence for the user; None where they fit, or where the normal components do not, so that the
        model knows too little.
    """
    if len(given) < _FEWEST:
        return None
    normal = [_deviatoric(s) for s in (given, right)]
    if _correlation(*normal) < _NORMAL:
        return None
    one, other = (s[:, *SHEARS] for s in (given, right))
    orders = {order: _correlation(one[:, order], other) for order in permutations(range(3))}
    best, as_is = max(orders, key=lambda order: orders[order]), orders[0, 1, 2]
    if orders[best] < _ALIKE:
        return None
    if 1.0 - orders[best] ** 2 > _LESS * (1.0 - min(max(as_is, 0.0), 1.0) ** 2):
        best = (0, 1, 2)
    if orders[best] < _ALIKE:
        return None
    own = _left_out_factors(one[:, best], other)
    factor, error = _both(own, own / _left_out_factors(*normal))
    numbers = f"correlation {orders[best]:.3f}, as they are {as_is:.3f}, factor {factor:.2f}"
    return _said(best, factor, error, numbers, keep)


def other_shear_work(normal: FloatArray, shears: FloatArray, rest: FloatArray, keep: str) -> str | None:
    """Compare the work of shears between near structures with the energy that other work leaves.

    Parameters
    ----------
    normal : ndarray of shape (n_pairs,), eV
        Work of the normal components.
    shears : ndarray of shape (n_pairs, 3, 3), eV
        Work of each shear of the stress along each shear of the strain, both as yz, xz, xy.
    rest : ndarray of shape (n_pairs,), eV
        What the work of the stress should be.
    """
    if len(rest) < 2 * _FEWEST or not rest.any():
        return None
    fits = {}
    for order in permutations(range(3)):
        columns = np.stack([normal, sum(shears[:, order[k], k] for k in range(3))], axis=1)
        factors, *_ = np.linalg.lstsq(columns, rest, rcond=None)
        fits[order] = columns, factors, float(((rest - columns @ factors) ** 2).sum())
    best, left = min(fits, key=lambda order: fits[order][2]), fits[0, 1, 2][2]
    if fits[best][2] > _LESS * left:
        best = (0, 1, 2)
    columns, factors, squares = fits[best]
    if squares > _LEFT * float(rest @ rest) or not columns[:, 1].any():
        return None
    if not 1.0 / _TOLERANCE < factors[0] < _TOLERANCE:  # no stress either
        return None
    covariance = np.linalg.pinv(columns.T @ columns) * squares / max(len(rest) - 2, 1)
    error = float(np.sqrt(covariance[1, 1]))
    numbers = f"factor {factors[1]:.2f}, {len(rest)} pairs of near structures"
    return _said(best, float(factors[1]), error, numbers, keep)


def _both(own: FloatArray, beside: FloatArray) -> tuple[float, float]:
    """Return factor and standard error of shears, of which a model may know the size less well.

    Parameters
    ----------
    own, beside : ndarray of shape (n_structures,)
        From those of the data to those of the model, without each structure in turn: as they are, and divided
        by that of the normal components, which a model may err in alike, or not.

    Returns
    -------
    factor : float
        The one nearer to one half (or to two) where both are towards it, else the one nearer to one.
    error : float
        Its standard error.
    """
    n = len(own)
    means = [float(factors.mean()) for factors in (own, beside)]
    errors = [float(np.sqrt((n - 1) / n * ((f - f.mean()) ** 2).sum())) for f in (own, beside)]
    sizes = np.log(np.maximum(np.abs(means), 1e-300))
    towards = min(abs(sizes)) > -np.log(_TOWARDS) and sizes[0] * sizes[1] > 0.0 and min(means) > 0.0
    chosen = int(np.argmin(abs(abs(sizes) - np.log(2.0)) if towards else abs(sizes)))
    return means[chosen], errors[chosen]


def _said(order: tuple[int, ...], factor: float, error: float, numbers: str, keep: str) -> str | None:
    what, do = [], []
    one, half, double = (
        low < factor < high for low, high in (_ONE, _HALF, tuple(1.0 / f for f in reversed(_HALF)))
    )
    if order != (0, 1, 2) and (one or half or double):
        what.append(f"look like {' '.join(NAMES[order.index(k)] for k in range(3))}")
        do.append("put them in this order (VASP prints xx yy zz xy yz zx)")
    if half and factor + _SURE * error < 1.0:
        what.append("are twice too large, as in a strain of six numbers")
        do.append("halve them")
    elif double and factor - _SURE * error > 1.0:
        what.append("are half of what they should be")
        do.append("double them")
    if not what:
        return None
    return (
        f"stress does not fit energies and forces: its shears {' and '.join(what)} ({numbers}); expected six "
        f"numbers in the order xx yy zz {' '.join(NAMES)}, or nine. To change: {' and '.join(do)}; {keep}"
    )


def _deviatoric(stress: FloatArray) -> FloatArray:
    diagonal = np.diagonal(stress, axis1=1, axis2=2)
    return np.asarray(diagonal - diagonal.mean(axis=1, keepdims=True))


def _correlation(one: FloatArray, other: FloatArray) -> float:
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.sum(one * other)) / norm if norm else 0.0


def _left_out_factors(given: FloatArray, right: FloatArray) -> FloatArray:
    """Return the factor from given to right, without each structure in turn."""
    products, squares = (given * right).sum(axis=1), (given * given).sum(axis=1)
    return np.asarray((products.sum() - products) / np.maximum(squares.sum() - squares, 1e-300))
