"""Dense covariance of structures of several centres, k = C⁻² Σ_cd k(x_c - x'_d).

The kernel of the authors' package for SOAP about C centres (theirs is the sum: the same with signal_std / C).
Compare the one long vector, k(x - x') with |x - x'|² = Σ_c |x_c - x'_c|²: for the squared exponential the
*product* of the kernels of equal centres. The product is near zero once one centre differs much; the mean
still compares the others, unlike centres, too. The order of the loops is chosen so that nearly all work is in
large matrix products, in any precision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor, Index, Linearisation
from aenet_gpr_cli.descriptors.interface.feature_distances import squared_distances
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.covariance.observation_order import matrix_views
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import Kernel, KernelValues
from aenet_gpr_cli.structures import FloatArray

IndexArray = NDArray[np.intp]
SCRATCH_BYTES = 2**27  # projections of all Jacobians onto the points of some structures, held at a time
SINGLE_DROPPED = 3e-5  # of the mean square of Jacobians: what single precision may do without


@dataclass(frozen=True, slots=True)
class CentrePairCovariance(Covariance):
    """Covariance of a set of structures of C centres each.

    ``kernel`` is that between two centres, so the covariance of a structure with itself is at most 1.
    """

    @classmethod
    def of(  # type: ignore[override]
        cls, kernel: Kernel, descriptor: Descriptor, positions: FloatArray, n_centres: int
    ) -> Self:
        """Return the covariance of the structures at ``positions`` (n_structures, n_atoms, 3), Å.

        Raises
        ------
        InputError
            If the descriptor does not divide into so many centres.
        """
        if n_centres < 1 or descriptor.n_features % n_centres:
            raise InputError(
                f"centre pairs: expected features for {n_centres} centres, got {descriptor.n_features}"
            )
        points = descriptor.linearise(positions)
        origin = points.values.reshape(-1, descriptor.n_features // n_centres).mean(axis=0)
        return cls(kernel, points, origin, positions.shape[1])

    def energy_variances(self, values: FloatArray) -> FloatArray:
        """Return the prior variances of the energies of new structures, see `Covariance`."""
        x = values.reshape(len(values), self.n_centres, -1) - self.origin
        return np.array([self.kernel.value(squared_distances(own, own)).mean() for own in x])

    def dense(self, dtype: type = np.float64) -> FloatArray:
        """Return K in full storage with only its lower triangle (of blocks of structures) set.

        Parameters
        ----------
        dtype : numpy type
            Precision of Jacobians and matrix. Single precision also leaves out atoms and features that hold
            no more than ``SINGLE_DROPPED`` of the mean square of the Jacobian of a centre.

        Returns
        -------
        ndarray of shape (n_rows, n_rows), C order

        Notes
        -----
        9 N² C p operations per pair of structures, besides n_rows² numbers the Jacobians of all centres.
        """
        dropped = SINGLE_DROPPED if dtype == np.float32 else 0.0
        own = self._jacobians(dtype, dropped)
        matrix: FloatArray = np.zeros((self.n_rows, self.n_rows), dtype)
        _fill_pairs(self.kernel, own, own, matrix, lower=True)
        return matrix

    def columns(self, index: Index) -> FloatArray:
        """Return the columns of K that belong to the structures ``index``, ordered as their own rows."""
        own = self._jacobians()
        matrix = np.empty((self.n_rows, self.select(index).n_rows))
        _fill_pairs(self.kernel, own, own.select(index), matrix, lower=False)
        return matrix

    def _jacobians(self, dtype: type = np.float64, dropped: float = 0.0) -> CentreJacobians:
        x = self.x.reshape(self.n_structures, self.n_centres, -1)
        return CentreJacobians.of(self.points, x, dtype, dropped)


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
    rows, features : tuple of ndarray of int, one per centre
        What of a centre's Jacobian is not zero in every structure: derivatives, and places in ``kept``.
    """

    x: FloatArray
    jacobians: FloatArray
    kept: IndexArray
    rows: tuple[IndexArray, ...]
    features: tuple[IndexArray, ...]

    @classmethod
    def of(
        cls, points: Linearisation, x: FloatArray, dtype: type = np.float64, dropped: float = 0.0
    ) -> CentreJacobians:
        """Return the Jacobians of all structures behind ``points``.

        Parameters
        ----------
        x : ndarray of shape (n_structures, n_centres, n_features)
            Centred.
        dropped : float
            Mean square of the Jacobian of a centre, relative to the average one, that may be left out with
            the features that hardly change. Atoms are not: what is weak in one row may be all there is.
        """
        n, n_centres, p = x.shape
        whole = None
        for i in range(n):
            one = points.jacobian(slice(i, i + 1))[0]
            if whole is None:
                whole = np.empty((n, n_centres, one.shape[1], p), dtype)
            whole[i] = one.reshape(n_centres, p, -1).transpose(0, 2, 1)
        assert whole is not None
        square = np.einsum("icap,icap->cap", whole, whole)
        limit = dropped * float(square.sum(dtype=np.float64)) / n_centres
        rows = [_counting(part.sum(axis=1), 0.0) for part in square]
        features = [_counting(part.sum(axis=0), limit) for part in square]
        kept = np.unique(np.concatenate(features))
        out = np.zeros((*whole.shape[:3], len(kept)), dtype)
        places = [np.searchsorted(kept, own) for own in features]
        for c, (own_rows, own, at) in enumerate(zip(rows, features, places, strict=True)):
            out[:, c, own_rows[:, None], at] = whole[:, c, own_rows[:, None], own]
        return cls(x, out, kept, tuple(rows), tuple(places))

    def select(self, index: Index) -> CentreJacobians:
        """Return the same for some structures."""
        return replace(self, x=self.x[index], jacobians=self.jacobians[index])


