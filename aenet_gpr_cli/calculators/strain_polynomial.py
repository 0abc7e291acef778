"""Polynomials in the six components of a strain, fitted to energy densities by least squares."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from aenet_gpr_cli.structures import FloatArray

SMALL = 0.02  # of the largest product of strains: smaller in all cells, as beside a shear, is none
OPEN = 1e-6  # of the largest singular value, and of a unit vector
SURE = 1e-9  # of one: a cell that is left out is not predicted if the fit goes through it
PAIRS = tuple(combinations_with_replacement(range(6), 2))
TRIPLES = tuple(combinations_with_replacement(range(6), 3))


@dataclass(frozen=True, slots=True)
class StrainPolynomial:
    """A fit of energy densities.

    Attributes
    ----------
    stress : ndarray of shape (6,), eV/Å³
    constants : ndarray of shape (21,), eV/Å³
        In the order of `PAIRS`; both NaN where the cells leave them open.
    root : ndarray of shape (n, 21), eV/Å³
        Of their covariance: rootᵀ root.
    residual, left_out : float, eV/Å³
        Root mean squares of the fit, and of cells predicted by the fit to the others; infinite where it would
        have to go through one.
    ratio : float, dimensionless
        Of the terms of the third order to those of the second, root mean squares; 0 without the third.
    """

    stress: FloatArray
    constants: FloatArray
    root: FloatArray
    residual: float
    left_out: float
    ratio: float


def fit_polynomial(strains: FloatArray, density: FloatArray, order: int) -> StrainPolynomial:
    """Fit the coefficients of the second and, where asked for, the third order.

    Parameters
    ----------
    strains : ndarray of shape (n, 6), dimensionless
        Lagrangian, shears doubled.
    density : ndarray of shape (n,), eV/Å³
    order : int
        2 or 3.
    """
    n, largest = len(strains), max(float(np.abs(strains).max()), 1e-12)
    pairs, triples = np.array(PAIRS).T, np.array(TRIPLES if order > 2 else (), int).reshape(-1, 3).T
    halves = np.where(pairs[0] == pairs[1], 0.5, 1.0)
    a = np.column_stack(
        [np.ones(n), strains, strains[:, pairs].prod(axis=1) * halves, strains[:, triples].prod(axis=1)]
    )
    power = np.repeat([0, 1, 2, 3], [1, 6, len(PAIRS), triples.shape[1]])
    size = largest**power
    a *= (power < 2) | (np.abs(a).max(axis=0) >= SMALL * size)
    rows = np.vstack([a / size, np.zeros((max(0, a.shape[1] - n), a.shape[1]))])  # all of v
    u, values, v = np.linalg.svd(rows, full_matrices=False)
    rank = int((values > OPEN * values[0]).sum())
    u, root = u[:n, :rank], v[:rank] / values[:rank, None] / size
    found = (u.T @ density) @ root
    left = a @ found - density
    terms = [_rms(a[:, power == k] @ found[power == k]) for k in (2, 3)]
    found[np.linalg.norm(v[rank:], axis=0) > OPEN] = np.nan
    share = 1.0 - (u * u).sum(axis=1)
    predicted = left / share if share.min(initial=1.0) > SURE else np.full(n, np.inf)
    root = np.sqrt(variance_left(left[:, None], rank)[0]) * root
    constants = slice(7, 7 + len(PAIRS))
    return StrainPolynomial(
        found[1:7],
        found[constants],
        root[:, constants],
        _rms(left),
        _rms(predicted),
        terms[1] / max(terms[0], 1e-300),
    )


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0


def variance_left(left: FloatArray, unknowns: int) -> FloatArray:
    """Return the variance of what a fit leaves, of each column; NaN where it had to go through all points."""
    more = len(left) - unknowns
    return np.asarray((left**2).sum(axis=0) / more if more > 0 else np.full(left.shape[1], np.nan))
