"""What the compiled loops of the Chebyshev descriptor take: edges, basis and work arrays, as plain tuples.

Owns shapes only; the arithmetic is `chebyshev_kernels`', the public interface `chebyshev`'s.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

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
    angular_cutoff: float
    n_radial: int
    n_angular: int
    halves: int
    recurrence: FloatArray
    expansion: FloatArray


class Work(NamedTuple):
    """Room for the terms of one atom."""

    all: FloatArray  # rows r, u_x, u_y, u_z, s_j, f_c, f_c' of the neighbours
    near: FloatArray  # the same of those within the angular cutoff
    place: IntArray  # where in `all` these are
    f: FloatArray  # f_c T_n
    d: FloatArray  # its derivative by r
    q: FloatArray  # factors of the spherical harmonics, see `harmonics`
    c: FloatArray
    s: FloatArray
    moment: FloatArray  # [half, l, m, cos or sin]
    p: FloatArray  # derivatives of the angular terms by the edges: [half, l, xyz, edge]
    x: FloatArray  # four rows for intermediate results


def workspace(basis: Basis, n_edges: int, derivatives: bool) -> Work:
    """Return room for atoms with up to `n_edges` neighbours.

    Parameters
    ----------
    basis : Basis
    n_edges : int
    derivatives : bool
        Whether derivatives are wanted, too.

    Returns
    -------
    Work
    """
    radial, angular = basis.n_radial, basis.n_angular
    return Work(
        all=np.empty((7, n_edges)),
        near=np.empty((7, n_edges)),
        place=np.empty(n_edges, np.int64),
        f=np.empty((radial, n_edges)),
        d=np.empty((radial if derivatives else 0, n_edges)),
        q=np.empty((angular, angular, n_edges)),
        c=np.empty((angular, n_edges)),
        s=np.empty((angular, n_edges)),
        moment=np.empty((2, angular, angular, 2)),
        p=np.empty((basis.halves if derivatives else 0, angular + 1, 3, n_edges)),
        x=np.empty((4, n_edges)),
    )
