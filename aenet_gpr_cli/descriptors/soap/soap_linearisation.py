"""SOAP at some structures, with what products with the Jacobian need. The arithmetic is that of `soap`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Index
from aenet_gpr_cli.structures import FloatArray

if TYPE_CHECKING:
    from aenet_gpr_cli.descriptors.soap.soap_descriptor import Soap


@dataclass(frozen=True, slots=True)
class SoapLinearization:
    """Power spectra, expansion coefficients, and their slopes where they fit into memory.

    Attributes
    ----------
    descriptor : Soap
    positions : ndarray of shape (n_structures, n_atoms, 3), Å
    values : ndarray of shape (n_structures, n_features)
    coefficients : ndarray of shape (n_structures, n_local, n_species * n_max, (l_max + 1)²)
    kept : ndarray of shape (n_structures, n_local, n_atoms, 3, n_max, (l_max + 1)²), or None
        `Soap.slopes`; None where they are made anew for each product.
    """

    descriptor: Soap
    positions: FloatArray
    values: FloatArray
    coefficients: FloatArray
    kept: FloatArray | None

    def jacobian(self, index: Index) -> FloatArray:
        """Return J = ∂x/∂R of the structures ``index``, shape (n, n_features, 3 n_atoms)."""
        soap, chosen = self.descriptor, np.arange(len(self.values))[index]
        out = np.empty((len(chosen), 3 * soap.n_atoms, soap.n_features))
        for row, i in enumerate(chosen):
            out[row] = soap.jacobian_one(self.coefficients[i], self._slopes(i))
        return out.transpose(0, 2, 1)

    def jacobian_along(self, i: int, directions: FloatArray, own: FloatArray) -> FloatArray:
        """Return Jᵀ of structure ``i`` along directions, see `Soap.jacobian_along`.

        Parameters
        ----------
        i : int
        directions : ndarray of shape (n_features / n_centres, q)
        own : ndarray of shape (n_centres, n_features / n_centres)

        Returns
        -------
        ndarray of shape (n_centres, 3 * n_atoms, q + 1)
        """
        return self.descriptor.jacobian_along(self.coefficients[i], self._slopes(i), directions, own)

    def jvp(self, tangents: FloatArray) -> FloatArray:
        """Return J t for ``tangents`` (n, n_atoms, 3), shape (n, n_features)."""
        out = np.empty(self.values.shape)
        for i, tangent in enumerate(tangents):
            out[i] = self.descriptor.jvp_one(self.coefficients[i], self._slopes(i), tangent)
        return out

    def vjp(self, cotangents: FloatArray) -> FloatArray:
        """Return Jᵀ w for ``cotangents`` (n, n_features), shape (n, n_atoms, 3)."""
        out = np.empty(self.positions.shape)
        for i, cotangent in enumerate(cotangents):
            out[i] = self.descriptor.vjp_one(self.coefficients[i], self._slopes(i), cotangent)
        return out

    def select(self, index: Index) -> SoapLinearization:
        """Return the same for the structures ``index``."""
        kept = None if self.kept is None else self.kept[index]
        return SoapLinearization(
            self.descriptor, self.positions[index], self.values[index], self.coefficients[index], kept
        )

    def _slopes(self, i: int) -> FloatArray:
        return self.descriptor.slopes(self.positions[i]) if self.kept is None else self.kept[i]
