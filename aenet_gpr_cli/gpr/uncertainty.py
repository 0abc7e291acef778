"""Standard deviation of predicted energies: exact, and a rigorous upper bound for labelling in bulk.

σ is that of the energy itself (noise of a new measurement not included), the prior mean taken as known.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.descriptors.base import Descriptor
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.gpr.covariance import Covariance, squared_distances
from aenet_gpr_cli.gpr.regression import GPModel
from aenet_gpr_cli.gpr.solvers import CholeskySolver, Solver
from aenet_gpr_cli.structures import FloatArray

EXACT_BLOCK = 64  # structures per triangular solve: wide enough for BLAS-3, n_rows * 64 numbers
BOUND_JITTER = 1e-8  # a few structures conditioned with more noise still bound σ from above


def energy_sigma(model: GPModel, descriptor: Descriptor, positions: FloatArray, solver: Solver) -> FloatArray:
    """Return the exact posterior standard deviation of each energy.

    σ² = w² (1 - k_*ᵀ (K + noise)⁻¹ k_*), k_* the covariance of the energy with all observations.

    Parameters
    ----------
    model : GPModel
    descriptor : Descriptor
        The one the model was fitted with.
    positions : ndarray of shape (n_structures, n_atoms, 3), Å
    solver : Solver
        Of the model, from `fit_with_solver` or `refactorise`.

    Returns
    -------
    ndarray of shape (n_structures,), eV

    Notes
    -----
    One triangular solve with n_rows² operations per structure (Cholesky), one full solve otherwise.
    """
    covariance = model.covariance(descriptor)
    out = np.empty(len(positions))
    for start in range(0, len(positions), EXACT_BLOCK):
        rows = slice(start, start + EXACT_BLOCK)
        columns = covariance.energy_columns(descriptor.values(positions[rows]))
        if isinstance(solver, CholeskySolver):
            half = solver.half_solve(columns)
            explained = np.einsum("ib,ib->b", half, half)
        else:
            explained = np.einsum("ib,ib->b", columns, solver.solve(columns))
        out[rows] = _sigma(model, explained)
    return out


def refactorise(model: GPModel, descriptor: Descriptor, max_jitter: float) -> CholeskySolver:
    """Return the Cholesky solver of a stored model.

    Parameters
    ----------
    model : GPModel
    descriptor : Descriptor
        The one the model was fitted with.
    max_jitter : float
        See `CholeskySolver`.

    Returns
    -------
    CholeskySolver

    Notes
    -----
    As costly as the dense fit.
    """
    return CholeskySolver(model.covariance(descriptor), model.noise_energy, model.noise_force, max_jitter)


def energy_sigma_bound(
    model: GPModel, descriptor: Descriptor, positions: FloatArray, n_nearest: int
) -> FloatArray:
    """Return an upper bound of the posterior standard deviation of each energy.

    Conditions only on the ``n_nearest`` training structures around the one nearest to each new structure:
    less data never lowers the variance. One small factor per training structure serves all its copies.

    Parameters
    ----------
    model : GPModel
    descriptor : Descriptor
        The one the model was fitted with.
    positions : ndarray of shape (n_structures, n_atoms, 3), Å
    n_nearest : int
        At least 1; more gives a tighter bound.

    Returns
    -------
    ndarray of shape (n_structures,), eV

    Raises
    ------
    ConfigError
        If ``n_nearest`` is below 1.

    Notes
    -----
    A factorisation of size q(1+3N) per occupied training structure and one triangular solve of that size per
    new structure.
    """
    if n_nearest < 1:
        raise ConfigError(f"n_nearest: expected at least 1, got {n_nearest}")
    values = descriptor.values(positions)
    parents = np.argmin(squared_distances(values - model.origin, model.training_x), axis=1)
    between = squared_distances(model.training_x, model.training_x)
    covariance, out = model.covariance(descriptor), np.empty(len(positions))
    for parent in np.unique(parents):
        copies = np.flatnonzero(parents == parent)
        nearest = np.argsort(between[parent], kind="stable")[:n_nearest]
        out[copies] = _sigma(model, _explained(covariance.select(nearest), values[copies], model))
    return out


def _explained(covariance: Covariance, x: FloatArray, model: GPModel) -> FloatArray:
    """Variance explained by the data of ``covariance``, relative to the signal variance."""
    solver = CholeskySolver(covariance, model.noise_energy, model.noise_force, BOUND_JITTER)
    half = solver.half_solve(covariance.energy_columns(x))
    return np.einsum("ib,ib->b", half, half)


def _sigma(model: GPModel, explained: FloatArray) -> FloatArray:
    if not np.isfinite(explained).all():
        raise InputError("sigma: a structure has descriptors that are not finite")
    # rounding may push a variance of zero slightly below it
    return model.signal_std * np.sqrt(np.maximum(1.0 - explained, 0.0))
