"""Posterior of the local process from the triangle of its rows: evidence, variances, coefficients.

With K_MM = U Λ Uᵀ and B = U Λ^(−1/2), P = R B has the singular values √μ. For the prior variance w² and one
noise scale s², both relative to the assumed noises, of n rows:

    g_j = w² μ_j/(1 + w² μ_j)      s² = (yᵀy − Σ_j q_j² g_j)/n
    log p = −½ (n log s² + Σ_j log(1 + w² μ_j) + n)

(deterministic training conditional, Quiñonero-Candela and Rasmussen, J. Mach. Learn. Res. 6, 1939 (2005)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag, eigh, svd

from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.structures import FloatArray

SMALLEST_EIGENVALUE = 1e-12  # of K_MM, relative to the largest: below it is round-off
LOG_SIGNALS = np.arange(-6.0, 14.1, 0.5)  # log w² on which the evidence is compared


@dataclass(frozen=True, slots=True)
class Posterior:
    """What the data say about the coefficients of the inducing environments.

    Attributes
    ----------
    coefficients : ndarray of shape (n_inducing,), eV
    directions : ndarray of shape (n_inducing, n_kept)
        B V: for a row a the products aᵀBV have independent posteriors.
    variances : ndarray of shape (n_kept,), eV²
        Posterior variances along them.
    signal_variance : float, eV²
        w² s²: prior variance of one environment.
    noise_scale : float, dimensionless
        s: the assumed noises times s are the most likely ones.
    log_evidence : float, dimensionless
    """

    coefficients: FloatArray
    directions: FloatArray
    variances: FloatArray
    signal_variance: float
    noise_scale: float
    log_evidence: float


def whiten(covariances: Sequence[FloatArray]) -> FloatArray:
    """Return B of all species, shape (n_inducing, n_kept), see `whitening_parts`."""
    return block_diag(*whitening_parts(covariances))


def whitening_parts(covariances: Sequence[FloatArray]) -> list[FloatArray]:
    """Return B of each species, with B Bᵀ = K_MM⁻¹ on what K_MM resolves.

    Parameters
    ----------
    covariances : sequence of ndarray of shape (m, m)
        K_MM of each species; environments of different species do not covary.

    Returns
    -------
    list of ndarray of shape (m, n_kept)
    """
    parts = []
    for covariance in covariances:
        if not len(covariance):
            parts.append(covariance)
            continue
        values, vectors = eigh(covariance)
        kept = values > SMALLEST_EIGENVALUE * values[-1]
        parts.append(vectors[:, kept] / np.sqrt(values[kept]))
    return parts


def most_likely(
    total: float,
    n_rows: int,
    log_noises: float,
    fit_and_log_det: Callable[[float], tuple[float, float]],
) -> tuple[float, float, float]:
    """Return the largest log evidence with its signal variance w² and noise variance s².

    Parameters
    ----------
    total : float
        yᵀy.
    n_rows : int
    log_noises : float
        Sum of the logarithms of the assumed noises of all rows: what the units add to the evidence.
    fit_and_log_det : callable
        Σ_j q_j² g_j and Σ_j log(1 + w² μ_j) of a w².
    """
    best: tuple[float, float, float] | None = None
    for signal in map(float, np.exp(LOG_SIGNALS)):
        fit, log_det = fit_and_log_det(signal)
        noise = max((total - fit) / n_rows, np.finfo(float).tiny)
        log_p = -0.5 * (n_rows * (np.log(noise) + 1.0 + np.log(2.0 * np.pi)) + log_det) - log_noises
        if best is None or log_p > best[0]:
            best = (log_p, signal, noise)
    assert best is not None  # LOG_SIGNALS is not empty
    return best


def solve(factor: FloatArray, n_rows: int, log_noises: float, whitening: FloatArray) -> Posterior:
    """Return the posterior at the most likely signal variance and noise scale.

    Parameters
    ----------
    factor : ndarray of shape (n, n_inducing + 1)
        R of the rows in units of their assumed noises, targets in the last column.
    n_rows : int
    log_noises : float
        See `most_likely`.
    whitening : ndarray of shape (n_inducing, n_kept)
        See `whiten`.

    Raises
    ------
    NumericalError
        If the rows hold something that is not finite.
    """
    targets = factor[:, -1]
    if not np.isfinite(factor).all():
        raise NumericalError("rows of the local process: expected finite numbers, got NaN or infinity")
    left, singular, right = svd(factor[:, :-1] @ whitening, full_matrices=False, check_finite=False)
    q, mu, total = left.T @ targets, singular**2, float(targets @ targets)

    def fit_and_log_det(signal: float) -> tuple[float, float]:
        gain = signal * mu / (1.0 + signal * mu)
        return float(q**2 @ gain), float(np.log1p(signal * mu).sum())

    log_p, signal, noise = most_likely(total, n_rows, log_noises, fit_and_log_det)
    directions = whitening @ right.T
    return Posterior(
        coefficients=directions @ (q * signal * singular / (1.0 + signal * mu)),
        directions=directions,
        variances=noise * signal / (1.0 + signal * mu),
        signal_variance=noise * signal,
        noise_scale=float(np.sqrt(noise)),
        log_evidence=log_p,
    )
