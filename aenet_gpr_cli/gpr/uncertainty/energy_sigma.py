"""Standard deviation of predicted energies: exact, and a rigorous upper bound at a fixed cost.

σ is that of the energy itself (noise of a new measurement not included), the prior mean taken as known.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.covariance.observation_order import n_rows
from aenet_gpr_cli.gpr.regression.gp_model import GPModel
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver, Solver, choose_solver, dense_bytes
from aenet_gpr_cli.gpr.uncertainty.covering import NearestStructure, covering_observations
from aenet_gpr_cli.structures import FloatArray
from aenet_gpr_cli.units import BYTES_PER_GIB

SIGMA_BLOCK = 256  # structures per triangular solve: wide enough for BLAS-3, n_rows * 256 numbers
RATE = 3e10  # operations of one core in a second, for forecasts: of factor and triangular solves


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

    Conditions on a part of the training data, see `covering_observations`, and on what else is known of the
    one training structure that is nearest to each structure, see `NearestStructure`.

    Parameters
    ----------
    descriptor : Descriptor
        The one the model was fitted with.
    max_rows : int
        Observations that cover the training data; σ is exact where the data have no more.

    Raises
    ------
    ConfigError
        If ``max_rows`` is below 1.

    Notes
    -----
    max_rows³/3 operations and max_rows² numbers once; max_rows² operations per structure, and as many for
    each direction of a training structure that is nearest to some. As much memory again keeps what was found
    for these.
    """

    def __init__(self, model: GPModel, descriptor: Descriptor, max_rows: int) -> None:
        self._model, self._descriptor = model, descriptor
        self._covering = covering_observations(model, descriptor, max_rows)
        self._nearest = NearestStructure(self._covering)

    @property
    def n_rows(self) -> int:
        """Observations behind every bound, those of the nearest structure not counted."""
        return self._covering.observations.n_rows

    def __call__(self, positions: FloatArray, around: FloatArray | None = None) -> FloatArray:
        """Return the bound for each structure.

        Parameters
        ----------
        positions : ndarray of shape (n_structures, n_atoms, 3), Å
        around : ndarray of that shape, optional
            What they were displaced from: nearest to these is taken for nearest. Copies of one structure then
            share its rows.

        Returns
        -------
        ndarray of shape (n_structures,), eV
        """
        out = np.empty(len(positions))
        for start in range(0, len(positions), SIGMA_BLOCK):
            rows = slice(start, start + SIGMA_BLOCK)
            values = self._descriptor.values(positions[rows])
            if around is None:
                nearest = self._nearest.of(values)
            else:
                once, which = np.unique(around[rows], axis=0, return_inverse=True)
                nearest = self._nearest.of(self._descriptor.values(once))[which.ravel()]
            half = self._covering.half(values)
            left = self._covering.observations.covariance.energy_variances(values)
            left -= np.einsum("ib,ib->b", half, half)
            out[rows] = left - self._nearest.explained(values, half, nearest)
        return scaled_sigma(self._model, out)


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
