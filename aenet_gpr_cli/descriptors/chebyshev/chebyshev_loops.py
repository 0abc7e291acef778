"""Compiled loops of the Chebyshev descriptor: moments of one atom's neighbours, and their derivatives.

Owns the arithmetic per atom, vectorised over its neighbours. Bases and threads are `chebyshev_basis`'s.
Rows of the work arrays run over the neighbours of one atom; s_j is the type spin of neighbour j. All compiled
parts stay in this file: numba's cache does not notice changes in others.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.descriptors.chebyshev.chebyshev_work import Basis, Edges, Work
from aenet_gpr_cli.jit import inlined, loop, part
from aenet_gpr_cli.structures import FloatArray, IntArray

PI = 3.14159265358979  # ænet's 15 digits
# Taylor series about 0 up to y^21 and y^22: complete to 1e-18 for |y| ≤ π/2, and, unlike libm's, SIMD.
_SIN = np.array([(-1.0) ** k / float(np.prod(np.arange(1.0, 2 * k + 2))) for k in range(11)])
_COS = np.array([(-1.0) ** k / float(np.prod(np.arange(1.0, 2 * k + 1))) for k in range(12)])


@part
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


@part
def geometry(edges: Edges, lo: int, n: int, g: FloatArray) -> None:
    """Write distance, unit vector and type spin of n edges, from lo on, to the rows of g."""
    for e in range(n):
        x, y, z = edges.vectors[lo + e, 0], edges.vectors[lo + e, 1], edges.vectors[lo + e, 2]
        g[0, e] = np.sqrt(x * x + y * y + z * z)
        g[1, e], g[2, e], g[3, e] = x / g[0, e], y / g[0, e], z / g[0, e]
    for e in range(n):
        g[4, e] = edges.spin[edges.neighbour[lo + e]]


@part
def within(
    g: FloatArray, n: int, cutoffs: FloatArray, near: FloatArray, place: IntArray, inside: IntArray
) -> int:
    """Gather the edges shorter than the largest cutoff in `near`, shell by shell from within.

    The first inside[c] are shorter than cutoff c; their places are written to `place`. Returns inside[0].
    """
    count, lower = 0, 0.0
    for c in range(len(cutoffs) - 1, -1, -1):
        for e in range(n):
            if lower <= g[0, e] < cutoffs[c]:
                place[count] = e
                count += 1
        inside[c], lower = count, cutoffs[c]
    for row in range(5):
        for e in range(count):
            near[row, e] = g[row, place[e]]
    return count


@part
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


@part
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


@part
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


@inlined
def radial_part(i: int, edges: Edges, basis: Basis, work: Work) -> int:
    """Write distances, directions and radial terms of atom i's edges; return their number."""
    n = edges.offsets[i + 1] - edges.offsets[i]
    g = work.all
    geometry(edges, edges.offsets[i], n, g)
    cutoff_function(g[0], basis.radial_cutoff, n, g[5], g[6])
    radial_terms(g[0], n, basis.radial_cutoff, g[5], g[6], work.f, work.d)
    return n


@inlined
def angular_part(n: int, basis: Basis, work: Work) -> int:
    """Write the moments of the edges within each angular cutoff; return the number within the largest."""
    near = work.near
    near_n = within(work.all, n, basis.angular_cutoffs, near, work.place, work.inside)
    harmonics(near, near_n, basis.recurrence, work.q, work.c, work.s)
    for r in range(len(basis.angular_cutoffs)):
        fc, dfc = near[5 + 2 * r], near[6 + 2 * r]
        cutoff_function(near[0], basis.angular_cutoffs[r], work.inside[r], fc, dfc)
        moments(fc, near[4], work.inside[r], work.q, work.c, work.s, work.moment[r])
    return near_n


@loop
def value_loop(first: int, last: int, edges: Edges, basis: Basis, work: Work, out: FloatArray) -> None:
    """Write the descriptors of the atoms first:last to out[atom, feature]."""
    half, angular = basis.half, basis.n_angular
    for i in range(first, last):
        n = radial_part(i, edges, basis, work)
        for k in range(basis.n_radial):
            plain, weighted = 0.0, 0.0
            for e in range(n):
                plain += work.f[k, e]
                weighted += work.all[4, e] * work.f[k, e]
            out[i, k] = plain
            if basis.halves == 2:
                out[i, half + k] = weighted
        if basis.n_angular == 0:
            continue
        angular_part(n, basis, work)
        for h in range(basis.halves):
            for r in range(len(basis.angular_cutoffs)):
                start, own = h * half + basis.n_radial + r * angular, 0.0
                for e in range(work.inside[r]):
                    weight = work.near[5 + 2 * r, e] * (work.near[4, e] if h == 1 else 1.0)
                    own += weight * weight
                for k in range(angular):
                    out[i, start + k] = -0.5 * own
                for l in range(angular):
                    power = 0.0
                    for m in range(l + 1):
                        a, b = work.moment[r, h, l, m, 0], work.moment[r, h, l, m, 1]
                        power += a * a + b * b
                    for k in range(l, angular):
                        out[i, start + k] += 0.5 * basis.expansion[k, l] * power


