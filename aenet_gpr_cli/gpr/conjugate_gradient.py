"""Matrix-free solver: preconditioned conjugate gradients on products with K.

The preconditioner is a Nyström approximation of K on the energy and force columns of selected structures, in
Woodbury form; the number of selected structures sets its memory and time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg.blas import dsyrk, dtrsm
from scipy.linalg.lapack import dpotrf

from aenet_gpr_cli.errors import ConfigError, NumericalError
from aenet_gpr_cli.gpr.covariance import Covariance, squared_distances
from aenet_gpr_cli.structures import FloatArray, IntArray

TABLE_BYTES = 2**30  # kernel values are kept between iterations up to this size
NYSTROM_JITTER = 1e-12  # relative; the preconditioner only has to be close to K, not equal to it
RESTART = 50  # iterations between recomputed residuals, so that rounding cannot hide a stalled solution

IterationCallback = Callable[[int, float], None]


class ConjugateGradientSolver:
    """Iterative solver for (K + noise) A = B that never forms K.

    Parameters
    ----------
    covariance : Covariance
    noise_energy : float
        Relative to the signal standard deviation, dimensionless.
    noise_force : float
        The same for force components, 1/Å.
    n_selected : int
        Structures of the Nyström preconditioner. 0: only the diagonal.
    tolerance : float
        Relative residual |B - (K + noise) A| / |B| to reach, per right-hand side.
    max_iterations : int
    on_iteration : callable or None
        Called with (iteration, largest relative residual).

    Raises
    ------
    ConfigError
        If more structures are selected than there are.
    NumericalError
        If the residual is not reached, or the preconditioner cannot be factorised.

    Notes
    -----
    Preconditioner: n_rows · M² operations three times and n_rows · M numbers, M = n_selected (1+3N). Each
    iteration: O(n²p) for the product and n_rows · M for the preconditioner, per right-hand side.
    """

    name = "conjugate_gradient"
    log_determinant: float | None = None

    def __init__(
        self,
        covariance: Covariance,
        noise_energy: float,
        noise_force: float,
        n_selected: int,
        tolerance: float,
        max_iterations: int,
        on_iteration: IterationCallback | None = None,
    ) -> None:
        if not 0 <= n_selected <= covariance.n_structures:
            raise ConfigError(
                f"n_selected: expected 0 to {covariance.n_structures} structures, got {n_selected}"
            )
        self.jitter = 0.0
        self.iterations = 0
        self.residual = 0.0
        self._covariance = covariance
        self._noise = covariance.noise_variances(noise_energy, noise_force)
        self._tolerance, self._max_iterations = tolerance, max_iterations
        self._on_iteration = on_iteration
        self._tables = covariance.tables(TABLE_BYTES)
        self._precondition = _Nystrom(covariance, self._noise, n_selected)

    def solve(self, right: FloatArray) -> FloatArray:
        """Return (K + noise)⁻¹ B.

        Independent conjugate-gradient runs for the columns, advanced together so that they share the kernel
        values (Saad, Iterative Methods, algorithm 9.1).

        Parameters
        ----------
        right : ndarray of shape (n_rows, n_vectors)

        Returns
        -------
        ndarray of the same shape

        Raises
        ------
        NumericalError
            If the residual is not reached within the allowed iterations.
        """
        scale = np.linalg.norm(right, axis=0)
        scale[scale == 0.0] = 1.0
        solution, residual = np.zeros_like(right), right / scale
        z = self._precondition(residual)
        direction, rz = z.copy(), np.einsum("ib,ib->b", residual, z)
        for iteration in range(1, self._max_iterations + 1):
            product = self._apply(direction)
            step = rz / np.maximum(np.einsum("ib,ib->b", direction, product), np.finfo(float).tiny)
            solution += step * direction
            residual -= step * product
            if iteration % RESTART == 0:
                residual = right / scale - self._apply(solution)
            if self._converged(iteration, residual):
                return solution * scale
            z = self._precondition(residual)
            previous, rz = rz, np.einsum("ib,ib->b", residual, z)
            direction = z + rz / np.maximum(previous, np.finfo(float).tiny) * direction
        raise NumericalError(
            f"conjugate gradients: expected a relative residual of {self._tolerance:g} within "
            f"{self._max_iterations} iterations, got {self.residual:.2g}; "
            "select more structures for the preconditioner, raise the noise or the number of iterations"
        )

    def _apply(self, vectors: FloatArray) -> FloatArray:
        return self._covariance.product(vectors, self._tables) + self._noise[:, None] * vectors

    def _converged(self, iteration: int, residual: FloatArray) -> bool:
        self.iterations, self.residual = iteration, float(np.linalg.norm(residual, axis=0).max())
        if self._on_iteration is not None:
            self._on_iteration(iteration, self.residual)
        return self.residual <= self._tolerance


class _Nystrom:
    """Inverse of C K_mm⁻¹ Cᵀ + D, with C the columns of m structures and D the noise.

    With V = D^-½ C L_mm⁻ᵀ and W = V chol(1 + VᵀV)⁻ᵀ it is D^-½ (1 - W Wᵀ) D^-½.
    """

    def __init__(self, covariance: Covariance, noise: FloatArray, n_selected: int) -> None:
        self._w: FloatArray | None = None
        self._root = 1.0 / np.sqrt(np.maximum(noise, NYSTROM_JITTER))
        if n_selected == 0:
            self._root = 1.0 / np.sqrt(noise + _diagonal(covariance))
            return
        index = farthest_points(covariance.x, n_selected)
        # the transpose of C-ordered columns is in Fortran order: LAPACK and BLAS then work in place
        w = covariance.columns(index).T
        n, width = covariance.n_structures, 3 * covariance.n_atoms
        rows = np.concatenate([index, (n + index[:, None] * width + np.arange(width)).ravel()])
        w = _solve_lower(_factor(w[:, rows].copy(order="F"), NYSTROM_JITTER), w)
        w *= self._root
        inner = dsyrk(1.0, w, lower=1)
        self._w = _solve_lower(_factor(inner, 0.0, unit=True), w)

    def __call__(self, vectors: FloatArray) -> FloatArray:
        scaled = self._root[:, None] * vectors
        if self._w is not None:
            scaled -= self._w.T @ (self._w @ scaled)
        return self._root[:, None] * scaled


def _factor(matrix: FloatArray, jitter: float, unit: bool = False) -> FloatArray:
    diagonal = np.einsum("ii->i", matrix)
    diagonal += 1.0 if unit else jitter * diagonal.mean() * len(matrix) ** 0.5
    factor, info = dpotrf(matrix, lower=1, overwrite_a=1)
    if info != 0:
        raise NumericalError(
            f"preconditioner: the covariance of the selected structures is singular (row {info} of "
            f"{len(matrix)}); remove duplicate structures or select fewer"
        )
    return np.asarray(factor)


def _solve_lower(factor: FloatArray, right: FloatArray) -> FloatArray:
    return np.asarray(dtrsm(1.0, factor, right, side=0, lower=1, overwrite_b=1))


def _diagonal(covariance: Covariance) -> FloatArray:
    """Diagonal of K: 1 for energies, k1(0) |J e|² for gradients, averaged over the components."""
    n = covariance.n_structures
    _, k1, _ = covariance.kernel(np.zeros(1))
    scale = np.einsum("pa,pa->", *(covariance.points.jacobian(slice(0, 1))[0],) * 2) / (
        3 * covariance.n_atoms
    )
    return np.concatenate([np.ones(n), np.full(covariance.n_rows - n, k1[0] * scale)])


def farthest_points(x: FloatArray, n_selected: int) -> IntArray:
    """Select structures that cover the set: start nearest the mean, then always the farthest one.

    Parameters
    ----------
    x : ndarray of shape (n_structures, n_features)
    n_selected : int

    Returns
    -------
    ndarray of int, shape (n_selected,)
    """
    chosen = [int(np.argmin(np.einsum("ip,ip->i", x - x.mean(axis=0), x - x.mean(axis=0))))]
    nearest = np.full(len(x), np.inf)
    while len(chosen) < n_selected:
        nearest = np.minimum(nearest, squared_distances(x, x[chosen[-1:]])[:, 0])
        chosen.append(int(np.argmax(nearest)))
    return np.array(chosen[:n_selected], dtype=np.int64)
