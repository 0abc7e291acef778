"""A Gaussian process conditioned on energies and forces, and its predictions; the fit is `conditioning`'s.

`GPModel` holds arrays and scalars only, so that it can be stored; the descriptor is passed beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.interface.feature_distances import squared_distances
from aenet_gpr_cli.gpr.covariance.image_pairs import make_covariance
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.expansion import expand
from aenet_gpr_cli.gpr.kernels.stationary import Kernel, make_kernel
from aenet_gpr_cli.structures import FloatArray

PREDICTION_BLOCK = 1024  # structures labelled at a time: bounds the memory of descriptors and kernel values


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
        """Return the kernel with unit signal variance."""
        return make_kernel(self.kernel, self.length_scale)

    def covariance(self, descriptor: Descriptor) -> Covariance:
        """Return the covariance of the training data, noise excluded."""
        points = descriptor.linearise(self.training_positions)
        return make_covariance(self.make_kernel(), points, self.origin, self.n_atoms)


def predict_energies(model: GPModel, descriptor: Descriptor, positions: FloatArray) -> FloatArray:
    """Return the posterior mean of the energy of each structure.

    E = m + Σ_j k a_j + k1 (x - x_j)·U_j: O(n p) per structure and no Jacobian of the new structures.

    Parameters
    ----------
    descriptor : Descriptor
        The one the model was fitted with, or of one image where that has images under permutations: the
        others give the same for a new structure.
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


def predict(model: GPModel, descriptor: Descriptor, positions: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the posterior mean of energies and forces together.

    Parameters
    ----------
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
        points = descriptor.linearise(positions[rows])
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
