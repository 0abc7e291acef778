"""The part of force data that a descriptor can express.

An invariant descriptor cannot see rigid motions: there K has zero rows, so a net force or torque in the data
(noise of the reference method) can only be taken for noise, and rows that are zero by construction would
count as evidence for a small signal variance. Both are removed here; predictions do not change.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Linearization
from aenet_gpr_cli.structures import FloatArray

NULL_MODE = (
    1e-11  # eigenvalue of JᵀJ relative to the largest: rounding leaves 1e-15, soft modes are above 1e-8
)


def expressible(points: Linearization, gradients: FloatArray) -> tuple[FloatArray, int]:
    """Return the projection of the energy gradients onto the row space of the Jacobian.

    Parameters
    ----------
    points : Linearization
        Descriptor at the structures.
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
