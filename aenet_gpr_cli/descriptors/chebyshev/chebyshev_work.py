"""What the compiled loops of the Chebyshev descriptor take: edges, basis and work arrays, as plain tuples.

Owns shapes and constant tables; the arithmetic is in `chebyshev_loops`, the door in `chebyshev_basis`.
"""

from __future__ import annotations

from functools import lru_cache
from math import factorial, prod
from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev, legendre

from aenet_gpr_cli.structures import FloatArray, IntArray

# edges of a batch of atoms: a row of them is 4 kB, so that the rows of a loop stay in the fastest cache
BATCH = 512


class Edges(NamedTuple):
    """A neighbour list, and the species of each atom."""

    offsets: IntArray
    neighbour: IntArray
    vectors: FloatArray
    kinds: IntArray


class Basis(NamedTuple):
    """Cutoffs, numbers of functions, and the factors of the recurrences and of T_n = Σ_l B_nl P_l."""

    radial_cutoff: float
    angular_cutoffs: FloatArray  # descending
    longest: float  # of all cutoffs
    n_radial: int
    n_angular: int
    parts: int
    half: int  # length of a part
    weights: FloatArray  # W_hs of the neighbours of species s in part h
    recurrence: FloatArray
    expansion: FloatArray


class Work(NamedTuple):
    """Room for the terms of one batch of atoms, and for what is kept of all of them for the derivatives.

    Of a batch, for each of its edges: rows r, u_x, u_y, u_z, f_c, f_c' and weights; the same of those within
    an angular cutoff, the nearest first, with f_c, f_c' of each cutoff in place of one; places of both.
    """

    begin: IntArray  # first edge of all; -1 if batches follow each other in the same room
    all: FloatArray
    near: FloatArray
    place: IntArray  # among all edges; centre; of those within an angular cutoff in `all`
    stop: IntArray  # where the edges of each atom end in its batch
    inside: IntArray  # [batch, cutoff]: how many are within each angular cutoff
    moment: FloatArray  # [atom, cutoff, part, term]
    # of one batch
    f: FloatArray  # f_c T_n
    d: FloatArray  # its derivative by r
    q: FloatArray  # factors of the spherical harmonics, see `harmonics`
    c: FloatArray
    s: FloatArray
    terms: FloatArray  # their products: [edge, term]
    centre: IntArray  # of the edges within an angular cutoff
    factor: FloatArray  # of each term in what is differentiated: [term, edge]
    row: FloatArray  # the same of one edge
    pulled: FloatArray  # the same of each atom, and of its Σ_j w_j² at the end: [atom, part, term]
    p: FloatArray  # derivatives of the angular terms by the edges: [cutoff, part, l, xyz, edge]
    x: FloatArray  # rows for intermediate results
    y: FloatArray


class Room:
    """Memory that is used again by one evaluation after the other; of one thread."""

    def __init__(self) -> None:
        self._held: dict[str, FloatArray | IntArray] = {}
        self._offsets: IntArray | None = None
        self._asked: tuple[object, ...] = ()
        self._last: Work | None = None

    def workspace(
        self,
        basis: Basis,
        offsets: IntArray,
        span: tuple[int, int],
        pad: int,
        keep: bool,
        gradients: bool,
    ) -> Work:
        """Return room for the atoms of a span, in place of what was returned before.

        Parameters
        ----------
        offsets : ndarray of int, shape (n_atoms_total + 1,)
            Of the neighbour list; the same array has the same numbers.
        pad : int
            How many more edges a batch has room for.
        keep : bool
            Whether derivatives are wanted after the values.
        gradients : bool
            Whether derivatives of each function by each edge are wanted, too.
        """
        asked = (basis.parts, basis.half, basis.n_radial, basis.n_angular, span, keep, gradients)
        if self._last is not None and offsets is self._offsets and asked == self._asked:
            return self._last
        self._offsets, self._asked = offsets, asked
        (first, last), parts = span, basis.parts
        width = (
            max(BATCH // 4 if gradients else BATCH, int(np.diff(offsets[first : last + 1]).max(initial=0)))
            + pad
        )
        radial, angular, cutoffs = basis.n_radial, basis.n_angular, len(basis.angular_cutoffs)
        terms, atoms = angular**2, last if keep else 0
        edges = int(offsets[last] - offsets[first]) + pad * (last - first) if keep else width
        begin = self._integers("begin", 1)
        begin[0] = offsets[first] if keep else -1
        self._last = Work(
            begin=begin,
            all=self._floats("all", edges * (6 + parts)),
            near=self._floats("near", edges * (4 + parts + 2 * cutoffs)),
            place=self._integers("place", edges * 3),
            stop=self._integers("stop", last),
            inside=self._integers("inside", last - first, cutoffs),
            moment=self._floats("moment", last, cutoffs, parts, terms),
            f=self._floats("f", radial, width),
            d=self._floats("d", radial if keep else 0, width),
            q=self._floats("q", angular, angular, width),
            c=self._floats("c", angular, width),
            s=self._floats("s", angular, width),
            terms=self._floats("terms", width, terms),
            centre=self._integers("centre", width),
            factor=self._floats("factor", terms + 1, width),
            row=self._floats("row", terms),
            pulled=self._floats("pulled", atoms, parts, terms + 1),
            p=self._floats("p", cutoffs, parts if gradients else 0, angular + 1, 3, width),
            x=self._floats("x", 4, width),
            y=self._floats("y", 3, width),
        )
        return self._last

    def _floats(self, name: str, *shape: int) -> FloatArray:
        return np.asarray(self._take(name, shape, np.float64), np.float64)

    def _integers(self, name: str, *shape: int) -> IntArray:
        return np.asarray(self._take(name, shape, np.int64), np.int64)

    def _take(self, name: str, shape: tuple[int, ...], kind: type) -> FloatArray | IntArray:
        """Return an array that is not initialised."""
        size = prod(shape)
        held = self._held.get(name)
        if held is None or len(held) < size:
            held = self._held[name] = np.empty(size, kind)
        return held[:size].reshape(shape)


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
