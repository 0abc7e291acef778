"""Covariances of energies and energy gradients, in the order of `rows`, for unit signal variance.

With d = x_i - x_j:

    cov(E_i, E_j)   = k
    cov(E_i, ∂E_j)  = k1 dᵀJ_j
    cov(∂E_i, ∂E_j) = J_iᵀ (k1 - k2 d dᵀ) J_j
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor, Index
from aenet_gpr_cli.gpr.covariance.observation_order import Rows, split_rows, stack_rows
from aenet_gpr_cli.gpr.kernels.expansion import expand, squared_distances
from aenet_gpr_cli.gpr.kernels.stationary import Kernel, KernelValues, SquaredExponential
from aenet_gpr_cli.structures import FloatArray

PRODUCT_BLOCK = (
    512  # structures per row block of a matrix-free product: bounds its memory at 6 * 512 * n numbers
)


@dataclass(frozen=True, slots=True)
class Covariance(Rows):
    """Covariance matrix K of the energies and gradients of a set of structures, never stored here."""

    @classmethod
    def of(cls, kernel: Kernel, descriptor: Descriptor, positions: FloatArray) -> Covariance:
        """Return the covariance of the structures at ``positions``.

        Parameters
        ----------
        kernel : Kernel
        descriptor : Descriptor
        positions : ndarray of shape (n_structures, n_atoms, 3), Å

        Returns
        -------
        Covariance
        """
        points = descriptor.linearize(positions)
        return cls(kernel, points, points.values.mean(axis=0), positions.shape[1])

    @property
    def x(self) -> FloatArray:
        """Centred descriptors, shape (n_structures, n_features)."""
        return self.points.values - self.origin

    def energy_variances(self, values: FloatArray) -> FloatArray:
        """Return the prior variance of the energy of new structures: 1 for unit signal variance.

        Parameters
        ----------
        values : ndarray of shape (m, n_features)

        Returns
        -------
        ndarray of shape (m,)
        """
        return np.ones(len(values))

    def dense(self) -> FloatArray:
        """Return K in full storage with only its lower triangle set.

        Returns
        -------
        ndarray of shape (n_rows, n_rows), C order
            Zeros above the diagonal blocks of structures.

        Notes
        -----
        n_rows² numbers, filled in place; temporary memory is one row of blocks and the dense Jacobian.
        """
        matrix = np.zeros((self.n_rows, self.n_rows))
        self._fill(matrix, self, lower=True)
        return matrix

    def columns(self, index: Index) -> FloatArray:
        """Return the columns of K that belong to the structures ``index``.

        Parameters
        ----------
        index : slice or ndarray of int

        Returns
        -------
        ndarray of shape (n_rows, m * (1 + 3 * n_atoms))
            Columns ordered as the rows of ``select(index)``.
        """
        other = self.select(index)
        matrix = np.empty((self.n_rows, other.n_rows))
        self._fill(matrix, other, lower=False)
        return matrix

    def energy_columns(self, x: FloatArray) -> FloatArray:
        """Return the covariance of all rows with the energies of new structures.

        cov(∂E_i, E_*) = -k1 J_iᵀ(x_i - x_*); needs no Jacobian of the new structures.

        Parameters
        ----------
        x : ndarray of shape (m, n_features)
            Descriptors of the new structures, not centred.

        Returns
        -------
        ndarray of shape (n_rows, m)
        """
        n, own = self.n_structures, self.x
        k, k1, _ = self.kernel(squared_distances(own, x - self.origin))
        out = np.empty((self.n_rows, len(x)))
        out[:n] = k
        for column in range(len(x)):
            pull = k1[:, column, None] * ((x[column] - self.origin) - own)
            out[n:, column] = self.points.vjp(pull).ravel()
        return out

    def tables(self, max_bytes: int) -> list[KernelValues] | None:
        """Return the kernel values of all pairs of structures, to be reused by many products.

        Parameters
        ----------
        max_bytes : int
            None is returned where they are larger: 24 n² bytes, 8 n² for the squared exponential.

        Returns
        -------
        list of (k, ℓ² k1, ℓ⁴ k2) per block of structures, or None
        """
        each = 8 if isinstance(self.kernel, SquaredExponential) else 24
        if each * self.n_structures**2 > max_bytes:
            return None
        return [self.table(rows) for rows in self.row_blocks()]

    def product(self, vectors: FloatArray, tables: list[KernelValues] | None = None) -> FloatArray:
        """Return K V without ever forming K.

        Parameters
        ----------
        vectors : ndarray of shape (n_rows, n_vectors)
        tables : list or None
            Kernel values from `tables`; computed on the way where None.

        Returns
        -------
        ndarray of shape (n_rows, n_vectors)

        Notes
        -----
        Three products of size n × n × p per vector: O(n²p) time, O(block · n + n p) memory. In units of ℓ.
        """
        n, length, out = self.n_structures, self.kernel.length_scale, np.empty_like(vectors)
        x = self.x / length
        weights = [split_rows(v, n) for v in vectors.T]
        contracted = [self.points.jvp(gradients) / length for _, gradients in weights]
        values, slopes = np.empty((len(weights), n)), np.empty((len(weights), *x.shape))
        for number, rows in enumerate(self.row_blocks()):
            table = self.table(rows) if tables is None else tables[number]
            for v, u in enumerate(contracted):
                values[v, rows], slopes[v, rows] = expand(table, x[rows], x, weights[v][0], u)
        for v in range(len(weights)):
            # the rows of ∂E are Jᵀ of the gradient of the same expansion with respect to x_i
            out[:, v] = stack_rows(values[v], self.points.vjp(slopes[v] / length))
        return out

    def row_blocks(self) -> list[slice]:
        """Return the blocks of structures that `product` takes one after another."""
        n = self.n_structures
        return [slice(start, min(start + PRODUCT_BLOCK, n)) for start in range(0, n, PRODUCT_BLOCK)]

    def table(self, rows: slice) -> KernelValues:
        """Return (k, ℓ² k1, ℓ⁴ k2) between ``rows`` and all structures; equal ones are the same array."""
        x = self.x
        d2 = squared_distances(x[rows], x)
        local = np.arange(len(d2))
        d2[local, local + rows.start] = 0.0  # no rounding on the diagonal
        if isinstance(self.kernel, SquaredExponential):
            k = self.kernel.value(d2)
            return k, k, k  # in units of ℓ all three are the same: a third of the memory
        k, k1, k2 = self.kernel(d2)
        return k, k1 * self.kernel.length_scale**2, k2 * self.kernel.length_scale**4

    def _fill(self, out: FloatArray, other: Covariance, lower: bool) -> None:
        n, m, width = self.n_structures, other.n_structures, 3 * self.n_atoms
        x, y = self.x, other.x
        d2 = squared_distances(x, y)
        if lower:
            np.fill_diagonal(d2, 0.0)
        k, k1, k2 = self.kernel(d2)
        jacobians = np.ascontiguousarray(other.points.jacobian(slice(None)).transpose(0, 2, 1))
        flat = jacobians.reshape(m * width, -1)
        # (x_i - y_j)ᵀ J_j for all i, j
        right = (x @ flat.T).reshape(n, m, width)
        right -= np.einsum("jp,jap->ja", y, jacobians)
        out[:n, :m] = k
        if not lower:
            out[:n, m:] = (k1[..., None] * right).reshape(n, -1)
        for i in range(n):
            stop = i + 1 if lower else m
            own = self.points.jacobian(slice(i, i + 1))[0].T
            left = (x[i] - y[:stop]) @ own.T  # (x_i - y_j)ᵀ J_i
            rows = slice(n + i * width, n + (i + 1) * width)
            block = (own @ flat[: stop * width].T).reshape(width, stop, width)
            block *= k1[i, :stop, None]
            block -= left.T[:, :, None] * (k2[i, :stop, None] * right[i, :stop])
            out[rows, m : m + stop * width] = block.reshape(width, -1)
            out[rows, :m] = -(k1[i] * ((x[i] - y) @ own.T).T)
