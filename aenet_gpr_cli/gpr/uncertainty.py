"""Standard deviation of predicted energies: exact, and a rigorous upper bound at a fixed cost.

σ is that of the energy itself (noise of a new measurement not included), the prior mean taken as known.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aenet_gpr_cli.descriptors.base import Descriptor
from aenet_gpr_cli.descriptors.coverage import farthest_points
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.gpr.directions import Directions
from aenet_gpr_cli.gpr.expansion import squared_distances
from aenet_gpr_cli.gpr.regression import GPModel
from aenet_gpr_cli.gpr.solvers import CholeskySolver, Solver
from aenet_gpr_cli.structures import FloatArray

SIGMA_BLOCK = 256  # structures per triangular solve: wide enough for BLAS-3, n_rows * 256 numbers
BOUND_JITTER = 1e-8  # relative; conditioning on data with more noise still bounds σ from above
KEPT_DIRECTIONS = 0.6  # of those seen; measured: more structures with fewer directions give looser bounds


def energy_sigma(
    model: GPModel, descriptor: Descriptor, positions: FloatArray, solver: Solver, n_images: int = 1
) -> FloatArray:
    """Return the exact posterior standard deviation of each energy.

    σ² = w² (k_** - k_*ᵀ (K + noise)⁻¹ k_*), k_** the prior variance (1 for one centre) and k_* the
    covariance of the energy with all observations.

    Parameters
    ----------
    model : GPModel
    descriptor : Descriptor
        The one the model was fitted with.
    positions : ndarray of shape (n_structures, n_atoms, 3), Å
    solver : Solver
        Of the model, from `fit_with_solver` or `refactorise`.
    n_images : int
        Images under permutations that the descriptor consists of: one of them says all.

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
        columns = covariance.energy_columns(values[:, : values.shape[1] // n_images])
        if isinstance(solver, CholeskySolver):
            half = solver.half_solve(columns)
            explained = np.einsum("ib,ib->b", half, half)
        else:
            explained = np.einsum("ib,ib->b", columns, solver.solve(columns))
        out[rows] = _sigma(model, covariance.energy_variances(values) - explained)
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


class EnergySigmaBound:
    """Upper bound of the posterior standard deviation of energies, at a fixed cost per structure.

    Conditions on part of the training data only, which never lowers the variance: on structures that cover
    the set, and there on the energy and the gradient along the stiffest directions.

    Parameters
    ----------
    model : GPModel
    descriptor : Descriptor
        The one the model was fitted with.
    max_rows : int
        Observations to condition on; σ is exact where the data have no more.
    n_images : int
        Images under permutations that the descriptor consists of: one of them says all.

    Raises
    ------
    ConfigError
        If ``max_rows`` is below 1.

    Notes
    -----
    max_rows³/3 operations and max_rows² numbers once; max_rows² operations per structure.
    """

    def __init__(self, model: GPModel, descriptor: Descriptor, max_rows: int, n_images: int = 1) -> None:
        if max_rows < 1:
            raise ConfigError(f"max_rows: expected at least 1, got {max_rows}")
        self._model, self._descriptor, self._n_images = model, descriptor, n_images
        covariance = model.covariance(descriptor)
        directions = Directions.of(covariance.points)
        kept = _directions_to_keep(model.n_structures, directions.n_seen, max_rows)
        count = min(model.n_structures, max(1, max_rows // (1 + kept)))
        chosen = farthest_points(covariance.points.values, count)
        points = directions.restrict(covariance.points, chosen, kept)
        self._base = replace(covariance, points=points, n_atoms=kept // 3)
        # by centre, with the products that need no new structure
        self._centres = self._base.x.reshape(count, model.n_centres, -1).swapaxes(0, 1)
        self._jacobians = [
            np.ascontiguousarray(jacobian)
            for jacobian in np.split(points.transposed.reshape(count * kept, -1), model.n_centres, axis=1)
        ]
        self._own = [
            np.einsum("nrp,np->nr", jacobian.reshape(count, kept, -1), x)
            for jacobian, x in zip(self._jacobians, self._centres, strict=True)
        ]
        self._solver = CholeskySolver(self._base, model.noise_energy, model.noise_force, BOUND_JITTER)

    @property
    def n_rows(self) -> int:
        """Observations behind every bound."""
        return self._base.n_rows

    def __call__(self, positions: FloatArray) -> FloatArray:
        """Return the bound for each structure.

        Parameters
        ----------
        positions : ndarray of shape (n_structures, n_atoms, 3), Å

        Returns
        -------
        ndarray of shape (n_structures,), eV
        """
        out = np.empty(len(positions))
        for start in range(0, len(positions), SIGMA_BLOCK):
            rows = slice(start, start + SIGMA_BLOCK)
            values = self._descriptor.values(positions[rows])
            columns = self._columns(values[:, : values.shape[1] // self._n_images])
            half = self._solver.half_solve(columns)
            out[rows] = self._base.energy_variances(values) - np.einsum("ib,ib->b", half, half)
        return _sigma(self._model, out)

    def _columns(self, values: FloatArray) -> FloatArray:
        """Covariance of all rows with new energies, by matrix products: k and k1 Jᵀ(x_* - x)."""
        base, n = self._base, self._base.n_structures
        new = values.reshape(len(values), -1, len(base.origin)) - base.origin
        energy, gradient = np.zeros((n, len(new))), np.zeros((n, 3 * base.n_atoms, len(new)))
        for x, jacobian, own in zip(self._centres, self._jacobians, self._own, strict=True):
            for y in new.swapaxes(0, 1):
                k, k1, _ = base.kernel(squared_distances(x, y))
                energy += k
                pull = (jacobian @ y.T).reshape(gradient.shape)
                pull -= own[:, :, None]
                pull *= k1[:, None]
                gradient += pull
        return np.concatenate([energy, gradient.reshape(-1, len(new))]) / (len(self._centres) * new.shape[1])


def _directions_to_keep(n_structures: int, n_seen: int, max_rows: int) -> int:
    """All directions if they fit; else as many as do, but not so few that structures are preferable."""
    fitting = 3 * max(1, (max_rows // n_structures - 1) // 3)
    return min(n_seen, max(fitting, 3 * round(KEPT_DIRECTIONS * n_seen / 3)))


def _sigma(model: GPModel, variance: FloatArray) -> FloatArray:
    if not np.isfinite(variance).all():
        raise InputError("sigma: a structure has descriptors that are not finite")
    # rounding may push a variance of zero slightly below it
    return model.signal_std * np.sqrt(np.maximum(variance, 0.0))
