"""How good one set of hyperparameters is: log marginal likelihood, leave-one-out, errors on held-out data.

Owns one evaluation (with its gradient) on few structures; the search is `optimisation`'s. Prior mean and
signal variance are in closed form, so they never appear as parameters. Directions that the descriptor cannot
see are left out from the start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.gpr.covariance.observation_order import stack_rows
from aenet_gpr_cli.gpr.covariance.stiff_directions import DirectionalPoints, Directions
from aenet_gpr_cli.gpr.hyperparameters.length_units import typical_distance
from aenet_gpr_cli.gpr.kernels.stationary import LengthScaleDerivative, make_kernel
from aenet_gpr_cli.gpr.regression.gp_model import centred_targets, make_covariance
from aenet_gpr_cli.gpr.regression.prior import energy_rows, from_weights, log_marginal_likelihood
from aenet_gpr_cli.gpr.solvers.cholesky import AnyCovariance, CholeskySolver
from aenet_gpr_cli.structures import FloatArray, StructureSet


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What the likelihood is maximised over.

    Attributes
    ----------
    length_scale : float, unit of the descriptor
    noise_energy : float, dimensionless
        Noise standard deviation of energies relative to the signal standard deviation.
    noise_force : float, 1/Å
        The same for force components.
    """

    length_scale: float
    noise_energy: float
    noise_force: float

    @property
    def logs(self) -> FloatArray:
        """Logarithms, in the order of the attributes."""
        return np.log([self.length_scale, self.noise_energy, self.noise_force])

    @classmethod
    def from_logs(cls, logs: FloatArray) -> Hyperparameters:
        """Undo ``logs``.

        Parameters
        ----------
        logs : ndarray of shape (3,)

        Returns
        -------
        Hyperparameters
        """
        return cls(*(float(v) for v in np.exp(logs)))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one set of hyperparameters gives.

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


