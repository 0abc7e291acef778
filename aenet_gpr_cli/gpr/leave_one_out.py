"""Leave-one-structure-out predictions: in closed form from one factorisation, or of a sample without it.

Judges descriptors, kernels and the calibration of σ on training data alone. Leaving a structure out
removes its energy and all its forces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.base import Descriptor
from aenet_gpr_cli.gpr.conjugate_gradient import ConjugateGradientSolver
from aenet_gpr_cli.gpr.covariance import Covariance
from aenet_gpr_cli.gpr.invariance import expressible
from aenet_gpr_cli.gpr.kernels import Kernel
from aenet_gpr_cli.gpr.prior import closed_form, energy_rows, from_weights
from aenet_gpr_cli.gpr.regression import centred_targets
from aenet_gpr_cli.gpr.rows import stack_rows
from aenet_gpr_cli.gpr.solvers import CholeskySolver
from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet


@dataclass(frozen=True, slots=True)
class LeaveOneOut:
    """Errors of predicting each structure from all others.

    Attributes
    ----------
    energy_errors : ndarray of shape (n_structures,), eV
        Predicted minus reference.
    force_errors : ndarray of shape (n_structures, n_atoms, 3), eV/Å
        The same for physical forces.
    energy_sigma : ndarray of shape (n_structures,), eV
        Standard deviation of the left-out energy, its noise included.
    """

    energy_errors: FloatArray
    force_errors: FloatArray
    energy_sigma: FloatArray

    @property
    def energy_mae(self) -> float:
        """Mean absolute error of the energy, eV."""
        return float(np.abs(self.energy_errors).mean())

    @property
    def force_component_mae(self) -> float:
        """Mean absolute error of a force component, eV/Å."""
        return float(np.abs(self.force_errors).mean())


def leave_one_out(
    structures: StructureSet,
    descriptor: Descriptor,
    kernel: Kernel,
    noise_energy: float,
    noise_force: float,
    max_jitter: float,
) -> LeaveOneOut:
    """Predict every structure from all others.

    With α = K⁻¹(y - mu) and the diagonal block B_i of K⁻¹ that belongs to structure i, the residual is
    y_i - μ_i = B_i⁻¹ α_i with covariance w² B_i⁻¹ (Rasmussen and Williams, section 5.4.2, for blocks).
    Prior mean and signal variance are those of all structures.

    Parameters
    ----------
    structures : StructureSet
        Training data with energies and forces.
    descriptor : Descriptor
    kernel : Kernel
    noise_energy : float, dimensionless
        Relative to the signal standard deviation.
    noise_force : float, 1/Å
        The same for force components.
    max_jitter : float
        See `CholeskySolver`.

    Returns
    -------
    LeaveOneOut

    Notes
    -----
    One Cholesky factorisation and its inverse: n_rows³ operations, two matrices of n_rows² numbers.
    """
    n, width = len(structures), 3 * structures.n_atoms
    energies, gradients, _ = centred_targets(structures)
    covariance = Covariance.of(kernel, descriptor, structures.positions)
    solver = CholeskySolver(covariance, noise_energy, noise_force, max_jitter)
    expressed, n_null = expressible(covariance.points, gradients)
    rows, unit = stack_rows(energies, expressed), energy_rows(n, covariance.n_rows)
    solved = solver.solve(np.column_stack([rows, unit]))
    result = closed_form(rows, unit, solved[:, 0], solved[:, 1], n_null)
    inverse = solver.inverse_upper()
    energy_errors, sigma, force_errors = np.empty(n), np.empty(n), np.empty((n, width))
    for i in range(n):
        own = np.concatenate([[i], n + i * width + np.arange(width)])
        block = np.linalg.inv(_symmetric(inverse[np.ix_(own, own)]))
        residual = block @ result.weights[own]
        # residuals are reference minus prediction, of E and of ∂E/∂R = -F
        energy_errors[i], force_errors[i] = -residual[0], residual[1:]
        sigma[i] = result.signal_std * np.sqrt(block[0, 0])
    return LeaveOneOut(energy_errors, force_errors.reshape(n, -1, 3), sigma)


def leave_one_out_sample(
    structures: StructureSet,
    descriptor: Descriptor,
    kernel: Kernel,
    noise_energy: float,
    noise_force: float,
    make_solver: Callable[[Covariance, float, float], ConjugateGradientSolver],
    chosen: IntArray,
) -> LeaveOneOut:
    """Predict some structures, each from all others, without a matrix.

    Every chosen structure is struck out of the system in a column of its own (two, with σ), and all columns
    are solved together. Prior mean and signal variance are those of all structures, as in `leave_one_out`.

    Parameters
    ----------
    structures : StructureSet
        Training data with energies and forces.
    descriptor : Descriptor
    kernel : Kernel
    noise_energy, noise_force : float
        See `leave_one_out`.
    make_solver : callable
        Gives the matrix-free solver for (covariance, noise_energy, noise_force).
    chosen : ndarray of int, shape (n_chosen,)
        Structures to predict: a seeded sample.

    Returns
    -------
    LeaveOneOut
        Of the chosen structures, in their order.

    Notes
    -----
    About 2 n_chosen solutions and as many vectors of n_rows numbers, times six.
    """
    n, width, count = len(structures), 3 * structures.n_atoms, len(chosen)
    energies, gradients, _ = centred_targets(structures)
    covariance = Covariance.of(kernel, descriptor, structures.positions)
    solver = make_solver(covariance, noise_energy, noise_force)
    expressed, n_null = expressible(covariance.points, gradients)
    rows, unit = stack_rows(energies, expressed), energy_rows(n, covariance.n_rows)
    weights, mean = solver.solve_centred(rows, unit)
    signal_std = from_weights(rows, unit, weights, mean, n_null).signal_std
    own = covariance.energy_columns(covariance.points.values[chosen])
    centred = rows - mean * unit
    solved = solver.solve_without(np.c_[np.tile(centred[:, None], count), own], np.r_[chosen, chosen])
    predicted = covariance.product(np.asfortranarray(solved[:, :count]))
    residual = centred[:, None] - predicted  # reference minus prediction, of E and of ∂E/∂R = -F
    column = np.arange(count)
    force_errors = residual[n:].reshape(n, width, count)[chosen, :, column]
    explained = np.einsum("rc,rc->c", own, solved[:, count:])
    prior = covariance.energy_variances(covariance.points.values[chosen]) + noise_energy**2
    sigma = signal_std * np.sqrt(np.maximum(prior - explained, 0.0))
    return LeaveOneOut(-residual[chosen, column], force_errors.reshape(count, -1, 3), sigma)


def _symmetric(upper: FloatArray) -> FloatArray:
    return np.triu(upper) + np.triu(upper, 1).T
