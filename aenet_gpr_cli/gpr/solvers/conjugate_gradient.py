"""Matrix-free solver: preconditioned conjugate gradients on products with K.

The preconditioner and its rank are `preconditioner`'s; the products are the covariance's.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.process_settings import ConjugateGradient
from aenet_gpr_cli.gpr.solvers.preconditioner import LowRankPlan, Preconditioner, plan_low_rank
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.structures import FloatArray

TABLE_BYTES = 2**30  # kernel values are kept between iterations up to this size
RESTART = 50  # iterations between recomputed residuals, so that rounding cannot hide a stalled solution
TINY = float(np.finfo(float).tiny)

IterationCallback = Callable[[int, float], None]
Precondition = Callable[[FloatArray], FloatArray]


class ConjugateGradientSolver:
    """Iterative solver for (K + noise) A = B that never forms K.

    Parameters
    ----------
    noise_energy : float, dimensionless
        Relative to the signal standard deviation.
    noise_force : float, 1/Å
        The same for force components.
    settings : ConjugateGradient
        The residual is that of each right-hand side, |B - (K + noise) A| / |B|. Below ``max_rank`` the rank
        is chosen by forecast; 0: only the blocks of the structures.
    on_iteration : callable or None
        Called with (iteration, relative residual).
    progress : callable or None
        Called with (done, total, message) while the preconditioner is built.
    preconditioner : callable or None
        Approximate inverse to take instead.
    device : str or None
        Device of torch for the products with K, such as cuda; None: numpy.
    low_rank : LowRankPlan or None
        From `plan_low_rank`, where it is known already.

    Raises
    ------
    NumericalError
        If the residual is not reached, or the preconditioner cannot be factorised.

    Notes
    -----
    Each iteration: O(n²p) for the product and O(nM + M²) for a preconditioner of rank M.
    """

    name = "conjugate_gradient"
    log_determinant = None

    def __init__(
        self,
        covariance: Covariance,
        noise_energy: float,
        noise_force: float,
        settings: ConjugateGradient,
        on_iteration: IterationCallback | None = None,
        progress: Progress | None = None,
        preconditioner: Precondition | None = None,
        device: str | None = None,
        low_rank: LowRankPlan | None = None,
    ) -> None:
        self.jitter = 0.0
        self.iterations = 0
        self.residual = 0.0
        self._noise = covariance.noise_variances(noise_energy, noise_force)
        self._settings, self._on_iteration = settings, on_iteration
        if preconditioner is None:
            asked = settings.max_rank, settings.tolerance
            plan = low_rank or plan_low_rank(covariance, self._noise, *asked)
            preconditioner = Preconditioner(covariance, self._noise, plan.make(), progress)
        self._precondition: Precondition = preconditioner
        self._product = _products(covariance, device)

    def solve(self, right: FloatArray) -> FloatArray:
        """Return (K + noise)⁻¹ B, all columns (n_rows, n_vectors) together.

        Raises
        ------
        NumericalError
            If the residual is not reached within the allowed iterations.
        """
        return self._iterate(right, None)[0]

    def solve_centred(self, targets: FloatArray, unit: FloatArray) -> tuple[FloatArray, float]:
        """Return (K + noise)⁻¹(y - mu) and the prior mean m in closed form, by one run.

        The weights are orthogonal to u, so conjugate gradients stay in that plane and m is the part of the
        residual along u (Gould, Hribar and Nocedal 2001, projected preconditioned conjugate gradients).

        Parameters
        ----------
        targets, unit : ndarray of shape (n_rows,)
            y and u.

        Returns
        -------
        weights : ndarray of shape (n_rows,)
        mean : float
        """
        weights, mean = self._iterate(targets[:, None], unit)
        return weights[:, 0], float(mean[0])

    def _iterate(self, right: FloatArray, unit: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Run preconditioned conjugate gradients (Saad, Iterative Methods, algorithm 9.1) on all columns.

        Every column has step lengths of its own; those that have converged leave the block.
        """
        scale = np.linalg.norm(right, axis=0)
        out, means = np.zeros(right.shape, order="F"), np.zeros(len(scale))
        active = np.flatnonzero(scale > 0.0)
        goal = np.asfortranarray(right[:, active] / scale[active])
        precondition = _Projection(self._precondition, unit, len(active))
        solution, residual = np.zeros_like(goal), goal.copy(order="F")
        z = precondition(residual)
        direction, rz = z.copy(order="F"), _dots(residual, z)
        for iteration in range(1, self._settings.max_iterations + 1):
            if len(active) == 0:
                break
            product = self._apply(direction)
            step = rz / np.maximum(_dots(direction, product), TINY)
            solution += step * direction
            residual -= step * product
            if iteration % RESTART == 0:
                residual = goal - self._apply(solution) - precondition.along_unit
            z = precondition(residual)
            done = self._converged(iteration, residual)
            if done.any():
                out[:, active[done]] = solution[:, done] * scale[active[done]]
                left_over = precondition.mean + _average(residual, unit)
                means[active[done]] = left_over[done] * scale[active[done]]
                active, precondition = active[~done], precondition.keep(~done)
                goal, solution, residual, z, direction = (
                    np.asfortranarray(v[:, ~done]) for v in (goal, solution, residual, z, direction)
                )
                rz = rz[~done]
            previous, rz = rz, _dots(residual, z)
            direction = z + rz / np.maximum(previous, TINY) * direction
        if len(active):
            raise self._failure()
        return out, means

    def _apply(self, vectors: FloatArray) -> FloatArray:
        return self._product(vectors) + self._noise[:, None] * vectors

    def _converged(self, iteration: int, residual: FloatArray) -> NDArray[np.bool_]:
        norms = np.linalg.norm(residual, axis=0)
        self.iterations, self.residual = iteration, float(norms.max())
        if self._on_iteration is not None:
            self._on_iteration(iteration, self.residual)
        return norms <= self._settings.tolerance

    def _failure(self) -> NumericalError:
        return NumericalError(
            f"conjugate gradients: expected a relative residual of {self._settings.tolerance:g} within "
            f"{self._settings.max_iterations} iterations, got {self.residual:.2g}; "
            "raise the rank of the preconditioner, the noise or the number of iterations"
        )


