"""The same products and the same factor on a device of torch, on request: GPUs for the heavy parts.

Jacobian products stay in numpy (O(n p) numbers); the pairs of structures, O(n² p), are the device's. Double
precision throughout.
"""

from __future__ import annotations

import numpy as np
import torch

from aenet_gpr_cli.devices import open_device
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.gpr.covariance.observation_order import split_rows, stack_rows
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import KernelValues
from aenet_gpr_cli.structures import FloatArray


class DeviceProducts:
    """K V as `Covariance.product`, with the kernel values of all pairs held on a device.

    Parameters
    ----------
    device : str
        See `open_device`.

    Raises
    ------
    ConfigError
        If the device is missing or the covariance is not of one point per structure.
    """

    def __init__(self, covariance: Covariance, device: str) -> None:
        if covariance.n_centres > 1:
            raise ConfigError("device: pairs of centres (soap.compare, permutations) run on the CPU only")
        self._covariance, self._device = covariance, open_device(device)
        self._x = self._put(covariance.x / covariance.kernel.length_scale)
        self._blocks = covariance.row_blocks()
        self._tables = [self._table(covariance.table(rows)) for rows in self._blocks]

    def __call__(self, vectors: FloatArray) -> FloatArray:
        """Return K V for V of shape (n_rows, n_vectors)."""
        n, points = self._covariance.n_structures, self._covariance.points
        length, out = self._covariance.kernel.length_scale, np.empty_like(vectors)
        weights = [split_rows(v, n) for v in vectors.T]
        energies = self._put(np.stack([e for e, _ in weights]))
        contracted = self._put(np.stack([points.jvp(g) / length for _, g in weights]))
        values, slopes = (part.cpu().numpy() for part in self._expand(energies, contracted))
        for v in range(len(weights)):
            out[:, v] = stack_rows(values[v], points.vjp(slopes[v] / length))
        return out

    def _expand(self, a: torch.Tensor, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`expansion.expand` at all structures: a (n_vectors, n), u (n_vectors, n, p)."""
        values, slopes = torch.empty_like(a), torch.empty_like(u)
        shift = torch.einsum("jp,vjp->vj", self._x, u)[:, None]
        for rows, (k, k1, k2) in zip(self._blocks, self._tables, strict=True):
            s = self._x[rows] @ u.transpose(1, 2) - shift
            values[:, rows] = a @ k.T + (k1 * s).sum(dim=2)
            s = k1 * a[:, None] + k2 * s
            slopes[:, rows] = s @ self._x - s.sum(dim=2, keepdim=True) * self._x[rows] + k1 @ u
        return values, slopes

    def _put(self, array: FloatArray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _table(self, values: KernelValues) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        k, k1, k2 = values
        on_device = self._put(k)
        if k1 is k:  # the squared exponential: one table serves three times
            return on_device, on_device, on_device
        return on_device, self._put(k1), self._put(k2)


def factorise_on(device: str, matrix: FloatArray) -> int:
    """Factorise in place, K = L Lᵀ, on a device.

    Parameters
    ----------
    matrix : ndarray of shape (n, n), C order
        Only its lower triangle counts; overwritten by L.

    Returns
    -------
    int
        0, or the row at which the matrix is not positive definite.
    """
    factor, info = torch.linalg.cholesky_ex(torch.from_numpy(matrix).to(open_device(device)))
    if int(info) == 0:
        matrix[...] = factor.cpu().numpy()
    return int(info)
