"""The interface between a global descriptor x(R) and the Gaussian process.

Owns the two protocols; each descriptor lives in its own module. The process needs values and products with
the Jacobian J = ∂x/∂R; the dense Jacobian is asked for only in small blocks of structures.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.structures import FloatArray, IntArray

Index = slice | IntArray | NDArray[np.intp]


class Linearisation(Protocol):
    """Descriptor values at some structures, with everything needed for products with the Jacobian.

    Keeps the geometry, so that repeated products cost no distances.
    """

    @property
    def values(self) -> FloatArray:
        """Descriptor x, shape (n_structures, n_features)."""
        ...

    def jacobian(self, index: Index) -> FloatArray:
        """Return J = ∂x/∂R of the structures ``index``, shape (n, n_features, 3 n_atoms)."""
        ...

    def jvp(self, tangents: FloatArray) -> FloatArray:
        """Return J t for ``tangents`` (n, n_atoms, 3), shape (n, n_features)."""
        ...

    def vjp(self, cotangents: FloatArray) -> FloatArray:
        """Return Jᵀ c for ``cotangents`` (n, n_features), shape (n, n_atoms, 3)."""
        ...

    def select(self, index: Index) -> Linearisation:
        """Return the same for the structures ``index``."""
        ...


class Descriptor(Protocol):
    """Global descriptor of structures with the same atoms, a smooth function of the positions.

    Every method takes ``positions``, an array of shape (n_structures, n_atoms, 3) in Å.
    """

    @property
    def name(self) -> str:
        """Name used in configurations and artefacts."""
        ...

    @property
    def n_features(self) -> int:
        """Length p of the descriptor."""
        ...

    def values(self, positions: FloatArray) -> FloatArray:
        """Return x, shape (n_structures, n_features)."""
        ...

    def linearise(self, positions: FloatArray) -> Linearisation:
        """Return values and Jacobian products at ``positions``."""
        ...

    def jacobian(self, positions: FloatArray) -> FloatArray:
        """Return J, shape (n_structures, n_features, 3 n_atoms)."""
        ...

    def jvp(self, positions: FloatArray, tangents: FloatArray) -> FloatArray:
        """Return J t for ``tangents`` (n, n_atoms, 3), shape (n, n_features)."""
        ...

    def vjp(self, positions: FloatArray, cotangents: FloatArray) -> FloatArray:
        """Return Jᵀ c for ``cotangents`` (n, n_features), shape (n, n_atoms, 3)."""
        ...


class DescriptorProducts:
    """Jacobian products of a descriptor that implements ``linearise``."""

    def linearise(self, positions: FloatArray) -> Linearisation:
        """Return values and Jacobian products at ``positions``."""
        raise NotImplementedError

    def jacobian(self, positions: FloatArray) -> FloatArray:
        """Return the dense Jacobian ∂x/∂R.

        Returns
        -------
        ndarray of shape (n_structures, n_features, 3 * n_atoms), unit of x per Å

        Notes
        -----
        Large: use the products where they suffice.
        """
        return self.linearise(positions).jacobian(slice(None))

    def jvp(self, positions: FloatArray, tangents: FloatArray) -> FloatArray:
        """Return the directional derivative J t.

        Parameters
        ----------
        positions : ndarray of shape (n_structures, n_atoms, 3), Å
        tangents : ndarray of shape (n_structures, n_atoms, 3)

        Returns
        -------
        ndarray of shape (n_structures, n_features)
        """
        return self.linearise(positions).jvp(tangents)

    def vjp(self, positions: FloatArray, cotangents: FloatArray) -> FloatArray:
        """Return the gradient Jᵀ c of c·x(R) with respect to the positions.

        Parameters
        ----------
        positions : ndarray of shape (n_structures, n_atoms, 3), Å
        cotangents : ndarray of shape (n_structures, n_features)

        Returns
        -------
        ndarray of shape (n_structures, n_atoms, 3)
        """
        return self.linearise(positions).vjp(cotangents)
