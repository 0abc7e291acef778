"""SOAP power spectra as a global descriptor: averaged over centres, atom-centred, or about fixed centres.

All derivatives are analytic; dscribe has analytic ones for isolated structures without average only. Periodic
directions need whole cells, not wrapped atoms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import DescriptorProducts, Index
from aenet_gpr_cli.descriptors.soap.soap_expansion import SoapExpansion
from aenet_gpr_cli.descriptors.soap.soap_products import (
    direction_tables,
    soap_jacobian,
    soap_jacobian_along,
    soap_jvp,
    soap_vjp,
)
from aenet_gpr_cli.structures import FloatArray

KEEP_BYTES = 2**28  # ∂c/∂R is kept between products up to this size: making it takes longer than using it


class Soap(SoapExpansion, DescriptorProducts):
    """SOAP power spectra, see `SoapExpansion`, and products with their Jacobian."""

    _tables: tuple[FloatArray, list[list[FloatArray]] | None] | None = None

    @property
    def name(self) -> str:
        """Name used in configurations and artefacts."""
        return "soap"

    def values(self, positions: FloatArray) -> FloatArray:
        """Return the power spectra.

        Returns
        -------
        ndarray of shape (n_structures, n_features), dimensionless
        """
        return np.stack([self.spectrum(self.coefficients(r)) for r in self.checked(positions)])

    def linearise(self, positions: FloatArray) -> SoapLinearisation:
        """Return values and analytic Jacobian products.

        Returns
        -------
        SoapLinearisation
        """
        coefficients = np.stack([self.coefficients(r) for r in self.checked(positions)])
        values = np.stack([self.spectrum(c) for c in coefficients])
        kept = None
        if len(positions) * self.slope_bytes <= KEEP_BYTES:
            kept = np.stack([self.slopes(r) for r in positions])
        return SoapLinearisation(self, positions, values, coefficients, kept)

    def tables_of(self, directions: FloatArray) -> list[list[FloatArray]] | None:
        """Return `direction_tables`, kept for the directions last asked for."""
        if self._tables is None or self._tables[0] is not directions:
            self._tables = directions, direction_tables(self, directions)
        return self._tables[1]


@dataclass(frozen=True, slots=True)
class SoapLinearisation:
    """Power spectra, expansion coefficients, and their slopes where they fit into memory.

    Attributes
    ----------
    descriptor : Soap
    positions : ndarray of shape (n_structures, n_atoms, 3), Å
    values : ndarray of shape (n_structures, n_features)
    coefficients : ndarray of shape (n_structures, n_local, n_species * n_max, (l_max + 1)²)
    kept : ndarray of shape (n_structures, n_local, n_atoms, 3, n_max, (l_max + 1)²), or None
        `SoapExpansion.slopes`; None where they are made anew for each product.
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
            out[row] = soap_jacobian(soap, self.coefficients[i], self._slopes(i))
        return out.transpose(0, 2, 1)

    def jacobian_along(self, i: int, directions: FloatArray, own: FloatArray) -> FloatArray:
        """Return Jᵀ of structure ``i`` along directions, see `soap_jacobian_along`."""
        soap = self.descriptor
        tables = soap.tables_of(directions)
        return soap_jacobian_along(soap, self.coefficients[i], self._slopes(i), directions, own, tables)

    def jvp(self, tangents: FloatArray) -> FloatArray:
        """Return J t for ``tangents`` (n, n_atoms, 3), shape (n, n_features)."""
        out = np.empty(self.values.shape)
        for i, tangent in enumerate(tangents):
            out[i] = soap_jvp(self.descriptor, self.coefficients[i], self._slopes(i), tangent)
        return out

    def vjp(self, cotangents: FloatArray) -> FloatArray:
        """Return Jᵀ w for ``cotangents`` (n, n_features), shape (n, n_atoms, 3)."""
        out = np.empty(self.positions.shape)
        for i, cotangent in enumerate(cotangents):
            out[i] = soap_vjp(self.descriptor, self.coefficients[i], self._slopes(i), cotangent)
        return out

    def select(self, index: Index) -> SoapLinearisation:
        """Return the same for the structures ``index``."""
        kept = None if self.kept is None else self.kept[index]
        return SoapLinearisation(
            self.descriptor, self.positions[index], self.values[index], self.coefficients[index], kept
        )

    def _slopes(self, i: int) -> FloatArray:
        return self.descriptor.slopes(self.positions[i]) if self.kept is None else self.kept[i]
