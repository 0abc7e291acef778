"""Standard deviation of predicted forces, from directional derivatives along a few random directions.

σ_F² is the mean posterior variance of the 3N force components, tr(cov F) / 3N. With orthonormal directions q
drawn at random the mean of var(q·F) is an estimate of it without bias, exact for 3N directions.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor, Linearisation
from aenet_gpr_cli.gpr.regression.gp_model import GPModel
from aenet_gpr_cli.gpr.uncertainty.covering import covering_observations
from aenet_gpr_cli.gpr.uncertainty.energy_sigma import scaled_sigma
from aenet_gpr_cli.structures import FloatArray

BLOCK_COLUMNS = 1024  # of energies and derivatives solved for at a time


def random_probes(n_atoms: int, n_probes: int, rng: np.random.Generator) -> FloatArray:
    """Return orthonormal directions, uniform over all rotations of the 3N-dimensional space.

    Parameters
    ----------
    n_probes : int
        At most 3N are returned.

    Returns
    -------
    ndarray of shape (n_probes, n_atoms, 3), dimensionless
    """
    size = 3 * n_atoms
    q, r = np.linalg.qr(rng.normal(size=(size, min(n_probes, size))))
    return np.asarray((q * np.sign(np.diagonal(r))).T.reshape(-1, n_atoms, 3))


def probe_tangents(points: Linearisation, probes: FloatArray) -> FloatArray:
    """Return J q of each structure and probe, (n_structures, n_probes, n_features)."""
    n = len(points.values)
    return np.stack([points.jvp(np.broadcast_to(q, (n, *q.shape))) for q in probes], axis=1)


class ForceSigmaBound:
    """Estimate of σ_F (root mean square over the components), conditioned on a part of the training data.

    Parameters
    ----------
    descriptor : Descriptor
        The one the model was fitted with.
    max_rows : int
        Observations to condition on, see `covering_observations`.
    probes : ndarray of shape (n_probes, n_atoms, 3)
        From `random_probes`.
    n_images : int
        Images under permutations that the descriptor consists of.
    """

    def __init__(
        self, model: GPModel, descriptor: Descriptor, max_rows: int, probes: FloatArray, n_images: int = 1
    ) -> None:
        self.model, self.descriptor, self.probes, self.n_images = model, descriptor, probes, n_images
        covering = covering_observations(model, descriptor, max_rows)
        self.observations, self.solver = covering.observations, covering.solver

    @property
    def n_rows(self) -> int:
        """Observations behind every bound."""
        return self.observations.covariance.n_rows

    def linearised(self, positions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return descriptors (m, n_features) and probe tangents (m, n_probes, n_features), of all images."""
        points = self.descriptor.linearise(positions)
        return points.values, probe_tangents(points, self.probes)

    def explained(self, values: FloatArray, tangents: FloatArray) -> FloatArray:
        """Return L⁻¹ K_*, of shape (n_rows, m, 1 + n_probes); squared column norms: what the data explain."""
        columns = self.observations.columns(values, tangents)
        half = self.solver.half_solve(columns.reshape(len(columns), -1))
        return half.reshape(columns.shape)

    def __call__(self, positions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the standard deviations of energies (eV) and forces (eV/Å), (n_structures,) each."""
        energies, forces = np.empty(len(positions)), np.empty(len(positions))
        step = max(1, BLOCK_COLUMNS // (1 + len(self.probes)))
        for start in range(0, len(positions), step):
            rows = slice(start, start + step)
            values, tangents = self.linearised(positions[rows])
            prior = self.observations.prior_variances(values, tangents, self.n_images)
            half = self.explained(values, tangents)
            left = prior - np.einsum("imq,imq->mq", half, half)
            energies[rows], forces[rows] = left[:, 0], left[:, 1:].mean(axis=1)
        return scaled_sigma(self.model, energies), scaled_sigma(self.model, forces)
