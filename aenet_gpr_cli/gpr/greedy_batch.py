"""Which candidates inform a process most when several are taken at once: greedy conditioning.

Variances depend on where data are, not on their values. So after a candidate is taken, the variances of the
others are those of the process with its energy and forces among the data: the factor of the covariance grows
by a block of rows. Taken is always the candidate with the largest variance left (D-optimal in spirit), or the
one that lowers the variances of all candidates most (A-optimal), which leaves outliers alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from aenet_gpr_cli.gpr.covariance.cross import Observations
from aenet_gpr_cli.gpr.covariance.observation_order import by_structure, noise_variances
from aenet_gpr_cli.gpr.covariance.seen_directions import DirectionalPoints, Directions
from aenet_gpr_cli.gpr.uncertainty.energy_sigma import scaled_sigma
from aenet_gpr_cli.gpr.uncertainty.force_sigma import ForceSigmaBound
from aenet_gpr_cli.structures import FloatArray

FLOOR = 1e-12  # of the largest variance, on the diagonal: rounding of what is known already


@dataclass(frozen=True, slots=True)
class _Taken:
    """A candidate among the data: its rows, the factor of what was unknown of them, its projections."""

    observations: Observations
    lower: FloatArray
    projections: tuple[FloatArray, ...]


class GreedyBatch:
    """Candidates with their posterior variances, which fall as some of them are taken.

    Parameters
    ----------
    sigma : ForceSigmaBound
        Of the process.
    positions : ndarray of shape (m, n_atoms, 3), Å
        The candidates.
    joint : bool
        Keep the covariances between candidates, too: `reductions` needs them.
    share : float
        Structures of the pool that each candidate represents.

    Notes
    -----
    8 m (1 + n_probes) bytes for each row that σ is conditioned on, 1 + 3N rows for each candidate taken, and
    for each of m (1 + n_probes) rows if ``joint``.
    """

    def __init__(
        self, sigma: ForceSigmaBound, positions: FloatArray, joint: bool = False, share: float = 1.0
    ) -> None:
        self._sigma, self._positions, self._share = sigma, positions, share
        self._values, self._tangents = sigma.linearised(positions)
        first = sigma.explained(self._values, self._tangents)
        self._projections = [first]
        self._taken: list[_Taken] = []
        prior = sigma.observations.prior_variances(self._values, self._tangents, sigma.n_images)
        self._left = prior - np.einsum("imq,imq->mq", first, first)
        self._joint = self._covariance(first) if joint else None

    @property
    def n_candidates(self) -> int:
        """Number of candidates, the taken ones included."""
        return len(self._positions)

    def sigma(self, by: str) -> FloatArray:
        """Return the σ that is left ``by`` forces (eV/Å) or energies (eV), of shape (n_candidates,)."""
        found = self.variances
        return scaled_sigma(self._sigma.model, found[:, 1:].mean(axis=1) if by == "forces" else found[:, 0])

    @property
    def variances(self) -> FloatArray:
        """Posterior variances, (m, 1 + n_probes), for unit signal variance: energy, then derivatives."""
        return np.maximum(self._left, 0.0)

    def reductions(self, by: str) -> FloatArray:
        """Return by how much each candidate would lower the variances of all together.

        Its energy and its derivatives along the probes are taken for all that a calculation gives.

        Parameters
        ----------
        by : str
            Variances of ``forces`` (mean of the components) or ``energies``.

        Returns
        -------
        ndarray of shape (n_candidates,), eV²/Å² or eV²
            Times the structures of the pool that each candidate represents; exact where there are as many
            probes as directions.
        """
        assert self._joint is not None  # asked for at the start
        m, width = self._left.shape
        rows = self._joint.reshape(m, width, m, width)
        own = rows[np.arange(m), :, np.arange(m)]
        model = self._sigma.model
        noise = noise_variances(1, width, model.noise_energy, model.noise_force)
        lower = np.linalg.cholesky(own + np.diag(noise + FLOOR * own.max()))
        solved = np.linalg.solve(lower, rows.reshape(m, width, -1)).reshape(rows.shape)
        seen = solved[..., 1:] if by == "forces" else solved[..., :1]
        lowered = np.einsum("cimq,cimq->c", seen, seen) / seen.shape[-1]
        return np.asarray(self._share * model.signal_std**2 * lowered)

    def take(self, index: int) -> None:
        """Condition on energy and forces of a candidate."""
        observations, values, tangents = self._observe(index)
        own = self._project(values, tangents)
        unknown = observations.columns(values, tangents)[:, 0]
        unknown -= sum(part.T @ part for part in own)
        model = self._sigma.model
        unknown[np.diag_indices_from(unknown)] += observations.covariance.noise_variances(
            model.noise_energy, model.noise_force
        )
        taken = _Taken(observations, np.asarray(np.linalg.cholesky(unknown)), own)
        new = self._reduce(taken, self._values, self._tangents, self._projections)
        self._left = self._left - np.einsum("imq,imq->mq", new, new)
        self._projections.append(new)
        self._taken.append(taken)
        if self._joint is not None:
            flat = new.reshape(len(new), -1)
            self._joint -= flat.T @ flat

    def _covariance(self, first: FloatArray) -> FloatArray:
        """Posterior covariance of all candidates' rows, each with energy and derivatives together."""
        m, n_probes = self._tangents.shape[:2]
        base = self._sigma.observations.covariance
        own = Observations(base, DirectionalPoints(self._values, self._tangents, self._sigma.n_images))
        prior = own.columns(self._values, self._tangents)
        flat, size = first.reshape(len(first), -1), m * (1 + n_probes)
        joint = by_structure(prior, m).reshape(size, size)
        joint -= flat.T @ flat
        return joint

    def _observe(self, index: int) -> tuple[Observations, FloatArray, FloatArray]:
        """All that a calculation of the candidate gives, and the same as new rows."""
        base = self._sigma.observations.covariance
        points = self._sigma.descriptor.linearise(self._positions[index : index + 1])
        directions = Directions.of(points)
        seen: DirectionalPoints = directions.restrict(points, slice(None), directions.n_seen)
        return Observations(base, seen), seen.values, seen.transposed

    def _project(self, values: FloatArray, tangents: FloatArray) -> tuple[FloatArray, ...]:
        """L⁻¹ K_* of one structure, in blocks of rows: the data of the process, each candidate taken."""
        first = self._sigma.observations.columns(values, tangents)[:, 0]
        blocks = [self._sigma.solver.half_solve(first)]
        for taken in self._taken:
            blocks.append(self._reduce(taken, values, tangents, [b[:, None] for b in blocks])[:, 0])
        return tuple(blocks)

    @staticmethod
    def _reduce(
        taken: _Taken, values: FloatArray, tangents: FloatArray, before: list[FloatArray]
    ) -> FloatArray:
        """The block of rows that a taken candidate adds to L⁻¹ K_*."""
        columns = taken.observations.columns(values, tangents)
        shape = columns.shape
        columns = columns.reshape(len(columns), -1)
        for own, others in zip(taken.projections, before, strict=True):
            columns -= own.T @ others.reshape(len(others), -1)
        return np.asarray(solve_triangular(taken.lower, columns, lower=True)).reshape(shape)


