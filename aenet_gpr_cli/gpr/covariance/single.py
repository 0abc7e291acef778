"""Covariances of energies and their gradients, in the order of `observation_order`, unit signal variance.

With d = x_i - x_j:

    cov(E_i, E_j)   = k
    cov(E_i, ∂E_j)  = k1 dᵀJ_j
    cov(∂E_i, ∂E_j) = J_iᵀ (k1 - k2 d dᵀ) J_j

A structure may consist of C points (centres), all pairs of which are compared: the kernel is then C⁻² Σ_cd
k(x_c - x'_d), a structure C points that share one energy weight and one gradient, and with P repeating the
rows of a structure for its centres K = C⁻² Pᵀ K_points P. Products and columns here hold for any C; the dense
matrix of several centres is that of `centre_pairs`. Where the points are images under a group, one of them
suffices for the rows, see `image_pairs`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor, Index, Linearisation
from aenet_gpr_cli.descriptors.interface.feature_distances import squared_distances
from aenet_gpr_cli.gpr.covariance.observation_order import (
    matrix_views,
    n_rows,
    noise_variances,
    row_views,
    split_rows,
    stack_rows,
)
from aenet_gpr_cli.gpr.kernels.expansion import expand
from aenet_gpr_cli.gpr.kernels.stationary import Kernel, KernelValues, SquaredExponential
from aenet_gpr_cli.structures import FloatArray

# points per row block of a matrix-free product: bounds its memory at 6 * 512 * n numbers
PRODUCT_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Covariance:
    """Covariance matrix K of the energies and gradients of a set of structures, never stored here.

    Attributes
    ----------
    kernel : Kernel
    points : Linearisation
        Descriptor and Jacobian products at the structures, features of one centre after another.
    origin : ndarray of shape (n_features,)
        Subtracted from the descriptors of every centre.
    n_atoms : int
    """

    kernel: Kernel
    points: Linearisation
    origin: FloatArray
    n_atoms: int

    @classmethod
    def of(cls, kernel: Kernel, descriptor: Descriptor, positions: FloatArray) -> Covariance:
        """Return the covariance of the structures at ``positions`` (n_structures, n_atoms, 3), Å."""
        points = descriptor.linearise(positions)
        return cls(kernel, points, points.values.mean(axis=0), positions.shape[1])

    @property
    def n_structures(self) -> int:
        """Number of structures."""
        return len(self.points.values)

    @property
    def n_rows(self) -> int:
        """Number of rows, n(1+3N)."""
        return n_rows(self.n_structures, self.n_atoms)

    @property
    def n_centres(self) -> int:
        """Points per structure, C."""
        return self.points.values.shape[1] // len(self.origin)

    @property
    def x(self) -> FloatArray:
        """Centred descriptors of all points, shape (n_structures * n_centres, n_features)."""
        return self.points.values.reshape(-1, len(self.origin)) - self.origin

    @property
    def own(self) -> Linearisation:
        """Those points of each structure that rows are taken at, to be compared with all points."""
        return self.points

    @property
    def own_x(self) -> FloatArray:
        """Centred descriptors of `own`, as ``x``."""
        return self.own.values.reshape(-1, len(self.origin)) - self.origin

    def select(self, index: Index) -> Self:
        """Return the covariance of the structures ``index`` alone, with the same origin."""
        return replace(self, points=self.points.select(index))

    def noise_variances(self, noise_energy: float, noise_force: float) -> FloatArray:
        """Return the diagonal of the noise covariance, see `observation_order.noise_variances`."""
        return noise_variances(self.n_structures, self.n_rows, noise_energy, noise_force)

    def energy_variances(self, values: FloatArray) -> FloatArray:
        """Return the prior variances of the energies of new structures, for unit signal variance.

        Parameters
        ----------
        values : ndarray of shape (m, n_centres * n_features)

        Returns
        -------
        ndarray of shape (m,), between 1 / n_centres and 1
        """
        return np.ones(len(values))

    def dense(self) -> FloatArray:
        """Return K in full storage, C order, with only its lower triangle (of blocks of structures) set.

        Notes
        -----
        n_rows² numbers, filled in place; temporary memory is one row of blocks and the dense Jacobian.
        """
        matrix = np.zeros((self.n_rows, self.n_rows))
        self._fill(matrix, self, lower=True)
        return matrix

    def columns(self, index: Index) -> FloatArray:
        """Return the columns of K that belong to the structures ``index``, ordered as their own rows."""
        other = self.select(index)
        matrix = np.empty((self.n_rows, other.n_rows))
        self._fill(matrix, other, lower=False)
        return matrix

    def energy_columns(self, values: FloatArray) -> FloatArray:
        """Return the covariance of all rows with the energies of new structures, without their Jacobians.

        cov(∂E_i, E_*) = -k1 J_iᵀ(x_i - x_*).

        Parameters
        ----------
        values : ndarray of shape (m, n_new * n_features)
            Descriptors of the new structures, not centred, with all their centres or images.

        Returns
        -------
        ndarray of shape (n_rows, m)
        """
        n, points, own, m = self.n_structures, self.own, self.own_x, len(values)
        new = values.reshape(m, -1, len(self.origin)) - self.origin
        n_new, size = new.shape[1], len(own) // n
        tables = self.kernel(squared_distances(own, new.reshape(m * n_new, -1)))
        k, k1 = (table.reshape(-1, m, n_new) for table in tables[:2])
        out = np.empty((self.n_rows, m))
        energies, gradients = row_views(out, n)
        energies[...] = k.reshape(n, size, m, n_new).sum(axis=(1, 3)) / (size * n_new)
        for column, centres in enumerate(new):
            weights = k1[:, column]
            pull = weights @ centres - weights.sum(axis=1)[:, None] * own
            pulled = points.vjp(pull.reshape(n, -1))
            gradients[..., column] = pulled.reshape(n, -1) / (size * n_new)
        return out

    def tables(self, max_bytes: int) -> list[KernelValues] | None:
        """Return the kernel values of all pairs of points, to be reused by many products.

        Parameters
        ----------
        max_bytes : int
            None is returned where they are larger: 24 bytes per pair, 8 for the squared exponential.

        Returns
        -------
        list of (k, ℓ² k1, ℓ⁴ k2) per block of structures, or None
        """
        each = 8 if isinstance(self.kernel, SquaredExponential) else 24
        if each * len(self.own_x) * self.n_structures * self.n_centres > max_bytes:
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
        Three products of size nC × nC × p per vector: O(n²C²p) time, O(block · nC + nC p) memory. In units
        of ℓ. With images n × nC × p.
        """
        n, size, out = self.n_structures, self.n_centres, np.empty_like(vectors)
        length, points = self.kernel.length_scale, self.own
        x, own = self.x / length, self.own_x / length
        weights = [split_rows(v, n) for v in vectors.T]
        repeated = [np.repeat(energies, size) for energies, _ in weights]
        contracted = [self.points.jvp(gradients).reshape(x.shape) / length for _, gradients in weights]
        values, slopes = np.empty((len(weights), len(own))), np.empty((len(weights), *own.shape))
        for number, rows in enumerate(self.row_blocks()):
            table = self.table(rows) if tables is None else tables[number]
            for v, u in enumerate(contracted):
                values[v, rows], slopes[v, rows] = expand(table, own[rows], x, repeated[v], u)
        for v in range(len(weights)):
            # the rows of ∂E are Jᵀ of the gradient of the same expansion with respect to x_i
            gathered = points.vjp(slopes[v].reshape(n, -1) / length)
            out[:, v] = stack_rows(values[v].reshape(n, -1).sum(axis=1), gathered) / (size * len(own) / n)
        return out

    def row_blocks(self) -> list[slice]:
        """Return the blocks of own points that `product` takes one after another, whole structures each."""
        total = len(self.own_x)
        size = total // self.n_structures
        step = max(1, PRODUCT_BLOCK // size) * size
        return [slice(start, min(start + step, total)) for start in range(0, total, step)]

    def table(self, rows: slice) -> KernelValues:
        """Return (k, ℓ² k1, ℓ⁴ k2) between own points ``rows`` and all; equal ones are the same array."""
        own = self.own_x
        d2 = squared_distances(own[rows], self.x)
        local, size = np.arange(len(d2)), len(own) // self.n_structures
        structure, centre = np.divmod(local + rows.start, size)
        d2[local, structure * self.n_centres + centre] = 0.0  # no rounding on the diagonal
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
        energies, energy_gradients, gradient_energies, gradients = matrix_views(out, n, m)
        energies[...] = k
        if not lower:
            energy_gradients[...] = k1[..., None] * right
        for i in range(n):
            stop = i + 1 if lower else m
            own = self.points.jacobian(slice(i, i + 1))[0].T
            left = (x[i] - y[:stop]) @ own.T  # (x_i - y_j)ᵀ J_i
            block = (own @ flat[: stop * width].T).reshape(width, stop, width)
            block *= k1[i, :stop, None]
            block -= left.T[:, :, None] * (k2[i, :stop, None] * right[i, :stop])
            gradients[i, :, :stop] = block
            gradient_energies[i] = -(k1[i] * ((x[i] - y) @ own.T).T)
