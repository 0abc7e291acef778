"""Standard deviation of predicted energies: exact, and a rigorous upper bound at a fixed cost.

σ is that of the energy itself (noise of a new measurement not included), the prior mean taken as known.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.interface.feature_distances import farthest_points
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.gpr.covariance.cross import Observations
from aenet_gpr_cli.gpr.covariance.observation_order import n_rows
from aenet_gpr_cli.gpr.covariance.seen_directions import Directions
from aenet_gpr_cli.gpr.regression.gp_model import GPModel
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver, Solver, choose_solver, dense_bytes
from aenet_gpr_cli.structures import FloatArray
from aenet_gpr_cli.units import BYTES_PER_GIB

SIGMA_BLOCK = 256  # structures per triangular solve: wide enough for BLAS-3, n_rows * 256 numbers
RATE = 3e10  # operations of one core in a second, for forecasts: of factor and triangular solves
BOUND_JITTER = 1e-8  # relative; conditioning on data with more noise still bounds σ from above
KEPT_DIRECTIONS = 0.6  # of those seen; measured: more structures with fewer directions give looser bounds


def energy_sigma(model: GPModel, descriptor: Descriptor, positions: FloatArray, solver: Solver) -> FloatArray:
    """Return the exact posterior standard deviation of each energy.

    σ² = w² (k_** - k_*ᵀ (K + noise)⁻¹ k_*), k_** the prior variance (1 for one centre) and k_* the
    covariance of the energy with all observations.

    Parameters
    ----------
    descriptor : Descriptor
        The one the model was fitted with.
    positions : ndarray of shape (n_structures, n_atoms, 3), Å
    solver : Solver
        Of the model, for example from `refactorise`.

    Returns
    -------
    ndarray of shape (n_structures,), eV

    Notes
    -----
    One triangular solve with n_rows² operations per structure (Cholesky), one full solve otherwise.
    """
    covariance = model.covariance(descriptor)
    out = np.empty(len(positions))
    for start in range(0, len(positions), SIGMA_BLOCK):
        rows = slice(start, start + SIGMA_BLOCK)
        values = descriptor.values(positions[rows])
        columns = covariance.energy_columns(values)
        if isinstance(solver, CholeskySolver):
            half = solver.half_solve(columns)
            explained = np.einsum("ib,ib->b", half, half)
        else:
            explained = np.einsum("ib,ib->b", columns, solver.solve(columns))
        out[rows] = scaled_sigma(model, covariance.energy_variances(values) - explained)
    return out


def refactorise(model: GPModel, descriptor: Descriptor, max_jitter: float) -> CholeskySolver:
    """Return the Cholesky solver of a stored model; as costly as the dense fit.

    Parameters
    ----------
    descriptor : Descriptor
        The one the model was fitted with.
    max_jitter : float
        See `CholeskySolver`.
    """
    return CholeskySolver(model.covariance(descriptor), model.noise_energy, model.noise_force, max_jitter)


def exact_sigma_cost(n_structures: int, n_atoms: int, max_bytes: float) -> str:
    """Say what exact σ of a full process takes, before it is computed.

    Parameters
    ----------
    n_structures, n_atoms : int
        Of the training data.
    max_bytes : float
        Memory that a factorisation may take.
    """
    rows, gib = n_rows(n_structures, n_atoms), dense_bytes(n_structures, n_atoms) / BYTES_PER_GIB
    if choose_solver(n_structures, n_atoms, max_bytes) != "cholesky":
        return (
            f"exact σ solves a system of {rows} rows for every structure, as the factor of {gib:.2f} GiB "
            "does not fit into the memory allowed; sigma: bound takes far less"
        )
    return (
        f"exact σ factorises {rows} rows again: {gib:.2f} GiB, about {rows**3 / 3 / RATE:.2g} s of one core, "
        f"then {1e3 * rows**2 / RATE:.2g} ms for every structure"
    )


class EnergySigmaBound:
    """Upper bound of the posterior standard deviation of energies, at a fixed cost per structure.

    Conditions on part of the training data only, see `covering_observations`.

    Parameters
    ----------
    descriptor : Descriptor
        The one the model was fitted with.
    max_rows : int
        Observations to condition on; σ is exact where the data have no more.

    Raises
    ------
    ConfigError
        If ``max_rows`` is below 1.

    Notes
    -----
    max_rows³/3 operations and max_rows² numbers once; max_rows² operations per structure.
    """

    def __init__(self, model: GPModel, descriptor: Descriptor, max_rows: int) -> None:
        self._model, self._descriptor = model, descriptor
        self._observations, self._solver = covering_observations(model, descriptor, max_rows)

    @property
    def n_rows(self) -> int:
        """Observations behind every bound."""
        return self._observations.covariance.n_rows

    def __call__(self, positions: FloatArray) -> FloatArray:
        """Return the bound for each structure, (n_structures, n_atoms, 3) Å -> (n_structures,) eV."""
        out = np.empty(len(positions))
        for start in range(0, len(positions), SIGMA_BLOCK):
            rows = slice(start, start + SIGMA_BLOCK)
            values = self._descriptor.values(positions[rows])
            columns = self._observations.columns(values)
            half = self._solver.half_solve(columns[..., 0])
            prior = self._observations.covariance.energy_variances(values)
            out[rows] = prior - np.einsum("ib,ib->b", half, half)
        return scaled_sigma(self._model, out)


def covering_observations(
    model: GPModel, descriptor: Descriptor, max_rows: int
) -> tuple[Observations, CholeskySolver]:
    """Return the most informative part of the training data, with the factor of its covariance.

    Conditioning on less never lowers a variance. Taken are structures that cover the set, and of these the
    energy and the gradient along the stiffest directions.

    Parameters
    ----------
    descriptor : Descriptor
        The one the model was fitted with.
    max_rows : int
        Observations to keep; all that the descriptor sees where the data have no more.

    Raises
    ------
    ConfigError
        If ``max_rows`` is below 1.
    """
    if max_rows < 1:
        raise ConfigError(f"max_rows: expected at least 1, got {max_rows}")
    covariance = model.covariance(descriptor)
    directions = Directions.of(covariance.points)
    kept = _directions_to_keep(model.n_structures, directions.n_seen, max_rows)
    count = min(model.n_structures, max(1, max_rows // (1 + kept)))
    chosen = farthest_points(covariance.points.values, count)
    observations = Observations(covariance, directions.restrict(covariance.points, chosen, kept))
    noise = model.noise_energy, model.noise_force
    return observations, CholeskySolver(observations.covariance, *noise, BOUND_JITTER)


def _directions_to_keep(n_structures: int, n_seen: int, max_rows: int) -> int:
    """All directions if they fit; else as many as do, but not so few that structures are preferable."""
    fitting = 3 * max(1, (max_rows // n_structures - 1) // 3)
    return min(n_seen, max(fitting, 3 * round(KEPT_DIRECTIONS * n_seen / 3)))


def scaled_sigma(model: GPModel, variance: FloatArray) -> FloatArray:
    """Return σ (eV, eV/Å) from variances for unit signal variance (dimensionless, 1/Å²).

    Raises
    ------
    InputError
        If a variance is not finite.
    """
    if not np.isfinite(variance).all():
        raise InputError("sigma: a structure has descriptors that are not finite")
    # rounding may push a variance of zero slightly below it
    return model.signal_std * np.sqrt(np.maximum(variance, 0.0))
