"""Rows of a covariance: energies and energy gradients of structures. The only place that orders them.

Rows are [E of all structures; ∂E/∂R of structure 1; ∂E/∂R of structure 2; …] with ∂E/∂R = -F, so a set of n
structures of N atoms has n(1+3N) rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Index, Linearization
from aenet_gpr_cli.gpr.kernels.stationary import Kernel
from aenet_gpr_cli.structures import FloatArray


def n_rows(n_structures: int, n_atoms: int) -> int:
    """Return the number of observations n(1+3N).

    Parameters
    ----------
    n_structures, n_atoms : int

    Returns
    -------
    int
    """
    return n_structures * (1 + 3 * n_atoms)


def stack_rows(energies: FloatArray, gradients: FloatArray) -> FloatArray:
    """Order energies and gradients as the rows of the covariance.

    Parameters
    ----------
    energies : ndarray of shape (n_structures,)
    gradients : ndarray of shape (n_structures, n_atoms, 3)
        ∂E/∂R = -F.

    Returns
    -------
    ndarray of shape (n_structures * (1 + 3 * n_atoms),)
    """
    return np.concatenate([energies, gradients.ravel()])


def split_rows(rows: FloatArray, n_structures: int) -> tuple[FloatArray, FloatArray]:
    """Undo `stack_rows`.

    Parameters
    ----------
    rows : ndarray of shape (n_structures * (1 + 3 * n_atoms),)
    n_structures : int

    Returns
    -------
    energies : ndarray of shape (n_structures,)
    gradients : ndarray of shape (n_structures, n_atoms, 3)
    """
    return rows[:n_structures], rows[n_structures:].reshape(n_structures, -1, 3)


@dataclass(frozen=True, slots=True)
class Rows:
    """Energies and gradients of a set of structures, as any covariance sees them.

    Attributes
    ----------
    kernel : Kernel
    points : Linearization
        Descriptor and Jacobian products at the structures.
    origin : ndarray of shape (n_features,)
        Subtracted from the descriptors.
    n_atoms : int
    """

    kernel: Kernel
    points: Linearization
    origin: FloatArray
    n_atoms: int

    @property
    def n_structures(self) -> int:
        """Number of structures."""
        return len(self.points.values)

    @property
    def n_rows(self) -> int:
        """Number of rows, n(1+3N)."""
        return n_rows(self.n_structures, self.n_atoms)

    def select(self, index: Index) -> Self:
        """Return the covariance of the structures ``index`` alone, with the same origin.

        Parameters
        ----------
        index : slice or ndarray of int

        Returns
        -------
        the same class
        """
        return replace(self, points=self.points.select(index))

    def noise_variances(self, noise_energy: float, noise_force: float) -> FloatArray:
        """Return the diagonal of the noise covariance.

        Parameters
        ----------
        noise_energy : float
            Noise standard deviation of an energy, relative to the signal standard deviation, dimensionless.
        noise_force : float
            The same for a force component, 1/Å.

        Returns
        -------
        ndarray of shape (n_rows,)
        """
        n = self.n_structures
        return np.concatenate([np.full(n, noise_energy**2), np.full(self.n_rows - n, noise_force**2)])
