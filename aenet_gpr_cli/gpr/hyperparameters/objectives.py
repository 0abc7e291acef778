"""How good one set of hyperparameters is: log marginal likelihood, leave-one-out, errors on held-out data.

Owns one evaluation (that of the likelihood with its gradient) on few structures; `search` looks for the best.
Prior mean and signal variance are in closed form, so they never appear as parameters. Directions that the
descriptor cannot see are left out from the start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.gpr.covariance.image_pairs import make_covariance
from aenet_gpr_cli.gpr.covariance.observation_order import ones_on_energies, row_views, rows_of, stack_rows
from aenet_gpr_cli.gpr.covariance.seen_directions import DirectionalPoints, Directions
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import LengthScaleDerivative, make_kernel
from aenet_gpr_cli.gpr.process_settings import Hyperparameters
from aenet_gpr_cli.gpr.regression.conditioning import (
    centred_targets,
    closed_form_signal,
    log_marginal_likelihood,
)
from aenet_gpr_cli.gpr.regression.structure_distances import typical_distance
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver
from aenet_gpr_cli.jit import loop
from aenet_gpr_cli.structures import FloatArray, StructureSet


@dataclass(frozen=True, slots=True)
class Score:
    """How good one set of hyperparameters is.

    Attributes
    ----------
    value : float, dimensionless
        Log marginal likelihood, or minus the logarithm of errors times observations; larger is better.
    gradient : ndarray of shape (3,) or None
        With respect to the logarithms of the hyperparameters.
    signal_std : float, eV
    """

    value: float
    gradient: FloatArray | None
    signal_std: float


@loop
def _trace_of_product(a: FloatArray, b: FloatArray) -> float:
    """tr(AB) of symmetric matrices of which the lower triangles are known."""
    total = 0.0
    for i in range(len(a)):
        row = 0.0
        for j in range(i):
            row += a[i, j] * b[i, j]
        total += 2.0 * row + a[i, i] * b[i, i]
    return total


@dataclass(frozen=True, slots=True)
class Problem:
    """Data of few structures, prepared for many evaluations.

    Attributes
    ----------
    points : DirectionalPoints
    origin : ndarray of shape (n_features,)
        Of one centre; with several, the kernel is the mean over pairs of them, see `centre_pairs`.
    targets : ndarray of shape (n_rows,)
        Energies, and gradients along the directions.
    kernel : str
    max_jitter : float
        See `CholeskySolver`.
    """

    points: DirectionalPoints
    origin: FloatArray
    targets: FloatArray
    kernel: str
    max_jitter: float

    @classmethod
    def of(
        cls,
        structures: StructureSet,
        descriptor: Descriptor,
        kernel: str,
        max_jitter: float,
        n_centres: int = 1,
    ) -> Problem:
        """Return the problem of ``structures``, with energies and forces."""
        energies, gradients, _ = centred_targets(structures)
        points = descriptor.linearise(structures.positions)
        directions = Directions.of(points)
        seen = directions.n_seen
        along = np.einsum("nar,na->nr", directions.q[:, :, :seen], gradients.reshape(len(energies), -1))
        reduced = directions.restrict(points, slice(None), seen)
        origin = points.values.reshape(-1, descriptor.n_features // n_centres).mean(axis=0)
        return cls(reduced, origin, stack_rows(energies, along), kernel, max_jitter)

    @property
    def n_structures(self) -> int:
        """Number of structures."""
        return len(self.points.values)

    def typical_distance(self) -> float:
        """Return the median distance of two structures (of their first centres), unit of the descriptor."""
        return typical_distance(self.points.values[:, : len(self.origin)])

    def likelihood(self, parameters: Hyperparameters, with_gradient: bool) -> Score:
        """Return the log marginal likelihood at the best prior mean and signal variance.

        ∂/∂θ = αᵀ(∂K/∂θ)α / 2w² - ½ tr(K⁻¹ ∂K/∂θ), α = K⁻¹(y - mu) (Rasmussen and Williams, eq. 5.9; the
        maximum over m and w adds nothing).

        Raises
        ------
        NumericalError
            If the covariance cannot be factorised.

        Notes
        -----
        n_rows³/3 operations, with the gradient n_rows³ and a second matrix.
        """
        covariance, solver, weights, signal_std = self._solve(parameters)
        value = log_marginal_likelihood(signal_std, solver.log_determinant, len(self.targets))
        if not with_gradient:
            return Score(value, None, signal_std)
        inverse = solver.inverse_upper()
        slopes = replace(covariance, kernel=LengthScaleDerivative(covariance.kernel))
        change = slopes.dense()
        trace = _trace_of_product(inverse.T, change)
        fits = float(weights @ slopes.product(weights[:, None])[:, 0])
        gradient = [float(0.5 * (fits / signal_std**2 - trace))]
        excess = weights**2 / signal_std**2 - np.einsum("ii->i", inverse)
        noises = parameters.noise_energy, parameters.noise_force
        for part, noise in zip(row_views(excess, self.n_structures), noises, strict=True):
            gradient.append(float(noise**2 * part.sum()))
        return Score(value, np.array(gradient), signal_std)

    def leave_one_out(self, parameters: Hyperparameters) -> Score:
        """Return minus the logarithm of the errors of predicting each structure from all others.

        -½ log(RMSE of energies × RMSE of forces), for each observation. With α = K⁻¹(y - mu) and the block
        B_i of K⁻¹ of structure i, its errors are B_i⁻¹α_i (Rasmussen and Williams, section 5.4.2, for
        blocks). Unlike a probability, errors do not depend on how σ is calibrated.

        Raises
        ------
        NumericalError
            If the covariance cannot be factorised.
        """
        _, solver, weights, signal_std = self._solve(parameters)
        n, inverse, errors = self.n_structures, solver.inverse_upper(), np.empty_like(weights)
        for i in range(n):
            own = rows_of(np.array([i]), n, len(weights))
            block = inverse[np.ix_(own, own)]
            errors[own] = np.linalg.solve(np.triu(block) + np.triu(block, 1).T, weights[own])
        return Score(self._score(*row_views(errors, n)), None, signal_std)

    def _score(self, energy_errors: FloatArray, force_errors: FloatArray) -> float:
        product = float(np.square(energy_errors).mean() * np.square(force_errors).mean())
        return -0.25 * np.log(max(product, np.finfo(float).tiny)) * len(self.targets)

    def held_out(self, parameters: Hyperparameters, n_held_out: int) -> Score:
        """Return minus the logarithm of the errors on the last structures, predicted from the others.

        -½ log(RMSE of energies × RMSE of forces), for each observation; the paper compares energies alone.

        Parameters
        ----------
        n_held_out : int
            At least 1, and fewer than the structures.

        Returns
        -------
        Score
            ``signal_std`` is that of the others.

        Raises
        ------
        NumericalError
            If the covariance cannot be factorised.
        """
        n, whole = self.n_structures, self._covariance(parameters)
        kept = n - n_held_out
        rows = rows_of(np.arange(kept), n, len(self.targets))
        part, targets = whole.select(slice(0, kept)), self.targets[rows]
        solver = CholeskySolver(part, parameters.noise_energy, parameters.noise_force, self.max_jitter)
        unit = ones_on_energies(kept, len(targets))
        weights, mean = solver.solve_centred(targets, unit)
        scattered = np.zeros((len(self.targets), 1))
        scattered[rows, 0] = weights
        errors = whole.product(scattered)[:, 0] + mean * ones_on_energies(n, len(self.targets)) - self.targets
        signal_std = closed_form_signal(targets - mean * unit, weights)
        return Score(self._score(*(v[kept:] for v in row_views(errors, n))), None, signal_std)

    def _covariance(self, parameters: Hyperparameters) -> Covariance:
        kernel = make_kernel(self.kernel, parameters.length_scale)
        return make_covariance(kernel, self.points, self.origin, self.points.transposed.shape[1] // 3)

    def _solve(self, parameters: Hyperparameters) -> tuple[Covariance, CholeskySolver, FloatArray, float]:
        covariance = self._covariance(parameters)
        solver = CholeskySolver(covariance, parameters.noise_energy, parameters.noise_force, self.max_jitter)
        unit = ones_on_energies(self.n_structures, len(self.targets))
        weights, mean = solver.solve_centred(self.targets, unit)
        return covariance, solver, weights, closed_form_signal(self.targets - mean * unit, weights)
