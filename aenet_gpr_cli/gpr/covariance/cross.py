"""Energies and gradients along chosen directions of some structures: covariances with others.

All large products are between matrices; Jacobians are held dense, so for as many structures as a factor of
their covariance can be held for. Directions are those of `seen_directions`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aenet_gpr_cli.descriptors.interface.feature_distances import squared_distances
from aenet_gpr_cli.gpr.covariance.observation_order import row_views
from aenet_gpr_cli.gpr.covariance.seen_directions import DirectionalPoints
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.structures import FloatArray


class Observations:
    """Observed energies and directional derivatives, with unit signal variance and without noise.

    Parameters
    ----------
    covariance : Covariance
        Gives kernel and origin.
    points : DirectionalPoints
        Of n structures with r directions each, all centres (or images) included.

    Attributes
    ----------
    covariance : Covariance
        Of these rows; whole where r is a multiple of 3.
    n_rows : int
        n (1 + r).
    """

    def __init__(self, covariance: Covariance, points: DirectionalPoints) -> None:
        n, n_directions, _ = points.transposed.shape
        self.covariance = replace(covariance, points=points, n_atoms=n_directions // 3)
        self.n_rows = n * (1 + n_directions)
        self._n_centres = points.values.shape[1] // len(covariance.origin)
        # by centre, with the products that need no new structure
        self._centres = self.covariance.x.reshape(n, self._n_centres, -1).swapaxes(0, 1)
        self._jacobians = [
            np.ascontiguousarray(jacobian)
            for jacobian in np.split(points.transposed.reshape(n * n_directions, -1), self._n_centres, axis=1)
        ]
        self._own = [
            np.einsum("nrp,np->nr", jacobian.reshape(n, n_directions, -1), x)
            for jacobian, x in zip(self._jacobians, self._centres, strict=True)
        ]

    def columns(self, values: FloatArray, tangents: FloatArray | None = None) -> FloatArray:
        """Return the covariance of all rows with energies and directional derivatives of new structures.

        With d = x_i - x_*, u = J_* q: cov(E_i, E_*) = k, cov(E_i, ∂_q E_*) = k1 d·u,
        cov(∂E_i, E_*) = -k1 J_iᵀ d, cov(∂E_i, ∂_q E_*) = k1 J_iᵀ u - k2 (J_iᵀ d)(d·u).

        Parameters
        ----------
        values : ndarray of shape (m, n_new * n_features)
            Descriptors of the new structures, not centred; of one image where the centres are images under
            permutations: the others give the same.
        tangents : ndarray of shape (m, n_probes, n_new * n_features), optional
            J_* q of the probes q.

        Returns
        -------
        ndarray of shape (n_rows, m, 1 + n_probes)
            Rows as in `Covariance`; the energy comes first in each structure.
        """
        base, n, m = self.covariance, self.covariance.n_structures, len(values)
        new = values.reshape(m, -1, len(base.origin)) - base.origin
        u = None if tangents is None else tangents.reshape(m, -1, *new.shape[1:])
        n_probes = 0 if u is None else u.shape[1]
        out = np.zeros((self.n_rows, m, 1 + n_probes))
        energy, gradient = row_views(out, n)
        for x, jacobian, own in zip(self._centres, self._jacobians, self._own, strict=True):
            for c in range(new.shape[1]):
                y = new[:, c]
                k, k1, k2 = base.kernel(squared_distances(x, y))
                pull = (jacobian @ y.T).reshape(n, -1, m)
                pull -= own[:, :, None]  # J(x_* - x)
                energy[..., 0] += k
                gradient[..., 0] += k1[:, None] * pull
                if u is not None:
                    probes = u[:, :, c].reshape(m * n_probes, -1)
                    along = (x @ probes.T).reshape(n, m, -1)
                    along -= np.einsum("mp,mqp->mq", y, u[:, :, c])
                    energy[..., 1:] += k1[..., None] * along
                    across = (jacobian @ probes.T).reshape(n, -1, m, n_probes)
                    across *= k1[:, None, :, None]
                    pull *= k2[:, None]
                    across += pull[..., None] * along[:, None]
                    gradient[..., 1:] += across
        out /= self._n_centres * new.shape[1]
        return out

    def prior_variances(self, values: FloatArray, tangents: FloatArray, n_images: int) -> FloatArray:
        """Return the variances of energies and directional derivatives of structures before any data.

        Parameters
        ----------
        values : ndarray of shape (m, n_centres * n_features)
            Of all centres or images.
        tangents : ndarray of shape (m, n_probes, n_centres * n_features)
        n_images : int
            Images under permutations that the descriptor consists of.

        Returns
        -------
        ndarray of shape (m, 1 + n_probes)
        """
        base, m = self.covariance, len(values)
        x = values.reshape(m, self._n_centres, -1) - base.origin
        u = tangents.reshape(m, -1, *x.shape[1:])
        out = np.zeros((m, 1 + u.shape[1]))
        n_new = self._n_centres // n_images
        for c in range(n_new):
            d = x - x[:, c, None]
            k, k1, k2 = base.kernel(np.einsum("mcp,mcp->mc", d, d))
            out[:, 0] += k.sum(axis=1)
            across = np.einsum("mqcp,mqp->mqc", u, u[:, :, c])
            across *= k1[:, None]
            along = np.einsum("mqcp,mcp->mqc", u, d)
            along *= np.einsum("mcp,mqp->mqc", d, u[:, :, c])
            across -= k2[:, None] * along
            out[:, 1:] += across.sum(axis=2)
        return out / (self._n_centres * n_new)