@part
def angular_gradients(r: int, basis: Basis, work: Work) -> None:
    """Write, of cutoff r, ½ d(Σ_m |M_lm|²)/dR_e to p[r, h, l, :, e], and −½ d(w_e²)/dR_e to its last l.

    With b_lm = q_lm (c_m, s_m), M = Σ w b: the derivative is w' u (M·b) + (w/r) (1 − u uᵀ) M·∇b.
    """
    near, q, c, s, x = work.near, work.q, work.c, work.s, work.x[0]
    n, fc, dfc = work.inside[r], near[5 + 2 * r], near[6 + 2 * r]
    for h in range(basis.halves):
        for l in range(basis.n_angular):
            y = work.p[r, h, l]
            for e in range(n):
                x[e], y[0, e], y[1, e], y[2, e] = 0.0, 0.0, 0.0, 0.0
            for m in range(l + 1):
                mc, ms = work.moment[r, h, l, m, 0], work.moment[r, h, l, m, 1]
                down, up = max(m - 1, 0), min(m + 1, l)
                rise = basis.recurrence[2, l, m]  # zero for m = l
                for e in range(n):
                    both = mc * c[m, e] + ms * s[m, e]
                    x[e] += q[l, m, e] * both
                    y[0, e] += m * q[l, m, e] * (mc * c[down, e] + ms * s[down, e])
                    y[1, e] += m * q[l, m, e] * (ms * c[down, e] - mc * s[down, e])
                    y[2, e] += rise * q[l, up, e] * both
            for e in range(n):
                spin = near[4, e] if h == 1 else 1.0
                ux, uy, uz = near[1, e], near[2, e], near[3, e]
                turn = spin * fc[e] / near[0, e]
                along = spin * dfc[e] * x[e] - turn * (ux * y[0, e] + uy * y[1, e] + uz * y[2, e])
                y[0, e] = along * ux + turn * y[0, e]
                y[1, e] = along * uy + turn * y[1, e]
                y[2, e] = along * uz + turn * y[2, e]
        y = work.p[r, h, basis.n_angular]
        for e in range(n):
            spin = near[4, e] if h == 1 else 1.0
            along = -spin * spin * fc[e] * dfc[e]
            y[0, e], y[1, e], y[2, e] = along * near[1, e], along * near[2, e], along * near[3, e]


@part
def pull_back(
    i: int,
    n: int,
    near_n: int,
    edges: Edges,
    basis: Basis,
    work: Work,
    cotangent: FloatArray,
    out: FloatArray,
) -> None:
    """Add the gradient of Σ_f cotangent_f G_f of atom i to out[atom, xyz]."""
    g, x, half, second = work.all, work.x, basis.half, basis.halves - 1
    for e in range(n):
        x[3, e] = 0.0
    for k in range(basis.n_radial):
        plain, weighted = cotangent[k], second * cotangent[second * half + k]
        for e in range(n):
            x[3, e] += (plain + weighted * g[4, e]) * work.d[k, e]
    total_x, total_y, total_z, start = 0.0, 0.0, 0.0, edges.offsets[i]
    for e in range(n):
        dx, dy, dz = x[3, e] * g[1, e], x[3, e] * g[2, e], x[3, e] * g[3, e]
        j = edges.neighbour[start + e]
        out[j, 0] += dx
        out[j, 1] += dy
        out[j, 2] += dz
        total_x, total_y, total_z = total_x + dx, total_y + dy, total_z + dz
    for e in range(near_n):
        x[0, e], x[1, e], x[2, e] = 0.0, 0.0, 0.0
    for r in range(len(basis.angular_cutoffs)):
        p, first = work.p[r], basis.n_radial + r * basis.n_angular
        for l in range(basis.n_angular + 1):
            a, b = 0.0, 0.0
            for k in range(basis.n_angular):
                a += cotangent[first + k] * basis.expansion[k, l]
                b += second * cotangent[second * half + first + k] * basis.expansion[k, l]
            for e in range(work.inside[r]):
                x[0, e] += a * p[0, l, 0, e] + b * p[second, l, 0, e]
                x[1, e] += a * p[0, l, 1, e] + b * p[second, l, 1, e]
                x[2, e] += a * p[0, l, 2, e] + b * p[second, l, 2, e]
    for e in range(near_n):
        j = edges.neighbour[start + work.place[e]]
        out[j, 0] += x[0, e]
        out[j, 1] += x[1, e]
        out[j, 2] += x[2, e]
        total_x, total_y, total_z = total_x + x[0, e], total_y + x[1, e], total_z + x[2, e]
    out[i, 0] -= total_x
    out[i, 1] -= total_y
    out[i, 2] -= total_z