@dataclass(frozen=True, slots=True)
class Problem:
    """Data of few structures, prepared for many evaluations.

    Attributes
    ----------
    points : DirectionalPoints
    origin : ndarray of shape (n_features,)
    targets : ndarray of shape (n_rows,)
        Energies, and gradients along the directions.
    kernel : str
    max_jitter : float
        See `CholeskySolver`.
    n_centres : int
        Above 1: the kernel is the mean over pairs of centres (or images), see `centre_pairs`.
    """

    points: DirectionalPoints
    origin: FloatArray
    targets: FloatArray
    kernel: str
    max_jitter: float
    n_centres: int = 1

    @classmethod
    def of(
        cls,
        structures: StructureSet,
        descriptor: Descriptor,
        kernel: str,
        max_jitter: float,
        n_centres: int = 1,
    ) -> Problem:
        """Return the problem of ``structures``.

        Parameters
        ----------
        structures : StructureSet
            With energies and forces.
        descriptor : Descriptor
        kernel : str
        max_jitter : float
        n_centres : int

        Returns
        -------
        Problem
        """
        energies, gradients, _ = centred_targets(structures)
        points = descriptor.linearize(structures.positions)
        directions = Directions.of(points)
        seen = directions.n_seen
        along = np.einsum("nar,na->nr", directions.q[:, :, :seen], gradients.reshape(len(energies), -1))
        reduced = directions.restrict(points, slice(None), seen)
        origin = points.values.reshape(-1, descriptor.n_features // n_centres).mean(axis=0)
        return cls(reduced, origin, stack_rows(energies, along), kernel, max_jitter, n_centres)

    @property
    def n_structures(self) -> int:
        """Number of structures."""
        return len(self.points.values)

    def typical_distance(self) -> float:
        """Return the median distance of two structures (of their first centres), unit of the descriptor.

        Returns
        -------
        float
        """
        return typical_distance(self.points.values[:, : len(self.origin)])

    def likelihood(self, parameters: Hyperparameters, with_gradient: bool) -> Evidence:
        """Return the log marginal likelihood at the best prior mean and signal variance.

        ∂/∂θ = αᵀ(∂K/∂θ)α / 2w² - ½ tr(K⁻¹ ∂K/∂θ), α = K⁻¹(y - mu) (Rasmussen and Williams, eq. 5.9; the
        maximum over m and w adds nothing).

        Parameters
        ----------
        parameters : Hyperparameters
        with_gradient : bool

        Returns
        -------
        Evidence

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
            return Evidence(value, None, signal_std)
        n, inverse = self.n_structures, solver.inverse_upper()
        slopes = replace(covariance, kernel=LengthScaleDerivative(covariance.kernel))
        change = slopes.dense()
        # the transpose of what is stored is a lower triangle: both are read in the same order
        upper = np.triu(inverse).T
        trace = 2.0 * np.vdot(upper, change) - float(np.einsum("ii,ii->", inverse, change))
        fits = float(weights @ slopes.product(weights[:, None])[:, 0])
        gradient = [float(0.5 * (fits / signal_std**2 - trace))]
        own, squares = np.einsum("ii->i", inverse), weights**2 / signal_std**2
        for rows, noise in ((slice(0, n), parameters.noise_energy), (slice(n, None), parameters.noise_force)):
            gradient.append(float(noise**2 * (squares[rows] - own[rows]).sum()))
        return Evidence(value, np.array(gradient), signal_std)

    def leave_one_out(self, parameters: Hyperparameters) -> Evidence:
        """Return minus the logarithm of the errors of predicting each structure from all others.

        -½ log(RMSE of energies × RMSE of forces), for each observation. With α = K⁻¹(y - mu) and the block
        B_i of K⁻¹ of structure i, its errors are B_i⁻¹α_i (Rasmussen and Williams, section 5.4.2, for
        blocks). Unlike a probability, errors do not depend on how σ is calibrated.

        Parameters
        ----------
        parameters : Hyperparameters

        Returns
        -------
        Evidence

        Raises
        ------
        NumericalError
            If the covariance cannot be factorised.
        """
        covariance, solver, weights, signal_std = self._solve(parameters)
        n, width, inverse = self.n_structures, 3 * covariance.n_atoms, solver.inverse_upper()
        errors = np.empty((n, 1 + width))
        for i in range(n):
            own = np.concatenate([[i], n + i * width + np.arange(width)])
            block = inverse[np.ix_(own, own)]
            errors[i] = np.linalg.solve(np.triu(block) + np.triu(block, 1).T, weights[own])
        return Evidence(self._score(errors[:, 0], errors[:, 1:]), None, signal_std)

    def _score(self, energy_errors: FloatArray, force_errors: FloatArray) -> float:
        product = float(np.square(energy_errors).mean() * np.square(force_errors).mean())
        return -0.25 * np.log(max(product, np.finfo(float).tiny)) * len(self.targets)

    def held_out(self, parameters: Hyperparameters, n_held_out: int) -> Evidence:
        """Return minus the logarithm of the errors on the last structures, predicted from the others.

        -½ log(RMSE of energies × RMSE of forces), for each observation; the paper compares energies alone.

        Parameters
        ----------
        parameters : Hyperparameters
        n_held_out : int
            At least 1, and fewer than the structures.

        Returns
        -------
        Evidence
            ``signal_std`` is that of the others.

        Raises
        ------
        NumericalError
            If the covariance cannot be factorised.
        """
        n, whole = self.n_structures, self._covariance(parameters)
        width = 3 * whole.n_atoms
        kept = n - n_held_out
        rows = np.concatenate([np.arange(kept), n + np.arange(kept * width)])
        part, targets = whole.select(slice(0, kept)), self.targets[rows]
        solver = CholeskySolver(part, parameters.noise_energy, parameters.noise_force, self.max_jitter)
        unit = energy_rows(kept, len(targets))
        weights, mean = solver.solve_centred(targets, unit)
        scattered = np.zeros((len(self.targets), 1))
        scattered[rows, 0] = weights
        errors = whole.product(scattered)[:, 0] + mean * energy_rows(n, len(self.targets)) - self.targets
        signal_std = from_weights(targets, unit, weights, mean, 0).signal_std
        return Evidence(self._score(errors[kept:n], errors[n + kept * width :]), None, signal_std)

    def _covariance(self, parameters: Hyperparameters) -> AnyCovariance:
        kernel = make_kernel(self.kernel, parameters.length_scale)
        n_atoms = self.points.transposed.shape[1] // 3
        return make_covariance(kernel, self.points, self.origin, n_atoms, self.n_centres)

    def _solve(self, parameters: Hyperparameters) -> tuple[AnyCovariance, CholeskySolver, FloatArray, float]:
        covariance = self._covariance(parameters)
        solver = CholeskySolver(covariance, parameters.noise_energy, parameters.noise_force, self.max_jitter)
        unit = energy_rows(self.n_structures, len(self.targets))
        weights, mean = solver.solve_centred(self.targets, unit)
        return covariance, solver, weights, from_weights(self.targets, unit, weights, mean, 0).signal_std
