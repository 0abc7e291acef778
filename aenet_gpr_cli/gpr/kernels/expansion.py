"""The expansion f(x) = Σ_j k a_j + k1 (x - x_j)·U_j and its gradient: every prediction and every row of K V.

Two matrix products around one compiled loop over pairs of structures; rows and Jacobians are the callers'.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from aenet_gpr_cli.gpr.kernels.stationary import KernelValues
from aenet_gpr_cli.structures import FloatArray


def expand(
    table: KernelValues,
    x: FloatArray,
    training_x: FloatArray,
    energy_weights: FloatArray,
    descriptor_weights: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Evaluate f(x) = Σ_j k a_j + k1 (x - x_j)·U_j and its gradient ∂f/∂x.

    The posterior mean (and every row of K V) with the gradient weights contracted once, U_j = J_j B_j.

    Parameters
    ----------
    table : tuple of three ndarrays of shape (m, n)
        (k, k1, k2) between ``x`` and ``training_x``.
    x : ndarray of shape (m, n_features)
    training_x : ndarray of shape (n, n_features)
        Centred on the same origin as ``x``.
    energy_weights : ndarray of shape (n,)
    descriptor_weights : ndarray of shape (n, n_features)

    Returns
    -------
    values : ndarray of shape (m,)
    gradients : ndarray of shape (m, n_features)
    """
    k, k1, k2 = table
    s = x @ descriptor_weights.T
    shift = np.einsum("jp,jp->j", training_x, descriptor_weights)
    values, total = np.empty(len(x)), np.empty(len(x))
    _combine(k, k1, k2, energy_weights, shift, s, values, total)
    gradients = s @ training_x
    gradients -= total[:, None] * x
    gradients += k1 @ descriptor_weights
    return values, gradients


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _combine(
    k: FloatArray,
    k1: FloatArray,
    k2: FloatArray,
    energy_weights: FloatArray,
    shift: FloatArray,
    s: FloatArray,
    values: FloatArray,
    total: FloatArray,
) -> None:
    """Set values_i = Σ_j k a_j + k1 (s - shift_j) and total_i = Σ_j s after s ← k1 a_j + k2 (s - shift_j)."""
    for i in range(len(s)):
        value, rowsum = 0.0, 0.0
        for j in range(s.shape[1]):
            slope = s[i, j] - shift[j]
            value += k[i, j] * energy_weights[j] + k1[i, j] * slope
            weight = k1[i, j] * energy_weights[j] + k2[i, j] * slope
            rowsum += weight
            s[i, j] = weight
        values[i], total[i] = value, rowsum
