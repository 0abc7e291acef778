"""Gradient observations along chosen directions of each structure: fewer rows that say nearly as much.

The descriptor moves most along the stiffest directions (largest singular values of J). Along null directions
of J nothing is ever learned; leaving them out changes no result. `DirectionalPoints` looks like any other
linearization, with a third as many "atoms" as directions, so `Covariance` and the solvers need no change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Index, Linearization
from aenet_gpr_cli.gpr.covariance.null_space import NULL_MODE
from aenet_gpr_cli.structures import FloatArray


@dataclass(frozen=True, slots=True)
class DirectionalPoints:
    """Descriptor values with the Jacobian along chosen directions, J_i Q_i, held dense.

    Attributes
    ----------
    values : ndarray of shape (n_structures, n_features)
    transposed : ndarray of shape (n_structures, n_directions, n_features)
        (J_i Q_i)ᵀ; the number of directions is a multiple of 3.
    """

    values: FloatArray
    transposed: FloatArray

    def jacobian(self, index: Index) -> FloatArray:
        """Return J Q of the structures ``index``, shape (n, n_features, n_directions)."""
        return self.transposed[index].transpose(0, 2, 1)

    def jvp(self, tangents: FloatArray) -> FloatArray:
        """Return J Q t for ``tangents`` (n, n_directions / 3, 3), shape (n, n_features)."""
        return np.einsum("nrp,nr->np", self.transposed, tangents.reshape(len(tangents), -1))

    def vjp(self, cotangents: FloatArray) -> FloatArray:
        """Return (J Q)ᵀ c for ``cotangents`` (n, n_features), shape (n, n_directions / 3, 3)."""
        return np.einsum("nrp,np->nr", self.transposed, cotangents).reshape(len(cotangents), -1, 3)

    def select(self, index: Index) -> DirectionalPoints:
        """Return the same for the structures ``index``."""
        return DirectionalPoints(self.values[index], self.transposed[index])


@dataclass(frozen=True, slots=True)
class Directions:
    """Directions of each structure, the stiffest first.

    Attributes
    ----------
    q : ndarray of shape (n_structures, 3 * n_atoms, 3 * n_atoms)
        Right singular vectors of J as columns.
    n_seen : int
        Directions that the descriptor sees in at least one structure, rounded up to a multiple of 3.
    """

    q: FloatArray
    n_seen: int

    @classmethod
    def of(cls, points: Linearization) -> Directions:
        """Return the directions of the structures behind ``points``.

        Parameters
        ----------
        points : Linearization

        Returns
        -------
        Directions

        Notes
        -----
        One eigenproblem of size 3 n_atoms per structure.
        """
        n = len(points.values)
        modes, seen = [], 0
        for i in range(n):
            jacobian = points.jacobian(slice(i, i + 1))[0]
            eigenvalues, q = np.linalg.eigh(jacobian.T @ jacobian)
            seen = max(seen, int((eigenvalues > NULL_MODE * eigenvalues[-1]).sum()))
            modes.append(q[:, ::-1])
        return cls(np.array(modes), 3 * -(-seen // 3))

    def restrict(self, points: Linearization, index: Index, count: int) -> DirectionalPoints:
        """Return some structures with the gradient along their stiffest directions.

        Parameters
        ----------
        points : Linearization
            Of all structures.
        index : slice or ndarray of int
            Structures to keep.
        count : int
            Directions to keep, a multiple of 3.

        Returns
        -------
        DirectionalPoints
        """
        chosen = np.arange(len(self.q))[index]
        rows = [self.q[i, :, :count].T @ points.jacobian(slice(i, i + 1))[0].T for i in chosen]
        return DirectionalPoints(points.values[chosen], np.array(rows))