def _products(covariance: Covariance, device: str | None) -> Callable[[FloatArray], FloatArray]:
    if device is None:
        return partial(covariance.product, tables=covariance.tables(TABLE_BYTES))
    from aenet_gpr_cli.gpr.solvers.device import DeviceProducts

    return DeviceProducts(covariance, device)


def _dots(left: FloatArray, right: FloatArray) -> FloatArray:
    return np.einsum("rv,rv->v", left, right)


def _average(residual: FloatArray, unit: FloatArray | None) -> FloatArray | float:
    """Mean energy residual: added to the prior mean it leaves no constant error in predicted energies."""
    return 0.0 if unit is None else (unit @ residual) / float(unit @ unit)


class _Projection:
    """Preconditioner P followed by the projection that keeps u·z = 0, where there is a u.

    The part of the residual along u is the prior mean. It is taken off the residual as soon as it is known:
    it may be far larger than the rest, and would drown it in rounding.
    """

    def __init__(self, precondition: Precondition, unit: FloatArray | None, n_vectors: int) -> None:
        self._precondition, self._unit = precondition, unit
        self.mean = np.zeros(n_vectors)
        if unit is not None:
            self._solved_unit = precondition(unit[:, None])[:, 0]
            self._scale = float(unit @ self._solved_unit)

    @property
    def along_unit(self) -> FloatArray | float:
        """What has been taken off the residual, mean times u."""
        return 0.0 if self._unit is None else self._unit[:, None] * self.mean

    def keep(self, columns: NDArray[np.bool_]) -> _Projection:
        """Return the projection of these columns alone."""
        left = copy(self)
        left.mean = self.mean[columns]
        return left

    def __call__(self, residual: FloatArray) -> FloatArray:
        """Return the projected P R; changes ``residual`` in place."""
        z = self._precondition(residual)
        if self._unit is None:
            return z
        step = (self._unit @ z) / self._scale
        self.mean += step
        residual -= self._unit[:, None] * step
        z -= self._solved_unit[:, None] * step
        return z
