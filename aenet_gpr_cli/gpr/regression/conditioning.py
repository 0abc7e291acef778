"""Conditioning a Gaussian process on energies and forces.

Constant prior mean m and signal variance w² are in closed form: both maximise the log marginal likelihood
exactly for given length scale and noise (relative to the signal variance), so the search for hyperparameters
never sees them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.errors import InputError, NumericalError
from aenet_gpr_cli.gpr.covariance.image_pairs import covariance_at
from aenet_gpr_cli.gpr.covariance.observation_order import ones_on_energies, split_rows, stack_rows
from aenet_gpr_cli.gpr.covariance.seen_directions import expressible
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import Kernel
from aenet_gpr_cli.gpr.regression.gp_model import GPModel
from aenet_gpr_cli.gpr.solvers.cholesky import Solver
from aenet_gpr_cli.structures import FloatArray, StructureSet

SolverFactory = Callable[[Covariance, float, float], Solver]


def centred_targets(structures: StructureSet) -> tuple[FloatArray, FloatArray, float]:
    """Return the observations with a constant taken off the energies.

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
    noise_energy : float, dimensionless
        Noise standard deviation of energies, relative to the signal standard deviation.
    noise_force : float, 1/Å
        The same for force components.
    make_solver : callable
        Gives the solver for (covariance, noise_energy, noise_force).
    n_centres : int
        Above 1: the descriptor is that of so many centres (or images under permutations), compared pair by
        pair, see `centre_pairs`.

    Raises
    ------
    InputError
        If energies or forces are missing.
    NumericalError
        If the covariance cannot be factorised.
    """
    energies, gradients, offset = centred_targets(structures)
    covariance = covariance_at(kernel, descriptor, structures.positions, n_centres)
    expressed, n_null = expressible(covariance.own, gradients)
    rows = stack_rows(energies, expressed)
    solver = make_solver(covariance, noise_energy, noise_force)
    unit = ones_on_energies(len(structures), len(rows))
    weights, mean = solver.solve_centred(rows, unit)
    signal_std = closed_form_signal(rows - mean * unit, weights, n_null)
    return GPModel(
        kernel=kernel.name,
        length_scale=kernel.length_scale,
        signal_std=signal_std,
        prior_mean=offset + mean,
        noise_energy=noise_energy,
        noise_force=noise_force,
        training_positions=structures.positions,
        **expansion_weights(covariance, weights),
        log_marginal_likelihood=_likelihood(solver, signal_std, len(rows), n_null, noise_force),
        jitter=solver.jitter,
        net_force_rms=float(np.sqrt(np.mean((gradients - expressed) ** 2))),
        solver=solver.name,
        iterations=solver.iterations,
        residual=solver.residual,
    )


def expansion_weights(covariance: Covariance, weights: FloatArray) -> dict[str, FloatArray]:
    """Return what predictions need of the training data, as `GPModel` names it.

    Parameters
    ----------
    weights : ndarray of shape (n_rows,)
        (K + noise)⁻¹(y - mu).
    """
    energy_weights, gradient_weights = split_rows(weights, covariance.n_structures)
    x, size = covariance.x, covariance.n_centres
    return {
        "origin": covariance.origin,
        "training_x": x,
        # every pair of centres counts C⁻² with the weight of its structure
        "energy_weights": np.repeat(energy_weights, size) / size**2,
        "descriptor_weights": covariance.points.jvp(gradient_weights).reshape(x.shape) / size**2,
    }


def closed_form_signal(residual: FloatArray, weights: FloatArray, n_null: int = 0) -> float:
    """Return the signal standard deviation (the paper's weight), w² = (y-mu)ᵀK⁻¹(y-mu) / (n_rows - n_null).

    Parameters
    ----------
    residual, weights : ndarray of shape (n_rows,)
        y - mu and K⁻¹(y - mu) for unit signal variance, noise included.
    n_null : int
        Dimensions that the descriptor cannot express and that are zero in ``residual``, see `expressible`.

    Returns
    -------
    float, eV

    Raises
    ------
    NumericalError
        If the quadratic form is not positive: K was not positive definite to working precision.
    """
    variance = float(residual @ weights) / (len(residual) - n_null)
    if not variance >= 0.0 or not np.isfinite(variance):
        raise NumericalError(
            f"signal variance: expected a positive number, got {variance:.3g}; "
            "the covariance is singular to working precision: raise the noise or shorten length_scale"
        )
    return float(np.sqrt(variance))


def log_marginal_likelihood(signal_std: float, log_determinant: float, n_rows: int) -> float:
    """Return the log marginal likelihood at the closed-form mean and signal variance.

    -½ N log w² - ½ log|K| - ½ N (1 + log 2π), K for unit signal variance (Rasmussen and Williams,
    eq. 5.8, with w² at its maximum).

    Parameters
    ----------
    signal_std : float, eV
    log_determinant : float
        log|K|, noise included, without the dimensions that the descriptor cannot express.
    n_rows : int
        Number of observations, without the same dimensions.

    Returns
    -------
    float, dimensionless
    """
    scale = np.log(max(signal_std, np.finfo(float).tiny))
    return float(-n_rows * scale - 0.5 * log_determinant - 0.5 * n_rows * (1.0 + np.log(2.0 * np.pi)))


def _likelihood(
    solver: Solver, signal_std: float, n_rows: int, n_null: int, noise_force: float
) -> float | None:
    if solver.log_determinant is None:
        return None
    variance = noise_force**2 + solver.jitter
    null = n_null * np.log(variance) if n_null else 0.0  # on null rows K is zero, only the noise is left
    return log_marginal_likelihood(signal_std, solver.log_determinant - null, n_rows - n_null)
