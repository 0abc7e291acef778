"""What a descriptor sees of the motions of the atoms: null directions, and the stiffest ones.

An invariant descriptor cannot see rigid motions (null directions of J): there K has zero rows, so a net force
or torque in the data (noise of the reference method) can only be taken for noise, and rows that are zero by
construction would count as evidence for a small signal variance. `expressible` removes both; predictions do
not change. The descriptor moves most along the stiffest directions (largest singular values of J): gradients
along these alone are fewer rows that hold nearly as much. `DirectionalPoints` looks like any other
linearisation, with a third as many "atoms" as directions, so `Covariance` and the solvers need no change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Index, Linearisation
from aenet_gpr_cli.descriptors.structure.permutation import images_of
from aenet_gpr_cli.structures import FloatArray

# eigenvalue of JᵀJ relative to the largest: rounding leaves 1e-15, soft modes are above 1e-8
NULL_MODE = 1e-11


def expressible(points: Linearisation, gradients: FloatArray) -> tuple[FloatArray, int]:
    """Return the projection of the energy gradients onto the row space of the Jacobian.

    Parameters
    ----------
    gradients : ndarray of shape (n_structures, n_atoms, 3), eV/Å
        ∂E/∂R = -F.

    Returns
    -------
    projected : ndarray of shape (n_structures, n_atoms, 3), eV/Å
    n_null : int
        Dimensions removed, summed over the structures: 6 each for a molecule with inverse distances, 3 each
        for a periodic structure, 0 for Cartesian coordinates.

    Notes
    -----
    One eigenproblem of size 3 n_atoms per structure.
    """
    projected, n_null = np.empty_like(gradients), 0
    for i, gradient in enumerate(gradients):
        jacobian = points.jacobian(slice(i, i + 1))[0]
        eigenvalues, modes = np.linalg.eigh(jacobian.T @ jacobian)
        null = modes[:, eigenvalues <= NULL_MODE * eigenvalues[-1]]
        flat = gradient.ravel()
        projected[i] = (flat - null @ (null.T @ flat)).reshape(-1, 3)
        n_null += null.shape[1]
    return projected, n_null


@dataclass(frozen=True, slots=True)
class DirectionalPoints:
    """Descriptor values with the Jacobian along chosen directions, J_i Q_i, held dense.

    Attributes
    ----------
    values : ndarray of shape (n_structures, n_features)
    transposed : ndarray of shape (n_structures, n_directions, n_features)
        (J_i Q_i)ᵀ; the number of directions is a multiple of 3.
    n_images : int
        Images under a group that the features are of, see `permutation`.
    """

    values: FloatArray
    transposed: FloatArray
    n_images: int = 1

    def first_image(self) -> DirectionalPoints:
        """Return the same of one image."""
        p = self.values.shape[1] // self.n_images
        return DirectionalPoints(self.values[:, :p], self.transposed[..., :p])

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
        return replace(self, values=self.values[index], transposed=self.transposed[index])


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
    def of(cls, points: Linearisation) -> Directions:
        """Return the directions of the structures behind ``points``.

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

    def restrict(self, points: Linearisation, index: Index, count: int) -> DirectionalPoints:
        """Return some structures with the gradient along their stiffest directions.

        Parameters
        ----------
        points : Linearisation
            Of all structures.
        index : slice or ndarray of int
            Structures to keep.
        count : int
            Directions to keep, a multiple of 3.
        """
        chosen = np.arange(len(self.q))[index]
        rows = [self.q[i, :, :count].T @ points.jacobian(slice(i, i + 1))[0].T for i in chosen]
        return DirectionalPoints(points.values[chosen], np.array(rows), images_of(points))
