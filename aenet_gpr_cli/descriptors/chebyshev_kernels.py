"""Compiled loops of the Chebyshev descriptor: moments of one atom's neighbours, and their derivatives.

Owns the arithmetic per atom, vectorised over its neighbours. Bases, shapes and threads are `chebyshev`'s.
Rows of the scratch arrays run over the neighbours of one atom; `spin` is the type spin s of each atom.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
from numba import njit

from aenet_gpr_cli.structures import FloatArray, IntArray

F = TypeVar("F", bound=Callable[..., object])


def _compiled(function: F) -> F:
    # Sums may be reordered to use SIMD, which costs no accuracy; NaN and infinity keep their meaning.
    return cast(F, njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})(function))


PI = 3.14159265358979  # ænet's 15 digits
# Taylor series about 0 up to y^21 and y^22: complete to 1e-18 for |y| ≤ π/2, and, unlike libm's, SIMD.
_SIN = np.array([(-1.0) ** k / float(np.prod(np.arange(1.0, 2 * k + 2))) for k in range(11)])
_COS = np.array([(-1.0) ** k / float(np.prod(np.arange(1.0, 2 * k + 1))) for k in range(12)])


@_compiled
def cutoff_function(r: FloatArray, cutoff: float, n: int, value: FloatArray, slope: FloatArray) -> None:
    """Write f_c = ½(cos(πr/R_c) + 1) and df_c/dr; both are zero from R_c on."""
    for e in range(n):
        t = r[e] / cutoff
        y = PI * t - 0.5 * PI
        y2 = y * y
        sine, cosine = _SIN[10], _COS[11]
        for k in range(10):
            sine = sine * y2 + _SIN[9 - k]
        for k in range(11):
            cosine = cosine * y2 + _COS[10 - k]
        inside = 1.0 if t < 1.0 else 0.0
        value[e] = inside * (0.5 - 0.5 * y * sine)
        slope[e] = inside * (-0.5 * PI / cutoff) * cosine


@_compiled
def geometry(vectors: FloatArray, index: IntArray, spin: FloatArray, lo: int, hi: int, g: FloatArray) -> None:
    """Write distance, unit vector and type spin of the edges lo:hi to the rows of g."""
    for e in range(hi - lo):
        x, y, z = vectors[lo + e, 0], vectors[lo + e, 1], vectors[lo + e, 2]
        g[0, e] = np.sqrt(x * x + y * y + z * z)
        g[1, e], g[2, e], g[3, e] = x / g[0, e], y / g[0, e], z / g[0, e]
    for e in range(hi - lo):
        g[4, e] = spin[index[lo + e]]


@_compiled
def within(g: FloatArray, n: int, cutoff: float, near: FloatArray, place: IntArray) -> int:
    """Gather the edges shorter than the cutoff in `near` and their places in `place`; return how many."""
    count = 0
    for e in range(n):
        if g[0, e] < cutoff:
            place[count] = e
            count += 1
    for row in range(5):
        for e in range(count):
            near[row, e] = g[row, place[e]]
    return count


@_compiled
def radial_terms(
    r: FloatArray, n: int, cutoff: float, fc: FloatArray, dfc: FloatArray, f: FloatArray, d: FloatArray
) -> None:
    """Write f_c T_n to the rows of f and its derivative by r to those of d, which may have no rows.

    Both follow the recurrence of T_n: F_{n+1} = 2x F_n − F_{n−1}, D_{n+1} = 2x D_n − D_{n−1} + (4/R_c) F_n.
    """
    step = 2.0 / cutoff
    for e in range(n):
        f[0, e] = fc[e]
    if len(f) > 1:
        for e in range(n):
            f[1, e] = (step * r[e] - 1.0) * fc[e]
    for k in range(2, len(f)):
        for e in range(n):
            f[k, e] = 2.0 * (step * r[e] - 1.0) * f[k - 1, e] - f[k - 2, e]
    if len(d) > 0:
        for e in range(n):
            d[0, e] = dfc[e]
    if len(d) > 1:
        for e in range(n):
            d[1, e] = (step * r[e] - 1.0) * dfc[e] + step * fc[e]
    for k in range(2, len(d)):
        for e in range(n):
            x2 = 2.0 * (step * r[e] - 1.0)
            d[k, e] = x2 * d[k - 1, e] - d[k - 2, e] + 2.0 * step * f[k - 1, e]


@_compiled
def harmonics(g: FloatArray, n: int, table: FloatArray, q: FloatArray, c: FloatArray, s: FloatArray) -> None:
    """Write the factors of the real spherical harmonics of the unit vectors in g.

    With q_lm(z) = N_lm d^m P_l/dz^m, c_m + i s_m = (x + iy)^m and N_lm² = (2 − δ_m0)(l−m)!/(l+m)!, the
    addition theorem reads P_l(u·v) = Σ_m q_lm(u) q_lm(v) (c_m(u) c_m(v) + s_m(u) s_m(v)).
    """
    order = len(c) - 1
    for e in range(n):
        c[0, e], s[0, e] = 1.0, 0.0
    for m in range(1, order + 1):
        for e in range(n):
            c[m, e] = g[1, e] * c[m - 1, e] - g[2, e] * s[m - 1, e]
            s[m, e] = g[1, e] * s[m - 1, e] + g[2, e] * c[m - 1, e]
    for m in range(order + 1):
        for e in range(n):
            q[m, m, e] = table[0, m, m]
        if m < order:
            for e in range(n):
                q[m + 1, m, e] = table[0, m + 1, m] * g[3, e] * q[m, m, e]
        for l in range(m + 2, order + 1):
            up, down = table[0, l, m], table[1, l, m]
            for e in range(n):
                q[l, m, e] = up * g[3, e] * q[l - 1, m, e] - down * q[l - 2, m, e]


@_compiled
def moments(
    w: FloatArray, spin: FloatArray, n: int, q: FloatArray, c: FloatArray, s: FloatArray, out: FloatArray
) -> None:
    """Write Σ_j w_j q_lm (c_m, s_m) to out[0, l, m], and the same with the type spins to out[1, l, m]."""
    for l in range(len(c)):
        for m in range(l + 1):
            plain_c, plain_s, spin_c, spin_s = 0.0, 0.0, 0.0, 0.0
            for e in range(n):
                a = w[e] * q[l, m, e]
                plain_c += a * c[m, e]
                plain_s += a * s[m, e]
                spin_c += spin[e] * a * c[m, e]
                spin_s += spin[e] * a * s[m, e]
            out[0, l, m, 0], out[0, l, m, 1] = plain_c, plain_s
            out[1, l, m, 0], out[1, l, m, 1] = spin_c, spin_s


@_compiled
def value_loop(
    first: int,
    last: int,
    offsets: IntArray,
    index: IntArray,
    vectors: FloatArray,
    spin: FloatArray,
    cutoffs: FloatArray,
    n_radial: int,
    n_angular: int,
    halves: int,
    table: FloatArray,
    legendre: FloatArray,
    out: FloatArray,
) -> None:
    """Write the descriptors of the atoms first:last to out."""
    capacity = np.max(np.diff(offsets[first : last + 1]))
    g, near = np.empty((7, capacity)), np.empty((7, capacity))
    place = np.empty(capacity, np.int64)
    f, none = np.empty((n_radial, capacity)), np.empty((0, capacity))
    q = np.empty((n_angular, n_angular, capacity))
    c, s = np.empty((n_angular, capacity)), np.empty((n_angular, capacity))
    moment = np.empty((2, n_angular, n_angular, 2))
    half = n_radial + n_angular
    for i in range(first, last):
        n = offsets[i + 1] - offsets[i]
        geometry(vectors, index, spin, offsets[i], offsets[i + 1], g)
        cutoff_function(g[0], cutoffs[0], n, g[5], g[6])
        radial_terms(g[0], n, cutoffs[0], g[5], g[6], f, none)
        for k in range(n_radial):
            plain, weighted = 0.0, 0.0
            for e in range(n):
                plain += f[k, e]
                weighted += g[4, e] * f[k, e]
            out[i, k] = plain
            if halves == 2:
                out[i, half + k] = weighted
        if n_angular == 0:
            continue
        n = within(g, n, cutoffs[1], near, place)
        cutoff_function(near[0], cutoffs[1], n, near[5], near[6])
        harmonics(near, n, table, q, c, s)
        moments(near[5], near[4], n, q, c, s, moment)
        for h in range(halves):
            own = 0.0
            for e in range(n):
                own += (near[5, e] * (near[4, e] if h == 1 else 1.0)) ** 2
            for k in range(n_angular):
                total = -own
                for l in range(k + 1):
                    for m in range(l + 1):
                        total += legendre[k, l] * (moment[h, l, m, 0] ** 2 + moment[h, l, m, 1] ** 2)
                out[i, h * half + n_radial + k] = 0.5 * total


@_compiled
def angular_gradients(
    near: FloatArray,
    n: int,
    halves: int,
    table: FloatArray,
    q: FloatArray,
    c: FloatArray,
    s: FloatArray,
    moment: FloatArray,
    x: FloatArray,
    p: FloatArray,
) -> None:
    """Write ½ d(Σ_m |M_lm|²)/dR_e to p[h, l, :, e], and −½ d(w_e²)/dR_e to its last l.

    With b_lm = q_lm (c_m, s_m), M = Σ w b: the derivative is w' u (M·b) + (w/r) (1 − u uᵀ) M·∇b.
    """
    order = len(c) - 1
    for h in range(halves):
        for l in range(order + 1):
            y = p[h, l]
            for e in range(n):
                x[e], y[0, e], y[1, e], y[2, e] = 0.0, 0.0, 0.0, 0.0
            for m in range(l + 1):
                mc, ms = moment[h, l, m, 0], moment[h, l, m, 1]
                down = max(m - 1, 0)
                for e in range(n):
                    x[e] += q[l, m, e] * (mc * c[m, e] + ms * s[m, e])
                    y[0, e] += q[l, m, e] * (m * (mc * c[down, e] + ms * s[down, e]))
                    y[1, e] += q[l, m, e] * (m * (ms * c[down, e] - mc * s[down, e]))
                if m < l:
                    rise = table[2, l, m]
                    for e in range(n):
                        y[2, e] += rise * q[l, m + 1, e] * (mc * c[m, e] + ms * s[m, e])
            for e in range(n):
                spin = near[4, e] if h == 1 else 1.0
                ux, uy, uz = near[1, e], near[2, e], near[3, e]
                turn = spin * near[5, e] / near[0, e]
                along = spin * near[6, e] * x[e] - turn * (ux * y[0, e] + uy * y[1, e] + uz * y[2, e])
                y[0, e] = along * ux + turn * y[0, e]
                y[1, e] = along * uy + turn * y[1, e]
                y[2, e] = along * uz + turn * y[2, e]
        for e in range(n):
            spin = near[4, e] if h == 1 else 1.0
            along = -spin * spin * near[5, e] * near[6, e]
            for a in range(3):
                p[h, order + 1, a, e] = along * near[1 + a, e]


@_compiled
def edge_derivatives(
    i: int,
    offsets: IntArray,
    index: IntArray,
    vectors: FloatArray,
    spin: FloatArray,
    cutoffs: FloatArray,
    halves: int,
    table: FloatArray,
    g: FloatArray,
    near: FloatArray,
    place: IntArray,
    f: FloatArray,
    d: FloatArray,
    q: FloatArray,
    c: FloatArray,
    s: FloatArray,
    moment: FloatArray,
    p: FloatArray,
) -> int:
    """Write the derivatives of atom i's terms by its edges to d (radial) and p (angular).

    Returns the number of edges within the angular cutoff.
    """
    n = offsets[i + 1] - offsets[i]
    geometry(vectors, index, spin, offsets[i], offsets[i + 1], g)
    cutoff_function(g[0], cutoffs[0], n, g[5], g[6])
    radial_terms(g[0], n, cutoffs[0], g[5], g[6], f, d)
    if len(c) == 0:
        return 0
    n = within(g, n, cutoffs[1], near, place)
    cutoff_function(near[0], cutoffs[1], n, near[5], near[6])
    harmonics(near, n, table, q, c, s)
    moments(near[5], near[4], n, q, c, s, moment)
    angular_gradients(near, n, halves, table, q, c, s, moment, g[5], p)
    return n


@_compiled
def vjp_loop(
    first: int,
    last: int,
    offsets: IntArray,
    index: IntArray,
    vectors: FloatArray,
    spin: FloatArray,
    cutoffs: FloatArray,
    n_radial: int,
    n_angular: int,
    halves: int,
    table: FloatArray,
    expansion: FloatArray,
    cotangents: FloatArray,
    out: FloatArray,
) -> None:
    """Add the gradients of Σ cotangent·descriptor of the atoms first:last, whole structures, to out."""
    capacity = np.max(np.diff(offsets[first : last + 1]))
    g, near = np.empty((7, capacity)), np.empty((7, capacity))
    place = np.empty(capacity, np.int64)
    f, d = np.empty((n_radial, capacity)), np.empty((n_radial, capacity))
    q = np.empty((n_angular, n_angular, capacity))
    c, s = np.empty((n_angular, capacity)), np.empty((n_angular, capacity))
    moment = np.empty((2, n_angular, n_angular, 2))
    p = np.empty((halves, n_angular + 1, 3, capacity))
    along, turn = np.empty(capacity), np.empty((3, capacity))
    half = n_radial + n_angular
    for i in range(first, last):
        n = offsets[i + 1] - offsets[i]
        near_n = edge_derivatives(
            i, offsets, index, vectors, spin, cutoffs, halves, table, g, near, place, f, d, q, c, s, moment, p
        )  # fmt: skip
        for k in range(len(cotangents)):
            cot = cotangents[k, i]
            for e in range(n):
                along[e] = 0.0
            for o in range(n_radial):
                plain, weighted = cot[o], cot[half + o] if halves == 2 else 0.0
                for e in range(n):
                    along[e] += (plain + weighted * g[4, e]) * d[o, e]
            for a in range(3):
                for e in range(n):
                    turn[a, e] = along[e] * g[1 + a, e]
            for h in range(halves if near_n > 0 else 0):
                for l in range(n_angular + 1):
                    factor = 0.0
                    for o in range(n_angular):
                        factor += cot[h * half + n_radial + o] * expansion[o, l]
                    for a in range(3):
                        for e in range(near_n):
                            turn[a, place[e]] += factor * p[h, l, a, e]
            for a in range(3):
                total = 0.0
                for e in range(n):
                    out[k, index[offsets[i] + e], a] += turn[a, e]
                    total += turn[a, e]
                out[k, i, a] -= total


@_compiled
def jvp_loop(
    first: int,
    last: int,
    offsets: IntArray,
    index: IntArray,
    vectors: FloatArray,
    spin: FloatArray,
    cutoffs: FloatArray,
    n_radial: int,
    n_angular: int,
    halves: int,
    table: FloatArray,
    expansion: FloatArray,
    tangents: FloatArray,
    out: FloatArray,
) -> None:
    """Write the change of the descriptors of the atoms first:last along the tangents to out."""
    capacity = np.max(np.diff(offsets[first : last + 1]))
    g, near = np.empty((7, capacity)), np.empty((7, capacity))
    place = np.empty(capacity, np.int64)
    f, d = np.empty((n_radial, capacity)), np.empty((n_radial, capacity))
    q = np.empty((n_angular, n_angular, capacity))
    c, s = np.empty((n_angular, capacity)), np.empty((n_angular, capacity))
    moment = np.empty((2, n_angular, n_angular, 2))
    p = np.empty((halves, n_angular + 1, 3, capacity))
    along, turn = np.empty(capacity), np.empty((3, capacity))
    half = n_radial + n_angular
    for i in range(first, last):
        n = offsets[i + 1] - offsets[i]
        near_n = edge_derivatives(
            i, offsets, index, vectors, spin, cutoffs, halves, table, g, near, place, f, d, q, c, s, moment, p
        )  # fmt: skip
        for k in range(len(tangents)):
            for a in range(3):
                for e in range(n):
                    turn[a, e] = tangents[k, index[offsets[i] + e], a] - tangents[k, i, a]
            for e in range(n):
                along[e] = turn[0, e] * g[1, e] + turn[1, e] * g[2, e] + turn[2, e] * g[3, e]
            for o in range(n_radial):
                plain, weighted = 0.0, 0.0
                for e in range(n):
                    change = along[e] * d[o, e]
                    plain += change
                    weighted += g[4, e] * change
                out[k, i, o] = plain
                if halves == 2:
                    out[k, i, half + o] = weighted
            for h in range(halves):
                for o in range(n_angular):
                    out[k, i, h * half + n_radial + o] = 0.0
                for l in range(n_angular + 1 if near_n > 0 else 0):
                    change = 0.0
                    for a in range(3):
                        for e in range(near_n):
                            change += p[h, l, a, e] * turn[a, place[e]]
                    for o in range(n_angular):
                        out[k, i, h * half + n_radial + o] += expansion[o, l] * change
