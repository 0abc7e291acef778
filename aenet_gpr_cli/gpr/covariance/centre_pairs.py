"""Covariance of energies and gradients as a mean over all pairs of centres, k = C⁻² Σ_cd k(x_c - x'_d).

The kernel of the authors' package for SOAP about C centres (theirs is the sum: the same with signal_std / C).
A structure is C points that share one energy weight and one gradient, so with P repeating the rows of a
structure for its centres K = C⁻² Pᵀ K_points P. Compare the one long vector, k(x - x') with
|x - x'|² = Σ_c |x_c - x'_c|²: for the squared exponential the *product* of the kernels of equal centres. The
product is near zero once one centre differs much; the mean still compares the others, unlike centres, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor, Index
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.covariance.centre_blocks import CentreJacobians, fill
from aenet_gpr_cli.gpr.covariance.observation_order import Rows, split_rows, stack_rows
from aenet_gpr_cli.gpr.kernels.expansion import expand, squared_distances
from aenet_gpr_cli.gpr.kernels.stationary import Kernel, KernelValues
from aenet_gpr_cli.structures import FloatArray

SINGLE_DROPPED = 3e-5  # of the mean square of Jacobians: what single precision may do without
BLOCK = 64  # structures per row block of a matrix-free product


@dataclass(frozen=True, slots=True)
class CentrePairCovariance(Rows):
    """Covariance of a set of structures of C centres each, with the methods of `Covariance`.

    ``kernel`` is that between two centres, so the covariance of a structure with itself is at most 1;
    ``points`` hold the features of one centre after another; ``origin`` is that of one centre.

    Attributes
    ----------
    n_centres : int
        C.
    """

    n_centres: int

    @classmethod
    def of(
        cls, kernel: Kernel, descriptor: Descriptor, positions: FloatArray, n_centres: int
    ) -> CentrePairCovariance:
        """Return the covariance of the structures at ``positions``.

        Parameters
        ----------
        kernel : Kernel
        descriptor : Descriptor
            Features of one centre after another.
        positions : ndarray of shape (n_structures, n_atoms, 3), Å
        n_centres : int

        Returns
        -------
        CentrePairCovariance

        Raises
        ------
        InputError
            If the descriptor does not divide into so many centres.
        """
        if n_centres < 1 or descriptor.n_features % n_centres:
            raise InputError(
                f"centre pairs: expected features for {n_centres} centres, got {descriptor.n_features}"
            )
        points = descriptor.linearize(positions)
        origin = points.values.reshape(-1, descriptor.n_features // n_centres).mean(axis=0)
        return cls(kernel, points, origin, positions.shape[1], n_centres)

    @property
    def x(self) -> FloatArray:
        """Centred descriptors of all points, shape (n_structures * n_centres, n_features)."""
        return self.points.values.reshape(-1, len(self.origin)) - self.origin

    def energy_variances(self, values: FloatArray) -> FloatArray:
        """Return the prior variance of the energy of new structures, for unit signal variance.

        Parameters
        ----------
        values : ndarray of shape (m, n_centres * n_features)
            Descriptors of the structures.

        Returns
        -------
        ndarray of shape (m,), between 1 / n_centres and 1
        """
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
        fill(self.kernel, own, own, matrix, lower=True)
        return matrix

    def columns(self, index: Index) -> FloatArray:
        """Return the columns of K that belong to the structures ``index``.

        Parameters
        ----------
        index : slice or ndarray of int

        Returns
        -------
        ndarray of shape (n_rows, m * (1 + 3 * n_atoms))
        """
        own = self._jacobians()
        other = own.select(index)
        matrix = np.empty((self.n_rows, len(other.x) * (1 + 3 * self.n_atoms)))
        fill(self.kernel, own, other, matrix, lower=False)
        return matrix

    def energy_columns(self, values: FloatArray) -> FloatArray:
        """Return the covariance of all rows with the energies of new structures, without their Jacobians.

        Parameters
        ----------
        values : ndarray of shape (m, n_centres * n_features)
            Descriptors of the new structures, not centred; of one image where the centres are images under
            permutations: all of them say the same.

        Returns
        -------
        ndarray of shape (n_rows, m)
        """
        n, size, own = self.n_structures, self.n_centres, self.x
        out = np.empty((self.n_rows, len(values)))
        for column, one in enumerate(values):
            y = one.reshape(-1, own.shape[1]) - self.origin
            k, k1, _ = self.kernel(squared_distances(own, y))
            pull = (k1 @ y - k1.sum(axis=1)[:, None] * own) / (size * len(y))
            out[:n, column] = k.reshape(n, -1).mean(axis=1)
            out[n:, column] = self.points.vjp(pull.reshape(n, -1)).ravel()
        return out

    def tables(self, max_bytes: int) -> list[KernelValues] | None:
        """Return the kernel values of all pairs of centres for many products, see `Covariance.tables`.

        Parameters
        ----------
        max_bytes : int

        Returns
        -------
        list of (k, k1, k2) per block of structures, or None
        """
        if 24 * (self.n_structures * self.n_centres) ** 2 > max_bytes:
            return None
        return [self._table(rows) for rows in self._row_blocks()]

    def product(self, vectors: FloatArray, tables: list[KernelValues] | None = None) -> FloatArray:
        """Return K V without ever forming K.

        Parameters
        ----------
        vectors : ndarray of shape (n_rows, n_vectors)
        tables : list or None
            Kernel values from `tables`.

        Returns
        -------
        ndarray of shape (n_rows, n_vectors)

        Notes
        -----
        Four products of size nC × nC × p per vector, and one J t and one Jᵀ w per structure.
        """
        n, size, x, out = self.n_structures, self.n_centres, self.x, np.empty_like(vectors)
        for v, vector in enumerate(vectors.T):
            energies, gradients = split_rows(vector, n)
            repeated = np.repeat(energies, size)
            contracted = self.points.jvp(gradients).reshape(x.shape)
            values, slopes = np.empty(n * size), np.empty_like(x)
            for number, rows in enumerate(self._row_blocks()):
                table = self._table(rows) if tables is None else tables[number]
                values[rows], slopes[rows] = expand(table, x[rows], x, repeated, contracted)
            gathered = self.points.vjp(slopes.reshape(n, -1))
            out[:, v] = stack_rows(values.reshape(n, size).sum(axis=1), gathered) / size**2
        return out

    def _row_blocks(self) -> list[slice]:
        total, step = self.n_structures * self.n_centres, BLOCK * self.n_centres
        return [slice(start, min(start + step, total)) for start in range(0, total, step)]

    def _table(self, rows: slice) -> KernelValues:
        d2 = squared_distances(self.x[rows], self.x)
        local = np.arange(len(d2))
        d2[local, local + rows.start] = 0.0  # no rounding on the diagonal
        return self.kernel(d2)

    def _jacobians(self, dtype: type = np.float64, dropped: float = 0.0) -> CentreJacobians:
        x = self.x.reshape(self.n_structures, self.n_centres, -1)
        return CentreJacobians.of(self.points, x, dtype, dropped)
