"""Log determinant of K + noise without the matrix: stochastic Lanczos quadrature with a preconditioner.

With M the preconditioner's matrix, log|A| = log|M| + tr log(M^-½ A M^-½). The first part is exact; the second
is a mean over random probes z ~ N(0, M), each a Gauss quadrature from the coefficients of conjugate gradients
(Golub and Meurant 1994; Gardner et al. 2018, section 4). A better preconditioner leaves less to it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aenet_gpr_cli.structures import FloatArray

Operator = Callable[[FloatArray], FloatArray]


def log_ratio(
    apply: Operator, precondition: Operator, probes: FloatArray, tolerance: float, max_steps: int
) -> FloatArray:
    """Estimate tr log(M^-½ A M^-½) from each probe.

    Parameters
    ----------
    apply : callable
        V ↦ A V.
    precondition : callable
        V ↦ M⁻¹ V.
    probes : ndarray of shape (n_rows, n_probes)
        Drawn from N(0, M).
    tolerance : float
        Residual, relative to the start in the norm of M⁻¹, at which the quadrature ends.
    max_steps : int

    Returns
    -------
    ndarray of shape (n_probes,), dimensionless
        Their mean is the estimate, their spread its error.
    """
    residual, z = probes.copy(order="F"), precondition(probes)
    direction, rz = z.copy(order="F"), _dots(probes, z)
    start = rz.copy()
    steps, growths = [], []
    open_until = np.zeros(probes.shape[1], np.int64)  # steps before a probe had converged
    for _ in range(max_steps):
        running = rz > tolerance**2 * start
        if not running.any():
            break
        open_until += running
        product = apply(direction)
        step = rz / np.where(running, _dots(direction, product), np.inf)  # zero once converged
        residual -= step * product
        z = precondition(residual)
        previous, rz = rz, np.where(running, _dots(residual, z), rz)
        growth = rz / previous
        direction = z + growth * direction
        steps.append(step)
        growths.append(growth)
    return np.array(
        [
            len(probes)
            * _quadrature(np.array([s[v] for s in steps[:m]]), np.array([g[v] for g in growths[:m]]))
            for v, m in enumerate(open_until)
        ]
    )


def _quadrature(steps: FloatArray, growths: FloatArray) -> float:
    """Return e₁ᵀ log(T) e₁, T the Lanczos matrix behind step lengths and growths (Saad, section 6.7.3)."""
    diagonal = 1.0 / steps
    diagonal[1:] += growths[:-1] / steps[:-1]
    off = np.sqrt(growths[:-1]) / steps[:-1]
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    return float(vectors[0] ** 2 @ np.log(np.maximum(values, np.finfo(float).tiny)))


def _dots(left: FloatArray, right: FloatArray) -> FloatArray:
    return np.einsum("rv,rv->v", left, right)
