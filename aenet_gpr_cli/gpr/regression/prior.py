"""Constant prior mean and signal variance in closed form.

Both maximise the log marginal likelihood exactly for given length scale and noise (relative to the signal
variance), so the search for hyperparameters never sees them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.structures import FloatArray


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """What follows from K⁻¹y and K⁻¹u.

    Attributes
    ----------
    mean : float, eV
        Prior mean m = uᵀK⁻¹y / uᵀK⁻¹u, u = 1 on the energy rows.
    signal_std : float, eV
        w (the paper's weight), w² = (y-mu)ᵀK⁻¹(y-mu) / (n_rows - n_null).
    weights : ndarray of shape (n_rows,)
        K⁻¹(y - mu): the weights of the posterior mean.
    """

    mean: float
    signal_std: float
    weights: FloatArray


def energy_rows(n_structures: int, n_rows: int) -> FloatArray:
    """Return u: one on the energy rows, zero on the gradient rows.

    Parameters
    ----------
    n_structures, n_rows : int

    Returns
    -------
    ndarray of shape (n_rows,)
    """
    return np.concatenate([np.ones(n_structures), np.zeros(n_rows - n_structures)])


def closed_form(
    targets: FloatArray,
    unit: FloatArray,
    solved_targets: FloatArray,
    solved_unit: FloatArray,
    n_null: int = 0,
) -> ClosedForm:
    """Return prior mean, signal standard deviation and weights.

    Parameters
    ----------
    targets : ndarray of shape (n_rows,)
        Observations y, eV and eV/Å.
    unit : ndarray of shape (n_rows,)
        u, see `energy_rows`.
    solved_targets, solved_unit : ndarray of shape (n_rows,)
        K⁻¹y and K⁻¹u for unit signal variance, noise included.
    n_null : int
        Dimensions that the descriptor cannot express and that are zero in ``targets``, see `invariance`.

    Returns
    -------
    ClosedForm

    Raises
    ------
    NumericalError
        If the quadratic form is not positive: K was not positive definite to working precision.
    """
    mean = float(unit @ solved_targets) / float(unit @ solved_unit)
    return from_weights(targets, unit, solved_targets - mean * solved_unit, mean, n_null)


def from_weights(
    targets: FloatArray, unit: FloatArray, weights: FloatArray, mean: float, n_null: int
) -> ClosedForm:
    """Return the signal standard deviation that belongs to prior mean and weights.

    Parameters
    ----------
    targets, unit : ndarray of shape (n_rows,)
        y and u.
    weights : ndarray of shape (n_rows,)
        K⁻¹(y - mu).
    mean : float, eV
    n_null : int
        See `closed_form`.

    Returns
    -------
    ClosedForm

    Raises
    ------
    NumericalError
        If the quadratic form is not positive: K was not positive definite to working precision.
    """
    variance = float((targets - mean * unit) @ weights) / (len(targets) - n_null)
    if not variance >= 0.0 or not np.isfinite(variance):
        raise NumericalError(
            f"signal variance: expected a positive number, got {variance:.3g}; "
            "the covariance is singular to working precision: raise the noise or shorten length_scale"
        )
    return ClosedForm(mean, float(np.sqrt(variance)), weights)


def log_marginal_likelihood(signal_std: float, log_determinant: float, n_rows: int) -> float:
    """Return the log marginal likelihood at the closed-form mean and signal variance.

    -½ N log w² - ½ log|K| - ½ N (1 + log 2π), K for unit signal variance (Rasmussen and Williams,
    eq. 5.8, with w² at its maximum).

    Parameters
    ----------
    signal_std : float, eV
    log_determinant : float
        log|K|, noise included, without the dimensions that the descriptor cannot express.
    n_rows : int
        Number of observations, without the same dimensions.

    Returns
    -------
    float, dimensionless
    """
    scale = np.log(max(signal_std, np.finfo(float).tiny))
    return float(-n_rows * scale - 0.5 * log_determinant - 0.5 * n_rows * (1.0 + np.log(2.0 * np.pi)))
