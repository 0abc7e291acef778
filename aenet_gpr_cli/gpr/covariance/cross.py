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

SCRATCH_NUMBERS = 2**20  # in work at a time, of features summed over new centres


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
        size = len(covariance.origin)
        self._n_centres = points.values.shape[1] // size
        own = points.first_image()
        x = own.values.reshape(n, -1, size) - covariance.origin
        self._centres = x.swapaxes(0, 1)
        # by centre, (n, r, n_features + 1): J_i and -J_i x_i, so that a one among the features subtracts x_i
        self._jacobians = []
        for c, jacobian in enumerate(np.split(own.transposed, x.shape[1], axis=2)):
            self._jacobians.append(np.concatenate([jacobian, -(jacobian @ x[:, c, :, None])], axis=2))

    def columns(self, values: FloatArray, tangents: FloatArray | None = None) -> FloatArray:
        """Return the covariance of all rows with energies and directional derivatives of new structures.

        With d = x_i - x_*, u = J_* q: cov(E_i, E_*) = k, cov(E_i, ∂_q E_*) = k1 d·u,
        cov(∂E_i, E_*) = -k1 J_iᵀ d, cov(∂E_i, ∂_q E_*) = k1 J_iᵀ u - k2 (J_iᵀ d)(d·u).

        Parameters
        ----------
        values : ndarray of shape (m, n_new * n_features)
            Descriptors of the new structures, not centred, of all their centres or images.
        tangents : ndarray of shape (m, n_probes, n_new * n_features), optional
            J_* q of the probes q.

        Returns
        -------
        ndarray of shape (n_rows, m, 1 + n_probes)
            Rows as in `Covariance`; the energy comes first in each structure.

        Notes
        -----
        Rows are taken at one image, all images of the new structures are summed (see `image_pairs`) before
        J_i is applied: 2 (n_new + r) n_features operations per structure and column.
        """
        base, n, m = self.covariance, self.covariance.n_structures, len(values)
        y = values.reshape(m, -1, len(base.origin)) - base.origin
        n_new, p = y.shape[1:]
        u = np.empty((m, 0, n_new, p)) if tangents is None else tangents.reshape(m, -1, n_new, p)
        width = 1 + u.shape[1]
        one_more = np.concatenate([y, np.ones((m, n_new, 1))], axis=2)[:, None]
        none_more = np.concatenate([u, np.zeros((*u.shape[:3], 1))], axis=3)
        across = np.einsum("mcp,mqcp->mqc", y, u)[:, :, None]
        out = np.zeros((self.n_rows, m, width))
        energy, gradient = row_views(out, n)
        gradient = gradient.reshape(n, -1, m * width)
        step = max(1, SCRATCH_NUMBERS // (m * width * (p + 1)))
        for x, jacobian in zip(self._centres, self._jacobians, strict=True):
            for start in range(0, n, step):
                rows = slice(start, min(start + step, n))
                d2 = squared_distances(x[rows], y.reshape(m * n_new, p)).reshape(-1, m, n_new)
                # of each new structure: (m, 1, rows, n_new)
                k, k1, k2 = (
                    table.swapaxes(0, 1)[:, None] / (len(self._centres) * n_new) for table in base.kernel(d2)
                )
                energy[rows, :, :1] += k.sum(axis=3).transpose(2, 0, 1)
                summed = np.empty((m, width, d2.shape[0], p + 1))
                np.matmul(k1, one_more, out=summed[:, :1])
                if width > 1:
                    along = (x[rows] @ u.reshape(-1, p).T).reshape(-1, *u.shape[:3]).transpose(1, 2, 0, 3)
                    along = along - across
                    energy[rows, :, 1:] += (k1 * along).sum(axis=3).transpose(2, 0, 1)
                    np.matmul(k1, none_more, out=summed[:, 1:])
                    summed[:, 1:] += (k2 * along) @ one_more
                by_row = summed.reshape(m * width, -1, p + 1).transpose(1, 2, 0)
                gradient[rows] += jacobian[rows] @ by_row
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
