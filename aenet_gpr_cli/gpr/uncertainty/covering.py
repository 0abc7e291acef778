"""Part of the training data to condition on: what covers all of it, and what is nearest to a structure.

Conditioning on less never lowers a variance, so that what is left of one is an upper bound. With R the rows
of the covering part, K_RR + noise = L Lᵀ, and P the other rows of the training structure nearest to *, these
explain of the variance of the energy of *

    yᵀ y + cᵀ S⁻¹ c,   y = L⁻¹ k_R*,   Z = L⁻¹ K_RP,   S = K_PP + noise - Zᵀ Z,   c = k_P* - Zᵀ y
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.interface.feature_distances import farthest_points, squared_distances
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.gpr.covariance.cross import Observations
from aenet_gpr_cli.gpr.covariance.observation_order import noise_variances
from aenet_gpr_cli.gpr.covariance.seen_directions import Directions
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.regression.gp_model import GPModel
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver
from aenet_gpr_cli.structures import FloatArray, IntArray

JITTER = 1e-8  # relative; conditioning on data with more noise still bounds σ from above
FIRST_JITTER = 1e-12  # relative, of the rows of one structure
TOGETHER = 6  # structures whose rows are solved for together: wide enough for BLAS-3
KEPT_DIRECTIONS = 0.75  # of those seen; measured: more structures with fewer directions give looser bounds


@dataclass(frozen=True, slots=True)
class Covering:
    """Training structures that cover the set: of each the energy and the gradient along stiff directions.

    Attributes
    ----------
    whole : Covariance
        Of all training structures.
    directions : Directions
        Of all.
    chosen : ndarray of int
        Structures that are taken, ascending.
    kept : int
        Directions of each.
    observations : Observations
        Of these.
    solver : CholeskySolver
        The factor of their covariance.
    noise : tuple of float
        Of energies and gradients, relative to the signal standard deviation.
    """

    whole: Covariance
    directions: Directions
    chosen: IntArray
    kept: int
    observations: Observations
    solver: CholeskySolver
    noise: tuple[float, float]

    def half(self, values: FloatArray) -> FloatArray:
        """Return L⁻¹ k_R*, (n_rows, m), for descriptors (m, n_features) of all centres or images."""
        return self.solver.half_solve(self.observations.columns(values)[..., 0])


def covering_observations(model: GPModel, descriptor: Descriptor, max_rows: int) -> Covering:
    """Return the most informative part of the training data, with the factor of its covariance.

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
    chosen = np.sort(farthest_points(covariance.points.values, count))
    observations = Observations(covariance, directions.restrict(covariance.points, chosen, kept))
    noise = model.noise_energy, model.noise_force
    solver = CholeskySolver(observations.covariance, *noise, JITTER)
    return Covering(covariance, directions, chosen, kept, observations, solver, noise)


def _directions_to_keep(n_structures: int, n_seen: int, max_rows: int) -> int:
    """All directions if they fit; else as many as do, but not so few that structures are preferable."""
    fitting = 3 * max(1, (max_rows // n_structures - 1) // 3)
    return min(n_seen, max(fitting, 3 * round(KEPT_DIRECTIONS * n_seen / 3)))


@dataclass(frozen=True, slots=True)
class _Own:
    """Rows P of one training structure: ``left`` of all of its own; Z, and the factor of S, (n_left, …)."""

    observations: Observations
    left: IntArray
    half: FloatArray
    factor: FloatArray

    def explained(self, values: FloatArray, half: FloatArray) -> FloatArray:
        """Return cᵀ S⁻¹ c of each column of ``half``, y."""
        unknown = self.observations.columns(values)[self.left, :, 0] - self.half.T @ half
        along = solve_triangular(self.factor, unknown, lower=True)
        return np.asarray(np.einsum("ib,ib->b", along, along))


class NearestStructure:
    """What the nearest training structure tells beyond the covering part.

    Keeps what it has found of these, as much as the factor of the covering part takes.
    """

    def __init__(self, covering: Covering) -> None:
        self._covering, self._found = covering, dict[int, _Own | None]()
        width = 1 + covering.directions.n_seen
        self._room = max(TOGETHER, covering.observations.n_rows // width)

    def of(self, values: FloatArray) -> IntArray:
        """Return which training structure is nearest to each descriptor (m, n_features), any image of it."""
        whole = self._covering.whole
        size = len(whole.origin)
        n, m = whole.n_structures, len(values)
        x = whole.points.values.reshape(n, -1, size)[:, 0] - whole.origin
        y = values.reshape(m, -1, size) - whole.origin
        d2 = squared_distances(x, y.reshape(-1, size)).reshape(n, m, -1)
        return np.asarray(d2.min(axis=2).argmin(axis=0))

    def explained(self, values: FloatArray, half: FloatArray, nearest: IntArray) -> FloatArray:
        """Return what the nearest structures explain beyond the covering part, (m,).

        Parameters
        ----------
        values : ndarray of shape (m, n_features)
        half : ndarray of shape (n_rows, m)
            Of `Covering.half`.
        nearest : ndarray of int, shape (m,)
        """
        out, structures = np.zeros(len(values)), np.unique(nearest).tolist()
        for first in range(0, len(structures), TOGETHER):
            some = structures[first : first + TOGETHER]
            self._look_at([structure for structure in some if structure not in self._found])
            for structure in some:
                if (own := self._found[structure]) is not None:
                    which = np.flatnonzero(nearest == structure)
                    out[which] = own.explained(values[which], half[:, which])
            while len(self._found) > self._room:
                del self._found[next(iter(self._found))]
        return out

    def _look_at(self, structures: list[int]) -> None:
        """Find the rows of structures that are not among the covering ones, and what is unknown of them."""
        covering, columns = self._covering, []
        directions, n_seen = covering.directions, covering.directions.n_seen
        rows: dict[int, tuple[Observations, IntArray, FloatArray]] = {}
        for structure in structures:
            first = 1 + covering.kept if structure in covering.chosen else 0
            left = np.arange(first, 1 + n_seen)
            if not len(left):
                self._found[structure] = None
                continue
            points = directions.restrict(covering.whole.points, np.array([structure]), n_seen)
            own, given = Observations(covering.whole, points), (points.values, points.transposed)
            columns.append(covering.observations.columns(*given)[:, 0, left])
            rows[structure] = own, left, own.columns(*given)[left][:, 0, left]
        if not columns:
            return
        halves = covering.solver.half_solve(np.concatenate(columns, axis=1))
        ends = np.cumsum([block.shape[1] for block in columns])[:-1]
        for (structure, (own, left, prior)), half in zip(
            rows.items(), np.split(halves, ends, axis=1), strict=True
        ):
            noise = noise_variances(1, 1 + n_seen, *covering.noise)[left]
            factor = _factor(prior - half.T @ half + np.diag(noise), prior.diagonal())
            self._found[structure] = None if factor is None else _Own(own, left, half, factor)


def _factor(unknown: FloatArray, scale: FloatArray) -> FloatArray | None:
    """Return the factor of S, None where that is not positive definite by rounding."""
    jitter = FIRST_JITTER
    while jitter <= JITTER:
        try:
            return np.asarray(cholesky(unknown + jitter * np.diag(scale), lower=True))
        except LinAlgError:
            jitter *= 10.0
    return None