def _counting(square: FloatArray, limit: float) -> IndexArray:
    """Places of the largest squares, so that the others add up to no more than ``limit``."""
    order = np.argsort(square, kind="stable")
    lost = np.cumsum(square[order], dtype=np.float64)
    return np.sort(order[np.searchsorted(lost, limit, side="right") :])


def _fill_pairs(
    kernel: Kernel, own: CentreJacobians, other: CentreJacobians, out: FloatArray, lower: bool
) -> None:
    """Write the covariance of the rows of some structures with those of others.

    Parameters
    ----------
    own, other : CentreJacobians
        Of n and m structures.
    out : ndarray of shape (n * (1 + 3 * n_atoms), m * (1 + 3 * n_atoms))
        In its precision all large products are made. Rows as in `observation_order`.
    lower : bool
        Both are the same structures: only the blocks on and below the diagonal.

    Notes
    -----
    9 N² C p operations per pair of structures.
    """
    n, m = len(own.x), len(other.x)
    n_centres, width, p = other.jacobians.shape[1:]
    energies, energy_gradients, gradient_energies, gradients = matrix_views(out, n, m)
    y = other.x[..., other.kept].astype(out.dtype).reshape(m * n_centres, p)
    along = np.einsum("jdbp,jdp->jdb", other.jacobians, y.reshape(m, n_centres, p))
    step = max(1, SCRATCH_BYTES // (2 * out.itemsize * m * width * n_centres**2))
    for start in range(0, n, step):
        block = slice(start, min(start + step, n))
        stop = block.stop if lower else m
        x = own.x[block][..., own.kept].astype(out.dtype)
        jacobians, size = own.jacobians[block], len(x)
        k, k1, k2 = (
            v.astype(out.dtype, copy=False) for v in _kernel_values(kernel, own, other, block, lower)
        )
        energies[block] = k.sum(axis=(1, 3)) / n_centres**2
        # (x_ic - y_jd)ᵀ J_ic, what the energies of all others have with these gradients
        left = -(jacobians.reshape(-1, p) @ y.T).reshape(size, n_centres, width, m, n_centres)
        left += np.einsum("icp,icap->ica", x, jacobians)[..., None, None]
        # (x_ic - y_jd)ᵀ J_jd
        right = other.jacobians[:stop].reshape(-1, p) @ x.reshape(-1, p).T
        right = right.reshape(stop, n_centres, width, size, n_centres) - along[:stop, ..., None, None]
        for i, row in enumerate(range(start, block.stop)):
            gradient_energies[row] = np.einsum("cjd,cajd->aj", k1[i], left[i]) / -(n_centres**2)
            if not lower:
                energy_gradients[row] = np.einsum("cjd,jdbc->jb", k1[i], right[..., i, :]) / n_centres**2
            last = row + 1 if lower else m
            pull = (left[i, :, :, :last] * k2[i, :, None, :last]).transpose(2, 1, 0, 3)
            pull = pull.reshape(last, width, -1)
            push = right[:last, :, :, i].transpose(0, 3, 1, 2).reshape(last, -1, width)
            compact = _compact(own, row)
            for j in range(last):
                pair = _pair(own, compact, other.jacobians[j], k1[i, :, j])
                pair -= pull[j] @ push[j]
                gradients[row, :, j] = pair / n_centres**2


def _kernel_values(
    kernel: Kernel, own: CentreJacobians, other: CentreJacobians, block: slice, lower: bool
) -> KernelValues:
    """Kernel values between the centres of some structures and all others, (size, C, m, C) each."""
    x = own.x[block]
    size, n_centres, m = len(x), x.shape[1], len(other.x)
    d2 = squared_distances(x.reshape(size * n_centres, -1), other.x.reshape(m * n_centres, -1))
    d2 = d2.reshape(size, n_centres, m, n_centres)
    if lower:
        centre = np.arange(n_centres)
        for i in range(size):
            d2[i, centre, block.start + i, centre] = 0.0  # no rounding on the diagonal
    return kernel(d2)


def _compact(own: CentreJacobians, structure: int) -> list[FloatArray]:
    """Jacobians of one structure without what is zero."""
    parts = zip(own.jacobians[structure], own.rows, own.features, strict=True)
    return [np.ascontiguousarray(jacobian[rows[:, None], at]) for jacobian, rows, at in parts]


def _pair(own: CentreJacobians, compact: list[FloatArray], other: FloatArray, k1: FloatArray) -> FloatArray:
    """Σ_cd k1_cd J_cᵀ J_d of two structures; the centres d are summed first."""
    summed = (k1 @ other.reshape(len(other), -1)).reshape(other.shape)
    out = np.zeros((other.shape[1], other.shape[1]), other.dtype)
    for part, rows, at, theirs in zip(compact, own.rows, own.features, summed, strict=True):
        out[rows] += part @ theirs.take(at, axis=1).T
    return out
