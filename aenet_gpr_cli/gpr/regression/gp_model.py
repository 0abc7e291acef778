"""Conditioning a Gaussian process on energies and forces, and predicting with it.

`GPModel` holds arrays and scalars only, so that it can be stored; the descriptor is passed beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor, Linearization
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.covariance.centre_pairs import CentrePairCovariance
from aenet_gpr_cli.gpr.covariance.null_space import expressible
from aenet_gpr_cli.gpr.covariance.observation_order import split_rows, stack_rows
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.expansion import expand, squared_distances
from aenet_gpr_cli.gpr.kernels.stationary import Kernel, make_kernel
from aenet_gpr_cli.gpr.regression.prior import energy_rows, from_weights, log_marginal_likelihood
from aenet_gpr_cli.gpr.solvers.cholesky import AnyCovariance, Solver
from aenet_gpr_cli.structures import FloatArray, StructureSet

PREDICTION_BLOCK = 1024  # structures labelled at a time: bounds the memory of descriptors and kernel values

SolverFactory = Callable[[AnyCovariance, float, float], Solver]


@dataclass(frozen=True, slots=True)
class GPModel:
    """A Gaussian process conditioned on energies and forces of one subset.

    Attributes
    ----------
    kernel : str
        Name of the kernel.
    length_scale : float, unit of the descriptor
        The paper's scale.
    signal_std : float, eV
        The paper's weight w.
    prior_mean : float, eV
        Constant prior mean of the total energy.
    noise_energy : float, dimensionless
        Noise standard deviation of energies relative to ``signal_std``.
    noise_force : float, 1/Å
        The same for force components.
    training_positions : ndarray of shape (n_structures, n_atoms, 3), Å
    origin : ndarray of shape (n_features,)
        Mean descriptor, subtracted before any product.
    training_x : ndarray of shape (n_structures * n_centres, n_features)
        Centred descriptors; with several centres (see `centre_pairs`), one row per centre.
    energy_weights : ndarray of shape (n_structures * n_centres,), eV
        Weights a of the energies.
    descriptor_weights : ndarray of shape (n_structures * n_centres, n_features)
        Weights of the gradients, contracted: U_j = J_j B_j.
    log_marginal_likelihood : float or None
        None where the solver does not give the determinant.
    jitter : float
        Variance added to the diagonal beyond the noise, for unit signal variance.
    net_force_rms : float, eV/Å
        Root mean square, per component, of the force data that the descriptor cannot express (net force and
        torque, where it is invariant); they were left out.
    solver : str
        Name of the solver.
    iterations : int
        Of an iterative solver, 0 for a direct one.
    residual : float
        Relative residual that it ended with.
    """

    kernel: str
    length_scale: float
    signal_std: float
    prior_mean: float
    noise_energy: float
    noise_force: float
    training_positions: FloatArray
    origin: FloatArray
    training_x: FloatArray
    energy_weights: FloatArray
    descriptor_weights: FloatArray
    log_marginal_likelihood: float | None
    jitter: float
    net_force_rms: float
    solver: str
    iterations: int
    residual: float

    @property
    def n_structures(self) -> int:
        """Number of training structures."""
        return len(self.training_positions)

    @property
    def n_atoms(self) -> int:
        """Atoms per structure."""
        return self.training_positions.shape[1]

    @property
    def n_centres(self) -> int:
        """Rows of ``training_x`` per structure."""
        return len(self.training_x) // self.n_structures

    @property
    def noise_std_energy(self) -> float:
        """Noise standard deviation of energies, eV."""
        return self.signal_std * self.noise_energy

    @property
    def noise_std_force(self) -> float:
        """Noise standard deviation of force components, eV/Å."""
        return self.signal_std * self.noise_force

    def make_kernel(self) -> Kernel:
        """Return the kernel with unit signal variance.

        Returns
        -------
        Kernel
        """
        return make_kernel(self.kernel, self.length_scale)

    def covariance(self, descriptor: Descriptor) -> AnyCovariance:
        """Return the covariance of the training data, noise excluded.

        Parameters
        ----------
        descriptor : Descriptor

        Returns
        -------
        Covariance or CentrePairCovariance
        """
        points, kernel = descriptor.linearize(self.training_positions), self.make_kernel()
        return make_covariance(kernel, points, self.origin, self.n_atoms, self.n_centres)


def make_covariance(
    kernel: Kernel, points: Linearization, origin: FloatArray, n_atoms: int, n_centres: int
) -> AnyCovariance:
    """Return the covariance of structures of one or several centres.

    Parameters
    ----------
    kernel : Kernel
    points : Linearization
        Descriptor at the structures.
    origin : ndarray of shape (n_features,)
        Of one centre.
    n_atoms : int
    n_centres : int

    Returns
    -------
    Covariance or CentrePairCovariance
    """
    if n_centres > 1:
        return CentrePairCovariance(kernel, points, origin, n_atoms, n_centres)
    return Covariance(kernel, points, origin, n_atoms)


def centred_targets(structures: StructureSet) -> tuple[FloatArray, FloatArray, float]:
    """Return the observations with a constant taken off the energies.

    Parameters
    ----------
    structures : StructureSet

    Returns
    -------
    energies : ndarray of shape (n_structures,), eV
        E - offset.
    gradients : ndarray of shape (n_structures, n_atoms, 3), eV/Å
        ∂E/∂R = -F.
    offset : float, eV
        Mean energy; subtracted early because total energies are large.

    Raises
    ------
    InputError
        If there is no structure, or energies or forces are missing.
    """
    if len(structures) == 0:
        raise InputError("Gaussian process: expected at least 1 training structure, got 0")
    if structures.energies is None or structures.forces is None:
        missing = "energies" if structures.energies is None else "forces"
        raise InputError(f"Gaussian process: {missing} are missing in at least one training structure")
    offset = float(structures.energies.mean())
    return structures.energies - offset, -structures.forces, offset


def fit(
    structures: StructureSet,
    descriptor: Descriptor,
    kernel: Kernel,
    noise_energy: float,
    noise_force: float,
    make_solver: SolverFactory,
    n_centres: int = 1,
) -> GPModel:
    """Condition a Gaussian process on the energies and forces of ``structures``.

    Parameters
    ----------
    structures : StructureSet
        Training data of one subset, with energies and forces.
    descriptor : Descriptor
    kernel : Kernel
    noise_energy : float, dimensionless
        Noise standard deviation of energies, relative to the signal standard deviation.
    noise_force : float, 1/Å
        The same for force components.
    make_solver : callable
        Gives the solver for (covariance, noise_energy, noise_force).
    n_centres : int
        Above 1: the descriptor is that of so many centres (or images under permutations), compared pair by
        pair, see `centre_pairs`.

    Returns
    -------
    GPModel

    Raises
    ------
    InputError
        If energies or forces are missing.
    NumericalError
        If the covariance cannot be factorised.
    """
    noise = noise_energy, noise_force
    return fit_with_solver(structures, descriptor, kernel, *noise, make_solver, n_centres)[0]


def fit_with_solver(
    structures: StructureSet,
    descriptor: Descriptor,
    kernel: Kernel,
    noise_energy: float,
    noise_force: float,
    make_solver: SolverFactory,
    n_centres: int = 1,
) -> tuple[GPModel, Solver]:
    """Condition a Gaussian process and keep its solver, for exact variances. See `fit`.

    Returns
    -------
    model : GPModel
    solver : Solver
    """
    energies, gradients, offset = centred_targets(structures)
    covariance = _covariance(kernel, descriptor, structures.positions, n_centres)
    expressed, n_null = expressible(covariance.points, gradients)
    rows = stack_rows(energies, expressed)
    solver = make_solver(covariance, noise_energy, noise_force)
    unit = energy_rows(len(structures), len(rows))
    weights, mean = solver.solve_centred(rows, unit)
    result = from_weights(rows, unit, weights, mean, n_null)
    energy_weights, gradient_weights = split_rows(result.weights, len(structures))
    likelihood = _likelihood(solver, result.signal_std, len(rows), n_null, noise_force)
    model = GPModel(
        kernel=kernel.name,
        length_scale=kernel.length_scale,
        signal_std=result.signal_std,
        prior_mean=offset + result.mean,
        noise_energy=noise_energy,
        noise_force=noise_force,
        training_positions=structures.positions,
        origin=covariance.origin,
        training_x=covariance.x,
        # every pair of centres counts C⁻² with the weight of its structure
        energy_weights=np.repeat(energy_weights, n_centres) / n_centres**2,
        descriptor_weights=covariance.points.jvp(gradient_weights).reshape(covariance.x.shape) / n_centres**2,
        log_marginal_likelihood=likelihood,
        jitter=solver.jitter,
        net_force_rms=float(np.sqrt(np.mean((gradients - expressed) ** 2))),
        solver=solver.name,
        iterations=solver.iterations,
        residual=solver.residual,
    )
    return model, solver


def _covariance(
    kernel: Kernel, descriptor: Descriptor, positions: FloatArray, n_centres: int
) -> AnyCovariance:
    if n_centres > 1:
        return CentrePairCovariance.of(kernel, descriptor, positions, n_centres)
    return Covariance.of(kernel, descriptor, positions)


def _likelihood(
    solver: Solver, signal_std: float, n_rows: int, n_null: int, noise_force: float
) -> float | None:
    if solver.log_determinant is None:
        return None
    variance = noise_force**2 + solver.jitter
    null = n_null * np.log(variance) if n_null else 0.0  # on null rows K is zero, only the noise is left
    return log_marginal_likelihood(signal_std, solver.log_determinant - null, n_rows - n_null)


def predict_energies(model: GPModel, descriptor: Descriptor, positions: FloatArray) -> FloatArray:
    """Return the posterior mean of the energy of each structure.

    E = m + Σ_j k a_j + k1 (x - x_j)·U_j: O(n p) per structure and no Jacobian of the new structures.

    Parameters
    ----------
    model : GPModel
    descriptor : Descriptor
        The one the model was fitted with, or of one image where that has images under permutations: all of
        those of a new structure say the same.
    positions : ndarray of shape (n_structures, n_atoms, 3), Å

    Returns
    -------
    ndarray of shape (n_structures,), eV
    """
    kernel, out, share = model.make_kernel(), np.empty(len(positions)), _share(model, descriptor)
    own_shift = np.einsum("jp,jp->j", model.training_x, model.descriptor_weights)
    for start in range(0, len(positions), PREDICTION_BLOCK):
        rows = slice(start, start + PREDICTION_BLOCK)
        x = _by_centre(model, descriptor.values(positions[rows]))
        k, k1, _ = kernel(squared_distances(x, model.training_x))
        s = x @ model.descriptor_weights.T - own_shift
        values = k @ model.energy_weights + np.einsum("ij,ij->i", k1, s)
        out[rows] = share * values.reshape(len(out[rows]), -1).sum(axis=1)
    return model.prior_mean + out


def predict_forces(model: GPModel, descriptor: Descriptor, positions: FloatArray) -> FloatArray:
    """Return the posterior mean of the forces of each structure.

    Parameters
    ----------
    model : GPModel
    descriptor : Descriptor
    positions : ndarray of shape (n_structures, n_atoms, 3), Å

    Returns
    -------
    ndarray of shape (n_structures, n_atoms, 3), eV/Å
        Physical forces, F = -∂E/∂R.
    """
    return predict(model, descriptor, positions)[1]


def predict(model: GPModel, descriptor: Descriptor, positions: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the posterior mean of energies and forces together.

    Parameters
    ----------
    model : GPModel
    descriptor : Descriptor
        See `predict_energies`.
    positions : ndarray of shape (n_structures, n_atoms, 3), Å

    Returns
    -------
    energies : ndarray of shape (n_structures,), eV
    forces : ndarray of shape (n_structures, n_atoms, 3), eV/Å
        Physical forces, F = -∂E/∂R.
    """
    kernel, share = model.make_kernel(), _share(model, descriptor)
    energies, forces = np.empty(len(positions)), np.empty(positions.shape)
    for start in range(0, len(positions), PREDICTION_BLOCK):
        rows = slice(start, start + PREDICTION_BLOCK)
        points = descriptor.linearize(positions[rows])
        x = _by_centre(model, points.values)
        table = kernel(squared_distances(x, model.training_x))
        values, slopes = expand(table, x, model.training_x, model.energy_weights, model.descriptor_weights)
        energies[rows] = share * values.reshape(len(points.values), -1).sum(axis=1)
        forces[rows] = -share * points.vjp(slopes.reshape(points.values.shape))
    return model.prior_mean + energies, forces


def _by_centre(model: GPModel, values: FloatArray) -> FloatArray:
    """Centred descriptors, one row per centre."""
    return values.reshape(-1, model.training_x.shape[1]) - model.origin


def _share(model: GPModel, descriptor: Descriptor) -> float:
    """Centres of a training structure for each of a new one."""
    return model.n_centres * model.training_x.shape[1] / descriptor.n_features
