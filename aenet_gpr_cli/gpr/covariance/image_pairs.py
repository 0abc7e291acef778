"""Covariance of structures with their images under a group: one argument's images are summed, not both.

For a group G that moves both structures alike, k(x(gR), x(hR')) = k(x(R), x(g⁻¹hR')), so that

    |G|⁻² Σ_gh k(x(gR), x(hR')) = |G|⁻¹ Σ_h k(x(R), x(hR')):

the same kernel, prior variance included, for |G| products instead of |G|². Rows are taken at one image of a
structure; columns sum over all images. Derivatives follow: cov(∂E_i, ·) holds the Jacobian of that image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor, Index, Linearisation
from aenet_gpr_cli.descriptors.interface.feature_distances import squared_distances
from aenet_gpr_cli.descriptors.structure.permutation import first_image, images_of
from aenet_gpr_cli.gpr.covariance.centre_pairs import CentrePairCovariance
from aenet_gpr_cli.gpr.covariance.observation_order import matrix_views
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import Kernel
from aenet_gpr_cli.structures import FloatArray

BLOCK = 32  # structures whose products with one other are made together: stays in the cache


def make_covariance(kernel: Kernel, points: Linearisation, origin: FloatArray, n_atoms: int) -> Covariance:
    """Return the covariance of structures of as many centres or images as ``origin`` fits in."""
    size = points.values.shape[1] // len(origin)
    if size == 1:
        return Covariance(kernel, points, origin, n_atoms)
    made = ImageCovariance if images_of(points) == size else CentrePairCovariance
    return made(kernel, points, origin, n_atoms)


def covariance_at(
    kernel: Kernel, descriptor: Descriptor, positions: FloatArray, n_centres: int
) -> Covariance:
    """Return the covariance of the structures at ``positions`` (n_structures, n_atoms, 3), Å.

    Raises
    ------
    InputError
        If the descriptor does not divide into so many centres.
    """
    made = CentrePairCovariance.of(kernel, descriptor, positions, n_centres)
    return make_covariance(kernel, made.points, made.origin, made.n_atoms)


@dataclass(frozen=True, slots=True)
class ImageCovariance(CentrePairCovariance):
    """Covariance of structures of which ``points`` are all images under a group."""

    @property
    def own(self) -> Linearisation:
        """One image of each structure."""
        return first_image(self.points)

    def energy_variances(self, values: FloatArray) -> FloatArray:
        """Return the prior variances of the energies of new structures, see `Covariance`."""
        x = values.reshape(len(values), self.n_centres, -1)
        d = x - x[:, :1]
        return np.asarray(self.kernel.value(np.einsum("mcp,mcp->mc", d, d)).mean(axis=1))

    def dense(self, dtype: type = np.float64) -> FloatArray:
        """Return K in full storage with only its lower triangle (of blocks of structures) set.

        Parameters
        ----------
        dtype : numpy type
            Precision of Jacobians and matrix.

        Returns
        -------
        ndarray of shape (n_rows, n_rows), C order

        Notes
        -----
        9 N² p operations per pair of structures, and 6 N C (p + 3 N) for the images.
        """
        matrix: FloatArray = np.zeros((self.n_rows, self.n_rows), dtype)
        self._fill_images(matrix, self, lower=True)
        return matrix

    def columns(self, index: Index) -> FloatArray:
        """Return the columns of K that belong to the structures ``index``, ordered as their own rows."""
        other = self.select(index)
        matrix = np.empty((self.n_rows, other.n_rows))
        self._fill_images(matrix, other, lower=False)
        return matrix

    def _fill_images(self, out: FloatArray, other: ImageCovariance, lower: bool) -> None:
        n, m, size = self.n_structures, other.n_structures, other.n_centres
        x, y = self.own_x, other.x
        d2 = squared_distances(x, y)
        if lower:
            d2[np.arange(n), np.arange(n) * size] = 0.0  # no rounding on the diagonal
        tables = (v.astype(out.dtype, copy=False) for v in self.kernel(d2))
        k, k1, k2 = (v.reshape(n, m, size) / size for v in tables)
        x, y = x.astype(out.dtype, copy=False), y.astype(out.dtype, copy=False)
        own = _transposed(self.own, slice(None), 1, out.dtype)[:, 0]
        width, p = own.shape[1:]
        along = np.einsum("iap,ip->ia", own, x)
        energies, energy_gradients, gradient_energies, gradients = matrix_views(out, n, m)
        energies[...] = k.sum(axis=2)
        for j in range(m):
            images = y[j * size : (j + 1) * size]
            theirs = _transposed(other.points, slice(j, j + 1), size, out.dtype)[0]
            # J_iᵀ(x_i - y_jc) and (x_i - y_jc)ᵀJ_jc
            left = along[:, :, None] - (own.reshape(-1, p) @ images.T).reshape(n, width, size)
            right = (x @ theirs.reshape(-1, p).T).reshape(n, size, -1)
            right -= np.einsum("cap,cp->ca", theirs, images)
            gradient_energies[:, :, j] = -(left @ k1[:, j, :, None])[..., 0]
            if not lower:
                energy_gradients[:, j] = (k1[:, j, None] @ right)[:, 0]
            left *= k2[:, j, None]
            flat = theirs.reshape(size, -1)
            for start in range(j if lower else 0, n, BLOCK):
                rows = slice(start, min(start + BLOCK, n))
                summed = (k1[rows, j] @ flat).reshape(-1, theirs.shape[1], p)
                pair = own[rows] @ summed.transpose(0, 2, 1)
                pair -= left[rows] @ right[rows]
                gradients[rows, :, j] = pair


def _transposed(points: Linearisation, index: Index, size: int, dtype: np.dtype[np.floating]) -> FloatArray:
    """Jacobians, (n, size, 3 * n_atoms, n_features)."""
    jacobian = points.jacobian(index)
    n, _, width = jacobian.shape
    return np.ascontiguousarray(jacobian.reshape(n, size, -1, width).transpose(0, 1, 3, 2), dtype)