@part
def push_forward(
    i: int, n: int, near_n: int, edges: Edges, basis: Basis, work: Work, tangent: FloatArray, out: FloatArray
) -> None:
    """Write the change of atom i's descriptor along tangent[atom, xyz] to out[feature]."""
    g, x, half, second = work.all, work.x, basis.half, basis.halves - 1
    for e in range(n):
        j = edges.neighbour[edges.offsets[i] + e]
        for a in range(3):
            x[4 + a, e] = tangent[j, a] - tangent[i, a]
        x[3, e] = x[4, e] * g[1, e] + x[5, e] * g[2, e] + x[6, e] * g[3, e]
    for k in range(basis.n_radial):
        plain, weighted = 0.0, 0.0
        for e in range(n):
            plain += x[3, e] * work.d[k, e]
            weighted += g[4, e] * x[3, e] * work.d[k, e]
        out[second * half + k] = weighted
        out[k] = plain
    for e in range(near_n):
        for a in range(3):
            x[a, e] = x[4 + a, work.place[e]]
    for r in range(len(basis.angular_cutoffs)):
        p, first = work.p[r], basis.n_radial + r * basis.n_angular
        for k in range(basis.n_angular):
            out[second * half + first + k] = 0.0
            out[first + k] = 0.0
        for l in range(basis.n_angular + 1):
            plain, weighted = 0.0, 0.0
            for e in range(work.inside[r]):
                plain += x[0, e] * p[0, l, 0, e] + x[1, e] * p[0, l, 1, e] + x[2, e] * p[0, l, 2, e]
                weighted += (
                    x[0, e] * p[second, l, 0, e] + x[1, e] * p[second, l, 1, e] + x[2, e] * p[second, l, 2, e]
                )
            for k in range(basis.n_angular):
                out[second * half + first + k] += second * basis.expansion[k, l] * weighted
                out[first + k] += basis.expansion[k, l] * plain


@loop
def derivative_loop(
    first: int,
    last: int,
    edges: Edges,
    basis: Basis,
    work: Work,
    forward: bool,
    given: FloatArray,
    out: FloatArray,
) -> None:
    """Push tangents[k, atom, xyz] forward, or pull cotangents[k, atom, feature] back, for atoms first:last.

    Pulling back adds to the neighbours' rows of out, so that these have to be whole structures.
    """
    for i in range(first, last):
        n = radial_part(i, edges, basis, work)
        near_n = 0
        if basis.n_angular > 0:
            near_n = angular_part(n, basis, work)
            for r in range(len(basis.angular_cutoffs)):
                angular_gradients(r, basis, work)
        for k in range(given.shape[0]):
            if forward:
                push_forward(i, n, near_n, edges, basis, work, given[k], out[k, i])
            else:
                pull_back(i, n, near_n, edges, basis, work, given[k, i], out[k])


@loop
def edge_loop(first: int, last: int, edges: Edges, basis: Basis, work: Work, out: FloatArray) -> None:
    """Write the derivatives of the atoms' descriptors by their edges to zeros out[edge, xyz, feature]."""
    half, angular = basis.half, basis.n_angular
    for i in range(first, last):
        n, start = radial_part(i, edges, basis, work), edges.offsets[i]
        g = work.all
        for e in range(n):
            for a in range(3):
                for k in range(basis.n_radial):
                    slope = work.d[k, e] * g[1 + a, e]
                    out[start + e, a, k] = slope
                    if basis.halves == 2:
                        out[start + e, a, half + k] = g[4, e] * slope
        if angular == 0:
            continue
        angular_part(n, basis, work)
        for r in range(len(basis.angular_cutoffs)):
            angular_gradients(r, basis, work)
            for e in range(work.inside[r]):
                for a in range(3):
                    for h in range(basis.halves):
                        place = h * half + basis.n_radial + r * angular
                        for k in range(angular):
                            slope = 0.0
                            for l in range(angular + 1):
                                slope += basis.expansion[k, l] * work.p[r, h, l, a, e]
                            out[start + work.place[e], a, place + k] = slope
