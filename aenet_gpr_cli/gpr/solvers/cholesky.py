"""What a linear solver offers, the exact one, and the memory forecast that chooses between solvers.

`CholeskySolver` holds the factor of K + noise; the matrix-free solver is in `conjugate_gradient`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs, dtrtrs

from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.gpr.covariance.observation_order import n_rows
from aenet_gpr_cli.gpr.covariance.single import PRODUCT_BLOCK, Covariance
from aenet_gpr_cli.structures import FloatArray

DENSE_OVERHEAD = 1.3  # peak memory of the dense path over its matrix
FIRST_JITTER = 1e-14  # relative to the mean diagonal: about 50 machine epsilons


class Solver(Protocol):
    """Solves (K + noise) A = B for unit signal variance."""

    @property
    def name(self) -> str:
        """Name used in configurations and artefacts."""
        ...

    @property
    def jitter(self) -> float:
        """Variance added to the diagonal beyond the noise, for unit signal variance."""
        ...

    @property
    def iterations(self) -> int:
        """Iterations of the last solution, 0 for a direct solver."""
        ...

    @property
    def residual(self) -> float:
        """Relative residual of the last solution, 0 for a direct solver."""
        ...

    @property
    def log_determinant(self) -> float | None:
        """log|K + noise|, None where the solver does not give it."""
        ...

    def solve(self, right: FloatArray) -> FloatArray:
        """Return A for ``right`` of shape (n_rows, n_vectors)."""
        ...

    def solve_centred(self, targets: FloatArray, unit: FloatArray) -> tuple[FloatArray, float]:
        """Return the weights (K + noise)⁻¹(y - mu) and the prior mean m in closed form."""
        ...


class CholeskySolver:
    """Exact solver: Cholesky factorisation in place, K + noise = L Lᵀ.

    Parameters
    ----------
    noise_energy : float, dimensionless
        Relative to the signal standard deviation.
    noise_force : float, 1/Å
        The same for force components.
    max_jitter : float
        Largest variance that may be added to the diagonal when the factorisation fails, relative to the mean
        diagonal. 0 forbids it.
    device : str or None
        Device of torch for the factorisation, such as cuda; None: LAPACK, without a second matrix.

    Raises
    ------
    NumericalError
        If the matrix stays indefinite at the largest jitter.

    Notes
    -----
    n_rows³/3 operations and n_rows² numbers; no second matrix is ever made.
    """

    name = "cholesky"
    iterations: int = 0
    residual: float = 0.0

    def __init__(
        self,
        covariance: Covariance,
        noise_energy: float,
        noise_force: float,
        max_jitter: float,
        device: str | None = None,
    ) -> None:
        self._device = device
        noise = covariance.noise_variances(noise_energy, noise_force)
        self.jitter = relative = 0.0
        while (failed := self._factorise(covariance, noise, relative)) > 0:
            relative = FIRST_JITTER if relative == 0.0 else relative * 10.0
            if relative > max_jitter:
                raise NumericalError(
                    f"the covariance matrix of {covariance.n_structures} structures is not positive definite "
                    f"(row {failed} of {covariance.n_rows}), even with jitter up to {max_jitter:g}; "
                    "remove duplicate structures, raise the noise, or shorten length_scale"
                )

    def _factorise(self, covariance: Covariance, noise: FloatArray, relative: float) -> int:
        matrix = covariance.dense()
        diagonal = np.einsum("ii->i", matrix)
        self.jitter = relative * float(diagonal.mean())
        diagonal += noise + self.jitter
        if self._device is not None:
            from aenet_gpr_cli.gpr.solvers.device import factorise_on

            self._factor = matrix.T
            return factorise_on(self._device, matrix)
        # the transpose is the same memory in Fortran order, upper triangle: LAPACK then works in place
        self._factor, info = dpotrf(matrix.T, lower=0, overwrite_a=1, clean=0)
        return int(info)

    @property
    def log_determinant(self) -> float:
        """log|K + noise| = 2 Σ log L_ii."""
        return float(2.0 * np.log(np.einsum("ii->i", self._factor)).sum())

    def solve(self, right: FloatArray) -> FloatArray:
        """Return (K + noise)⁻¹ B for B of shape (n_rows, n_vectors)."""
        return np.asarray(dpotrs(self._factor, right, lower=0)[0])

    def solve_centred(self, targets: FloatArray, unit: FloatArray) -> tuple[FloatArray, float]:
        """Return (K + noise)⁻¹(y - mu) and the prior mean m = uᵀK⁻¹y / uᵀK⁻¹u.

        Parameters
        ----------
        targets, unit : ndarray of shape (n_rows,)
            y and u.

        Returns
        -------
        weights : ndarray of shape (n_rows,)
        mean : float
        """
        solved = self.solve(np.column_stack([targets, unit]))
        mean = float(unit @ solved[:, 0]) / float(unit @ solved[:, 1])
        return solved[:, 0] - mean * solved[:, 1], mean

    def half_solve(self, right: FloatArray) -> FloatArray:
        """Return L⁻¹ B for B of shape (n_rows, n_vectors); squared column norms: diagonal of BᵀK⁻¹B."""
        return np.asarray(dtrtrs(self._factor, right, lower=0, trans=1)[0])

    def inverse_upper(self) -> FloatArray:
        """Return (K + noise)⁻¹ with only its upper triangle set: a second matrix, 2/3 n_rows³ operations."""
        return np.asarray(dpotri(self._factor, lower=0)[0])


def dense_bytes(n_structures: int, n_atoms: int) -> int:
    """Return the memory of the dense covariance matrix, 8 n²(1+3N)² bytes."""
    return 8 * n_rows(n_structures, n_atoms) ** 2


def jacobian_bytes(n_structures: int, n_atoms: int, n_features: int) -> int:
    """Return the memory of the derivatives of the descriptor of so many structures, in two orders."""
    return 2 * 8 * n_structures * 3 * n_atoms * n_features


def iterative_bytes(n_structures: int, n_atoms: int, n_features: int, rank: int) -> int:
    """Return the memory of the matrix-free solver.

    Parameters
    ----------
    rank : int
        Of the preconditioner.

    Returns
    -------
    int, bytes
        Preconditioner with its blocks and rows in work, kernel values, descriptors, and vectors.
    """
    selected = min(n_structures, max(1, rank // (1 + 3 * n_atoms)))
    rows = n_rows(n_structures, n_atoms)
    preconditioner = 2 * rank**2 + rows * (1 + 3 * n_atoms) + 2**23
    kernel_values = 6 * PRODUCT_BLOCK * n_structures + 3 * n_structures**2
    vectors = 12 * n_structures * n_features + 16 * rows
    return 8 * (preconditioner + kernel_values + vectors) + jacobian_bytes(selected, n_atoms, n_features)


def choose_solver(n_structures: int, n_atoms: int, max_bytes: float) -> str:
    """Return the solver that fits into memory: ``cholesky`` where possible, or ``conjugate_gradient``."""
    exact = DENSE_OVERHEAD * dense_bytes(n_structures, n_atoms)
    return "cholesky" if exact <= max_bytes else "conjugate_gradient"
