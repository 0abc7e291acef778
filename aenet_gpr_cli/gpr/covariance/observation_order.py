"""Rows of a covariance: energies and energy gradients of structures. The only place that orders them.

Rows are [E of all structures; ∂E/∂R of structure 1; ∂E/∂R of structure 2; …] with ∂E/∂R = -F, so n structures
of N atoms have n(1+3N) rows. Where gradients are known along r directions only, r takes the place of 3N.
Everything else reads and writes rows through the views and indices below.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.structures import FloatArray, IntArray


def n_rows(n_structures: int, n_atoms: int) -> int:
    """Return the number of observations n(1+3N)."""
    return n_structures * (1 + 3 * n_atoms)


def stack_rows(energies: FloatArray, gradients: FloatArray) -> FloatArray:
    """Order energies and gradients as the rows of the covariance.

    Parameters
    ----------
    energies : ndarray of shape (n_structures,)
    gradients : ndarray of shape (n_structures, n_atoms, 3) or (n_structures, r)
        ∂E/∂R = -F.
    """
    return np.concatenate([energies, gradients.ravel()])


def split_rows(rows: FloatArray, n_structures: int) -> tuple[FloatArray, FloatArray]:
    """Undo `stack_rows`: energies (n_structures,) and gradients (n_structures, n_atoms, 3), as views."""
    energies, gradients = row_views(rows, n_structures)
    return energies, gradients.reshape(n_structures, -1, 3)


def row_views(rows: FloatArray, n_structures: int) -> tuple[FloatArray, FloatArray]:
    """Return the energy rows (n_structures, …) and the gradient rows (n_structures, r, …), as views."""
    energies, gradients = rows[:n_structures], rows[n_structures:]
    return energies, gradients.reshape(n_structures, -1, *rows.shape[1:])


def matrix_views(
    matrix: FloatArray, n_structures: int, n_others: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the four parts of a covariance between rows of two sets of structures, as views.

    Parameters
    ----------
    matrix : ndarray of shape (n (1 + r), m (1 + s))
    n_structures, n_others : int
        n and m.

    Returns
    -------
    energy_energy : ndarray of shape (n, m)
    energy_gradient : ndarray of shape (n, m, s)
    gradient_energy : ndarray of shape (n, r, m)
    gradient_gradient : ndarray of shape (n, r, m, s)
    """
    n, m = n_structures, n_others
    r, s = len(matrix) // n - 1, matrix.shape[1] // m - 1
    return (
        matrix[:n, :m],
        matrix[:n, m:].reshape(n, m, s),
        matrix[n:, :m].reshape(n, r, m),
        matrix[n:, m:].reshape(n, r, m, s),
    )


def by_structure(rows: FloatArray, n_structures: int) -> FloatArray:
    """Return a copy with the rows of each structure together, its energy first: (n_structures, 1 + r, …)."""
    energies, gradients = row_views(rows, n_structures)
    return np.concatenate([energies[:, None], gradients], axis=1)


def rows_of(structures: IntArray, n_structures: int, total: int) -> IntArray:
    """Return where the rows of some structures stand, themselves in the order of rows.

    Parameters
    ----------
    structures : ndarray of int, shape (m,)
    n_structures : int
        Of all.
    total : int
        Number of all rows.

    Returns
    -------
    ndarray of int, shape (m (1 + r),)
    """
    width = total // n_structures - 1
    gradients = n_structures + structures[:, None] * width + np.arange(width)
    return np.concatenate([structures, gradients.ravel()])


def ones_on_energies(n_structures: int, total: int) -> FloatArray:
    """Return u: one on the energy rows, zero on the gradient rows."""
    return np.concatenate([np.ones(n_structures), np.zeros(total - n_structures)])


def noise_variances(n_structures: int, total: int, noise_energy: float, noise_force: float) -> FloatArray:
    """Return the diagonal of the noise covariance.

    Parameters
    ----------
    noise_energy : float, dimensionless
        Noise standard deviation of an energy, relative to the signal standard deviation.
    noise_force : float, 1/Å
        The same for a force component.

    Returns
    -------
    ndarray of shape (total,)
    """
    n = n_structures
    return np.concatenate([np.full(n, noise_energy**2), np.full(total - n, noise_force**2)])
