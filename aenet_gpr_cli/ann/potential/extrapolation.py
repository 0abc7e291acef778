"""How far an atom's environment lies outside what training has seen, feature by feature.

A network has learnt nothing beyond the range of its features in training, which is given as arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import FloatArray, IntArray

WARN_BEYOND = 0.2  # of the range of a feature: between the points of a small set a few percent are no harm
NARROW = 0.01  # of the median width: a feature that hardly changed counts as if it had changed so much
ROUNDING = 1e-9  # relative; features of the training structures themselves, computed in another order


def beyond_range(
    species: Sequence[str],
    kinds: IntArray,
    raw: FloatArray,
    feature_min: Mapping[str, FloatArray],
    feature_max: Mapping[str, FloatArray],
) -> FloatArray:
    """Return by how much the descriptor of each atom leaves the range seen in training.

    max_f max(min_f - G_f, G_f - max_f, 0) / (max_f - min_f), with the range of the atom's species. Features
    that hardly changed in training, such as angles within a cutoff that no atom came into, have the width
    `NARROW` times the median of all, so that the first atom there does not count as 10¹⁴ ranges.

    Parameters
    ----------
    species : sequence of str
        Of the basis.
    kinds : ndarray of int, shape (n_atoms,)
        Species of each atom, as in the basis.
    raw : ndarray of shape (n_atoms, n_features), dimensionless
        Descriptors, not scaled.
    feature_min, feature_max : mapping of str to ndarray of shape (n_features,), dimensionless
        Per species.

    Returns
    -------
    ndarray of shape (n_atoms,), dimensionless
        0 inside; in units of the width of the range; infinite where most features never changed in training
        and one of them has another value.

    Raises
    ------
    InputError
        If the range does not fit the descriptors.
    """
    beyond = np.zeros(len(kinds))
    for number, symbol in enumerate(species):
        rows = np.flatnonzero(kinds == number)
        if not len(rows):
            continue
        lowest, highest = feature_min[symbol], feature_max[symbol]
        if lowest.shape != raw.shape[1:] or highest.shape != raw.shape[1:]:
            got = f"{lowest.shape}, {highest.shape}"
            raise InputError(f"feature range of {symbol}: expected {raw.shape[1]} features, got {got}")
        of_kind = raw[rows]
        excess = np.maximum(lowest - of_kind, of_kind - highest)
        outside = excess > ROUNDING * (np.abs(lowest) + np.abs(highest) + 1.0)
        if not outside.any():  # as in most steps of dynamics
            continue
        width = highest - lowest
        width = np.maximum(width, NARROW * np.median(width))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(outside, excess / width, 0.0)
        beyond[rows] = share.max(axis=1, initial=0.0)
    return beyond


def describe_beyond(beyond: FloatArray, symbols: Sequence[str]) -> str | None:
    """Return a sentence about the atoms outside the range, or None if all are inside.

    Parameters
    ----------
    beyond : ndarray of shape (n_atoms,), dimensionless
        Of `beyond_range`.
    symbols : sequence of str
        Of the atoms.
    """
    outside = np.flatnonzero(beyond > 0.0)
    if not len(outside):
        return None
    worst = int(np.argmax(beyond))
    return (
        f"{len(outside)} of {len(beyond)} atoms are outside the range of the training data, most of all "
        f"{symbols[worst]} (atom {worst + 1}) by {beyond[worst]:.0%} of the range of a feature"
    )
