"""What the compiled loops of the Chebyshev descriptor take: edges, basis and work arrays, as plain tuples.

Owns shapes and constant tables; the arithmetic is in `chebyshev_loops`, the door in `chebyshev_basis`.
"""

from __future__ import annotations

from functools import lru_cache
from math import factorial
from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev, legendre

from aenet_gpr_cli.structures import FloatArray, IntArray


class Edges(NamedTuple):
    """A neighbour list and the type spin of each atom."""

    offsets: IntArray
    neighbour: IntArray
    vectors: FloatArray
    spin: FloatArray


class Basis(NamedTuple):
    """Cutoffs, numbers of functions, and the factors of the recurrences and of T_n = Σ_l B_nl P_l."""

    radial_cutoff: float
    angular_cutoffs: FloatArray  # descending
    n_radial: int
    n_angular: int
    halves: int
    half: int
    recurrence: FloatArray
    expansion: FloatArray


class Work(NamedTuple):
    """Room for the terms of one atom."""

    all: FloatArray  # rows r, u_x, u_y, u_z, s_j, f_c, f_c' of the neighbours
    near: FloatArray  # the same of those within an angular cutoff, with f_c, f_c' of each
    place: IntArray  # where in `all` these are
    inside: IntArray  # how many of them are within each angular cutoff, the nearest first
    f: FloatArray  # f_c T_n
    d: FloatArray  # its derivative by r
    q: FloatArray  # factors of the spherical harmonics, see `harmonics`
    c: FloatArray
    s: FloatArray
    moment: FloatArray  # [cutoff, half, l, m, cos or sin]
    p: FloatArray  # derivatives of the angular terms by the edges: [cutoff, half, l, xyz, edge]
    x: FloatArray  # rows for intermediate results


def workspace(basis: Basis, n_edges: int, derivatives: bool) -> Work:
    """Return room for atoms with up to `n_edges` neighbours.

    Parameters
    ----------
    derivatives : bool
        Whether derivatives are wanted, too.
    """
    radial, angular, cutoffs = basis.n_radial, basis.n_angular, len(basis.angular_cutoffs)
    return Work(
        all=np.empty((7, n_edges)),
        near=np.empty((5 + 2 * cutoffs, n_edges)),
        place=np.empty(n_edges, np.int64),
        inside=np.zeros(cutoffs, np.int64),
        f=np.empty((radial, n_edges)),
        d=np.empty((radial if derivatives else 0, n_edges)),
        q=np.empty((angular, angular, n_edges)),
        c=np.empty((angular, n_edges)),
        s=np.empty((angular, n_edges)),
        moment=np.empty((cutoffs, 2, angular, angular, 2)),
        p=np.empty((cutoffs, basis.halves if derivatives else 0, angular + 1, 3, n_edges)),
        x=np.empty((7, n_edges)),
    )


@lru_cache(maxsize=8)
def expansion(n_angular: int) -> FloatArray:
    """Return B with T_n = Σ_l B_nl P_l, by quadrature; unlike power coefficients these do not grow with n.

    Parameters
    ----------
    n_angular : int
        Number of orders, N_a + 1.

    Returns
    -------
    ndarray of shape (n_angular, n_angular + 1), dimensionless
        B_nl; a last column of ones is for Σ_j w_j², which every A_n contains.
    """
    nodes, weights = legendre.leggauss(max(n_angular, 1))
    polynomials = legendre.legvander(nodes, n_angular)[:, :n_angular]
    chebyshevs = chebyshev.chebvander(nodes, n_angular)[:, :n_angular]
    norm = np.arange(n_angular) + 0.5
    # (node, n), (node, l) -> (n, l)
    factors = np.einsum("xn,x,xl,l->nl", chebyshevs, weights, polynomials, norm)
    return np.hstack([factors, np.ones((n_angular, 1))])


@lru_cache(maxsize=8)
def recurrence(n_angular: int) -> FloatArray:
    """Return the factors of the recurrences for q_lm = N_lm d^m P_l/dz^m, see `chebyshev_loops.harmonics`.

    Parameters
    ----------
    n_angular : int
        Number of orders, N_a + 1.

    Returns
    -------
    ndarray of shape (3, n_angular, n_angular), dimensionless
        First q_mm (diagonal) and the factor of z q_{l-1,m}; then that of q_{l-2,m}; then N_lm / N_{l,m+1}.
    """
    table = np.zeros((3, n_angular, n_angular))
    norm = np.zeros((n_angular + 1, n_angular + 1))
    for l in range(n_angular):
        for m in range(l + 1):
            norm[l, m] = np.sqrt((1 if m == 0 else 2) * (factorial(l - m) / factorial(l + m)))
    for m in range(n_angular):
        table[0, m, m] = norm[m, m] * float(np.prod(np.arange(1.0, 2 * m, 2)))
        for l in range(m + 1, n_angular):
            table[0, l, m] = (2 * l - 1) / (l - m) * norm[l, m] / norm[l - 1, m]
            if l > m + 1:
                table[1, l, m] = (l + m - 1) / (l - m) * norm[l, m] / norm[l - 2, m]
        for l in range(m + 1, n_angular):
            table[2, l, m] = norm[l, m] / norm[l, m + 1]
    return table