def take_best(
    batches: Mapping[str, GreedyBatch],
    count: int,
    by: str,
    reduce_all: bool = False,
    threshold: float | None = None,
) -> list[tuple[str, int, float]]:
    """Take the best candidate, again and again, each time with the variances that are left.

    Parameters
    ----------
    batches : mapping of str to GreedyBatch
        One for each process; changed by what is taken.
    count : int
        At most so many are taken.
    by : str
        ``forces`` or ``energies``.
    reduce_all : bool
        The best is the one that lowers the variances of all most, else the one with the largest σ.
    threshold : float, eV/Å or eV, optional
        Candidates whose σ is not larger are never taken.

    Returns
    -------
    list of (str, int, float)
        Process, candidate and its σ (eV/Å or eV) when it was taken, in this order.
    """
    chosen: list[tuple[str, int, float]] = []
    free = {name: np.ones(batch.n_candidates, bool) for name, batch in batches.items()}
    scores = {name: _scores(batch, free[name], by, reduce_all, threshold) for name, batch in batches.items()}
    while len(chosen) < count:
        name = max(scores, key=lambda n: float(scores[n].max()))
        best = int(np.argmax(scores[name]))
        if scores[name][best] < 0.0:
            break
        batch = batches[name]
        chosen.append((name, best, float(batch.sigma(by)[best])))
        free[name][best] = False
        batch.take(best)
        scores[name] = _scores(batch, free[name], by, reduce_all, threshold)
    return chosen


def _scores(
    batch: GreedyBatch, free: NDArray[np.bool_], by: str, reduce_all: bool, threshold: float | None
) -> FloatArray:
    """What is to be large; -1 for candidates that are not to be taken."""
    sigma = batch.sigma(by)
    allowed = free if threshold is None else free & (sigma > threshold)
    return np.where(allowed, batch.reductions(by) if reduce_all else sigma, -1.0)
