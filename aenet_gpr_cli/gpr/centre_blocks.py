"""Blocks of the covariance as a mean over all pairs of centres: the arithmetic behind `centre_pairs`.

Owns the order of the loops, chosen so that nearly all work is in large matrix products, in any precision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.base import Index, Linearization
from aenet_gpr_cli.gpr.covariance import squared_distances
from aenet_gpr_cli.gpr.kernels import Kernel
from aenet_gpr_cli.structures import FloatArray

SCRATCH_BYTES = 2**27  # projections of all Jacobians onto the points of some structures, held at a time


@dataclass(frozen=True, slots=True)
class CentreJacobians:
    """Descriptors and Jacobians of structures, centre by centre.

    Attributes
    ----------
    x : ndarray of shape (n_structures, n_centres, n_features)
        Centred.
    jacobians : ndarray of shape (n_structures, n_centres, 3 * n_atoms, n_kept)
        Transposed, of the features in ``kept``.
    kept : ndarray of int, shape (n_kept,)
        Features whose Jacobian counts.
    """

    x: FloatArray
    jacobians: FloatArray
    kept: np.ndarray

    @classmethod
    def of(cls, points: Linearization, x: FloatArray, dtype: type = np.float64) -> CentreJacobians:
        """Return the Jacobians of all structures behind ``points``.

        Parameters
        ----------
        points : Linearization
        x : ndarray of shape (n_structures, n_centres, n_features)
            Centred.
        dtype : numpy type
            Of the Jacobians.

        Returns
        -------
        CentreJacobians
        """
        n, n_centres, p = x.shape
        out = None
        for i in range(n):
            one = points.jacobian(slice(i, i + 1))[0]
            if out is None:
                out = np.empty((n, n_centres, one.shape[1], p), dtype)
            out[i] = one.reshape(n_centres, p, -1).transpose(0, 2, 1)
        assert out is not None
        return cls(x, out, np.arange(p))

    def leading(self, dropped: float) -> CentreJacobians:
        """Return the same without the features that the Jacobians hardly have.

        Parameters
        ----------
        dropped : float
            Mean square of the Jacobians to leave out at most, relative to all.

        Returns
        -------
        CentreJacobians
        """
        square = np.einsum("icap,icap->p", self.jacobians, self.jacobians)
        order = np.argsort(square, kind="stable")
        lost = np.cumsum(square[order], dtype=np.float64)
        kept = np.sort(order[np.searchsorted(lost, dropped * lost[-1], side="right") :])
        return CentreJacobians(self.x, np.ascontiguousarray(self.jacobians[..., kept]), self.kept[kept])

    def select(self, index: Index) -> CentreJacobians:
        """Return the same for some structures.

        Parameters
        ----------
        index : slice or ndarray of int

        Returns
        -------
        CentreJacobians
        """
        return CentreJacobians(self.x[index], self.jacobians[index], self.kept)


def fill(kernel: Kernel, own: CentreJacobians, other: CentreJacobians, out: FloatArray, lower: bool) -> None:
    """Write the covariance of the rows of some structures with those of others.

    Parameters
    ----------
    kernel : Kernel
    own, other : CentreJacobians
        Of n and m structures.
    out : ndarray of shape (n * (1 + 3 * n_atoms), m * (1 + 3 * n_atoms))
        In its precision all large products are made. Rows as in `Covariance`.
    lower : bool
        Both are the same structures: only the blocks on and below the diagonal.

    Notes
    -----
    9 N² C p operations per pair of structures.
    """
    n, m = len(own.x), len(other.x)
    n_centres, width, p = other.jacobians.shape[1:]
    y = other.x[..., other.kept].astype(out.dtype).reshape(m * n_centres, p)
    along = np.einsum("jdbp,jdp->jdb", other.jacobians, y.reshape(m, n_centres, p))
    step = max(1, SCRATCH_BYTES // (2 * out.itemsize * m * width * n_centres**2))
    for start in range(0, n, step):
        block = slice(start, min(start + step, n))
        stop = block.stop if lower else m
        x = own.x[block][..., own.kept].astype(out.dtype)
        jacobians, size = own.jacobians[block], len(x)
        d2 = squared_distances(
            own.x[block].reshape(size * n_centres, -1), other.x.reshape(m * n_centres, -1)
        ).reshape(size, n_centres, m, n_centres)
        if lower:
            centre = np.arange(n_centres)
            for i in range(size):
                d2[i, centre, start + i, centre] = 0.0  # no rounding on the diagonal
        k, k1, k2 = (values.astype(out.dtype, copy=False) for values in kernel(d2))
        out[block, :m] = k.sum(axis=(1, 3)) / n_centres**2
        # (x_ic - y_jd)ᵀ J_ic, what the energies of all others have with these gradients
        left = -(jacobians.reshape(-1, p) @ y.T).reshape(size, n_centres, width, m, n_centres)
        left += np.einsum("icp,icap->ica", x, jacobians)[..., None, None]
        # (x_ic - y_jd)ᵀ J_jd
        right = other.jacobians[:stop].reshape(-1, p) @ x.reshape(-1, p).T
        right = right.reshape(stop, n_centres, width, size, n_centres) - along[:stop, ..., None, None]
        for i in range(size):
            rows = slice(n + (start + i) * width, n + (start + i + 1) * width)
            out[rows, :m] = np.einsum("cjd,cajd->aj", k1[i], left[i]) / -(n_centres**2)
            if not lower:
                column = np.einsum("cjd,jdbc->jb", k1[i], right[..., i, :]) / n_centres**2
                out[start + i, m:] = column.ravel()
            last = start + i + 1 if lower else m
            for j in range(last):
                pair = _pair(jacobians[i], other.jacobians[j], k1[i, :, j])
                pull = (left[i, :, :, j] * k2[i, :, None, j]).transpose(1, 0, 2).reshape(width, -1)
                pair -= pull @ right[j, :, :, i].transpose(1, 2, 0).reshape(width, -1).T
                out[rows, m + j * width : m + (j + 1) * width] = pair / n_centres**2


def _pair(own: FloatArray, other: FloatArray, k1: FloatArray) -> FloatArray:
    """Σ_cd k1_cd J_cᵀ J_d of two structures; the centres d are summed first."""
    summed = (k1 @ other.reshape(len(other), -1)).reshape(other.shape)
    return np.asarray(np.matmul(own, summed.transpose(0, 2, 1)).sum(axis=0))
