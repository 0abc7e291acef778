"""Compiled loops of the Chebyshev descriptor: moments of the neighbours of atoms, and their derivatives.

Owns the arithmetic of batches of atoms, vectorised over all their edges, so that atoms with few neighbours
cost no more. Bases and threads are `chebyshev_basis`'s. Rows of the work arrays run over the edges of a
batch. Where an edge does not count from 0 its number is unsigned: one that might be negative, and so count
from the end, prevents SIMD. All compiled parts stay in this file: numba's cache does not notice changes in
others.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.descriptors.chebyshev.chebyshev_work import Basis, Edges, Work
from aenet_gpr_cli.jit import inlined, loop, part
from aenet_gpr_cli.structures import FloatArray, IntArray

# Rows are filled up to a multiple of what a SIMD loop takes at a time, at most four times eight: no edge is
# among the last ones, which round in another way.
PAD = 32
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


@inlined
def next_batch(first: int, last: int, edges: Edges, work: Work) -> int:
    """Return the end of the batch that begins with atom `first`: as many as there is room for."""
    end = first + 1
    while end < last and edges.offsets[end + 1] - edges.offsets[first] + PAD <= work.f.shape[1]:
        end += 1
    return end


@part
def padded(n: int) -> int:
    """Return how many edges a loop runs over that is vectorised."""
    return (n + PAD - 1) // PAD * PAD


@inlined
def kept(number: int, first: int, last: int, edges: Edges, basis: Basis, work: Work) -> tuple:
    """Return what is kept of a batch: rows of its edges, of those within an angular cutoff, and places."""
    width = edges.offsets[last] - edges.offsets[first] + PAD
    at = edges.offsets[first] - work.begin[0] + PAD * number if work.begin[0] >= 0 else 0
    rows, near_rows = 6 + basis.parts, 4 + basis.parts + 2 * len(basis.angular_cutoffs)
    return (
        work.all[at * rows : (at + width) * rows].reshape((rows, width)),
        work.near[at * near_rows : (at + width) * near_rows].reshape((near_rows, width)),
        work.place[at * 3 : (at + width) * 3].reshape((3, width)),
    )


@part
def geometry(
    first: int, last: int, edges: Edges, basis: Basis, g: FloatArray, place: IntArray, stop: IntArray
) -> int:
    """Gather the edges of the atoms first:last shorter than the longest cutoff; return their number.

    Distances and unit vectors are written to the rows 0 to 3 of g, the weights of the ends from row 6 on;
    places among all edges and centres to the rows of `place`; where the edges of each atom end to `stop`.
    """
    n, longest = 0, basis.longest * basis.longest
    for i in range(first, last):
        for e in range(edges.offsets[i], edges.offsets[i + 1]):
            x, y, z = edges.vectors[e, 0], edges.vectors[e, 1], edges.vectors[e, 2]
            square = x * x + y * y + z * z
            g[0, n], g[1, n], g[2, n], g[3, n] = square, x, y, z
            place[0, n], place[1, n] = e, i
            n += 1 if square < longest else 0  # no branch, which would often be guessed wrong
        stop[i] = n
    for e in range(n, padded(n)):  # beyond all cutoffs
        g[0, e], g[1, e], g[2, e], g[3, e] = longest, 0.0, 0.0, 0.0
    for e in range(padded(n)):
        r = np.sqrt(g[0, e])
        inverse = 1.0 / r
        g[0, e], g[1, e], g[2, e], g[3, e] = r, inverse * g[1, e], inverse * g[2, e], inverse * g[3, e]
    for h in range(basis.parts):
        for e in range(n):
            g[6 + h, e] = basis.weights[h, edges.kinds[edges.neighbour[place[0, e]]]]
        for e in range(n, padded(n)):
            g[6 + h, e] = 0.0
    return n


@part
def within(g: FloatArray, n: int, basis: Basis, near: FloatArray, spot: IntArray, inside: IntArray) -> int:
    """Gather the edges shorter than the largest angular cutoff in `near`, shell by shell from within.

    The first inside[c] are shorter than cutoff c; their places in g are written to `spot`. Returns inside[0].
    """
    count, lower, cutoffs = 0, 0.0, basis.angular_cutoffs
    for c in range(len(cutoffs) - 1, -1, -1):
        for e in range(n):
            spot[count] = e
            count += 1 if lower <= g[0, e] < cutoffs[c] else 0
        inside[c], lower = count, cutoffs[c]
    for row in range(4 + basis.parts):
        of_g = row if row < 4 else row + 2
        for e in range(count):
            near[row, e] = g[of_g, spot[e]]
        for e in range(count, padded(count)):  # beyond all cutoffs
            near[row, e] = basis.longest if row == 0 else 0.0
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
def edge_terms(n: int, q: FloatArray, c: FloatArray, s: FloatArray, out: FloatArray) -> None:
    """Write q_lm c_m to out[edge, l² + max(2m − 1, 0)] and, for m > 0, q_lm s_m to the number after it."""
    for l in range(len(c)):
        for e in range(n):
            out[e, l * l] = q[l, 0, e]
        for m in range(1, l + 1):
            y = l * l + 2 * m
            for e in range(n):
                out[e, y - 1], out[e, y] = q[l, m, e] * c[m, e], q[l, m, e] * s[m, e]


@part
def moments(
    n: int, weights: FloatArray, fc: FloatArray, centre: IntArray, terms: FloatArray, r: int, out: FloatArray
) -> None:
    """Add Σ_j w_j W_hj Y_y(u_j) to out[atom, r, h, y], w_j being the cutoff function of cutoff r.

    Y_y are the terms of `edge_terms`.
    """
    for e in range(n):
        i = centre[e]
        for h in range(out.shape[2]):
            weight = fc[e] * weights[h, e]
            for y in range(out.shape[3]):
                out[i, r, h, y] += weight * terms[e, y]


@part
def radial_sums(
    first: int, last: int, basis: Basis, g: FloatArray, by: FloatArray, f: FloatArray, stop: IntArray,
    out: FloatArray,
) -> None:  # fmt: skip
    """Write Σ_j by_j W_hj f_nj of the atoms first:last to out[atom, feature], four n in one pass."""
    start, top = np.uint64(0), basis.n_radial - 1
    for i in range(first, last):
        end = np.uint64(stop[i])
        for h in range(basis.parts):
            at = h * basis.half
            for k in range(0, top + 1, 4):
                k1, k2, k3 = min(k + 1, top), min(k + 2, top), min(k + 3, top)
                s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
                for e in range(start, end):
                    weight = by[e] * g[6 + h, e]
                    s0 += weight * f[k, e]
                    s1 += weight * f[k1, e]
                    s2 += weight * f[k2, e]
                    s3 += weight * f[k3, e]
                out[i, at + k3], out[i, at + k2], out[i, at + k1], out[i, at + k] = s3, s2, s1, s0
        start = end


@part
def angular_moments(
    first: int, last: int, basis: Basis, near: FloatArray, place: IntArray, inside: IntArray, work: Work
) -> None:
    """Write the moments of the atoms of a batch, and cutoff functions."""
    n, parts = inside[0], basis.parts
    for e in range(n):
        work.centre[e] = place[1, place[2, e]]
    harmonics(near, padded(n), basis.recurrence, work.q, work.c, work.s)
    edge_terms(n, work.q, work.c, work.s, work.terms)
    work.moment[first:last] = 0.0
    for r in range(len(basis.angular_cutoffs)):
        fc, dfc = near[4 + parts + 2 * r], near[5 + parts + 2 * r]
        cutoff_function(near[0], basis.angular_cutoffs[r], padded(inside[r]), fc, dfc)
        moments(inside[r], near[4 : 4 + parts], fc, work.centre, work.terms, r, work.moment)


@part
def angular_values(
    first: int, last: int, basis: Basis, near: FloatArray, inside: IntArray, work: Work, out: FloatArray
) -> None:
    """Write ½ (Σ_l B_kl Σ_m |M_lm|² − Σ_j w_j² W_hj²) of each atom to zeros out[atom, feature]."""
    angular, parts, power = basis.n_angular, basis.parts, work.row
    for r in range(len(basis.angular_cutoffs)):
        start, fc = basis.n_radial + r * angular, near[4 + parts + 2 * r]
        for e in range(inside[r]):
            i = work.centre[e]
            for h in range(parts):
                weight = fc[e] * near[4 + h, e]
                out[i, h * basis.half + start] += weight * weight
        for i in range(first, last):
            for h in range(parts):
                at = h * basis.half + start
                for l in range(angular):
                    power[l] = 0.0
                    for y in range(l * l, (l + 1) * (l + 1)):
                        power[l] += work.moment[i, r, h, y] * work.moment[i, r, h, y]
                own = out[i, at]
                for k in range(angular):
                    total = -own
                    for l in range(k + 1):
                        total += basis.expansion[k, l] * power[l]
                    out[i, at + k] = 0.5 * total


@loop
def value_loop(first: int, last: int, edges: Edges, basis: Basis, work: Work, out: FloatArray) -> None:
    """Write the descriptors of the atoms first:last to zeros out[atom, feature], which may have no features.

    What their derivatives need stays in `work`.
    """
    number, begin, wanted = 0, first, out.shape[1] > 0
    while begin < last:
        end = next_batch(begin, last, edges, work)
        g, near, place = kept(number, begin, end, edges, basis, work)
        inside = work.inside[number]
        n = geometry(begin, end, edges, basis, g, place, work.stop)
        cutoff_function(g[0], basis.radial_cutoff, padded(n), g[4], g[5])
        if wanted:
            radial_terms(g[0], padded(n), basis.radial_cutoff, g[4], g[5], work.f, work.d[:0])
            radial_sums(begin, end, basis, g, g[6], work.f, work.stop, out)  # the weights of part 0 are 1
        if basis.n_angular > 0:
            within(g, n, basis, near, place[2], inside)
            angular_moments(begin, end, basis, near, place, inside, work)
            if wanted:
                angular_values(begin, end, basis, near, inside, work, out)
        number, begin = number + 1, end


@inlined
def read_batch(number: int, first: int, last: int, edges: Edges, basis: Basis, work: Work) -> tuple:
    """Return what `kept` does, and how many edges these are; write terms again that are not kept."""
    g, near, place = kept(number, first, last, edges, basis, work)
    n, inside = work.stop[last - 1], work.inside[number]
    radial_terms(g[0], padded(n), basis.radial_cutoff, g[4], g[5], work.f, work.d)
    if basis.n_angular > 0:
        harmonics(near, padded(inside[0]), basis.recurrence, work.q, work.c, work.s)
        for e in range(inside[0]):
            work.centre[e] = place[1, place[2, e]]
        for e in range(inside[0], padded(inside[0])):
            work.centre[e] = first
    return g, near, place, inside, n


@part
def factors(n: int, weights: FloatArray, work: Work) -> None:
    """Write Σ_h W_he pulled[atom of e, h, y] to factor[y, e]."""
    row = work.row
    for e in range(n):
        i = work.centre[e]
        for y in range(len(row)):
            row[y] = weights[0, e] * work.pulled[i, 0, y]
        for h in range(1, len(weights)):
            for y in range(len(row)):
                row[y] += weights[h, e] * work.pulled[i, h, y]
        for y in range(len(row)):
            work.factor[y, e] = row[y]


@part
def slopes_of_terms(
    n: int, low: int, high: int, basis: Basis, near: FloatArray, fc: FloatArray, dfc: FloatArray, work: Work,
    out: FloatArray,
) -> None:  # fmt: skip
    """Write d(w_e Σ_y factor_ye Y_y(u_e))/dR_e, of the orders low:high, to out[xyz, e].

    With the factors C this is w' u (C·Y) + (w/r) (1 − u uᵀ) C·∇Y.
    """
    q, c, s, x = work.q, work.c, work.s, work.x[3]
    for e in range(n):
        x[e], out[0, e], out[1, e], out[2, e] = 0.0, 0.0, 0.0, 0.0
    for l in range(low, high):
        for m in range(l + 1):
            of_c, of_s = work.factor[l * l + max(2 * m - 1, 0)], work.factor[l * l + 2 * m]
            down, up = max(m - 1, 0), min(m + 1, l)
            rise = basis.recurrence[2, l, m]  # zero for m = l
            for e in range(n):
                both = of_c[e] * c[m, e] + of_s[e] * s[m, e]
                x[e] += q[l, m, e] * both
                out[0, e] += m * q[l, m, e] * (of_c[e] * c[down, e] + of_s[e] * s[down, e])
                out[1, e] += m * q[l, m, e] * (of_s[e] * c[down, e] - of_c[e] * s[down, e])
                out[2, e] += rise * q[l, up, e] * both
    for e in range(n):
        ux, uy, uz = near[1, e], near[2, e], near[3, e]
        turn = fc[e] / near[0, e]
        along = dfc[e] * x[e] - turn * (ux * out[0, e] + uy * out[1, e] + uz * out[2, e])
        out[0, e] = along * ux + turn * out[0, e]
        out[1, e] = along * uy + turn * out[1, e]
        out[2, e] = along * uz + turn * out[2, e]


@part
def radial_pull(
    first: int, last: int, n: int, g: FloatArray, basis: Basis, work: Work, cotangents: FloatArray
) -> None:
    """Write the radial functions' part of what `pull_back` does."""
    x, along, d, start, top = work.x, work.x[3], work.d, np.uint64(0), basis.n_radial - 1
    for i in range(first, last):
        end = np.uint64(work.stop[i])
        for e in range(start, end):
            along[e] = 0.0
        for h in range(basis.parts):
            for k in range(0, top + 1, 4):  # four in one pass
                at = h * basis.half + k
                k1, k2, k3 = min(k + 1, top), min(k + 2, top), min(k + 3, top)
                c0 = cotangents[i, at]
                c1 = cotangents[i, at + 1] if k + 1 <= top else 0.0
                c2 = cotangents[i, at + 2] if k + 2 <= top else 0.0
                c3 = cotangents[i, at + 3] if k + 3 <= top else 0.0
                for e in range(start, end):
                    four = c0 * d[k, e] + c1 * d[k1, e] + c2 * d[k2, e] + c3 * d[k3, e]
                    along[e] += g[6 + h, e] * four
        start = end
    for e in range(padded(n)):
        x[0, e], x[1, e], x[2, e] = along[e] * g[1, e], along[e] * g[2, e], along[e] * g[3, e]


@part
def angular_gradients(
    first: int, last: int, near: FloatArray, inside: IntArray, basis: Basis, work: Work
) -> None:
    """Write ½ d(Σ_m |M_lm|²)/dR_e to p[cutoff, h, l, :, e], and −½ d(w_e² W_he²)/dR_e to its last l."""
    parts, angular = basis.parts, basis.n_angular
    for r in range(len(basis.angular_cutoffs)):
        n, fc, dfc = inside[r], near[4 + parts + 2 * r], near[5 + parts + 2 * r]
        for h in range(parts):
            for i in range(first, last):
                for t in range(len(work.row)):
                    work.pulled[i, 0, t] = work.moment[i, r, h, t]
            factors(n, near[4 + h : 5 + h], work)
            for l in range(angular):
                slopes_of_terms(padded(n), l, l + 1, basis, near, fc, dfc, work, work.p[r, h, l])
            y = work.p[r, h, angular]
            for e in range(n):
                along = -near[4 + h, e] * near[4 + h, e] * fc[e] * dfc[e]
                y[0, e], y[1, e], y[2, e] = along * near[1, e], along * near[2, e], along * near[3, e]


@part
def angular_pull(
    first: int, last: int, r: int, n: int, near: FloatArray, basis: Basis, work: Work, cotangents: FloatArray
) -> None:
    """Write the part of cutoff r of what `pull_back` does to y[xyz, e].

    The factors of the terms are summed first, which is the fastest for few cotangents.
    """
    y, parts, angular, own = work.y, basis.parts, basis.n_angular, len(work.row)
    for i in range(first, last):
        for h in range(parts):
            at = h * basis.half + basis.n_radial + r * angular
            for l in range(angular):
                factor = 0.0
                for k in range(l, angular):
                    factor += cotangents[i, at + k] * basis.expansion[k, l]
                for t in range(l * l, (l + 1) * (l + 1)):
                    work.pulled[i, h, t] = factor * work.moment[i, r, h, t]
            factor = 0.0
            for k in range(angular):
                factor += cotangents[i, at + k]
            work.pulled[i, h, own] = factor
    fc, dfc = near[4 + parts + 2 * r], near[5 + parts + 2 * r]
    factors(n, near[4 : 4 + parts], work)
    slopes_of_terms(padded(n), 0, angular, basis, near, fc, dfc, work, y)
    for e in range(padded(n)):
        along = 0.0
        for h in range(parts):
            along += near[4 + h, e] * near[4 + h, e] * work.pulled[work.centre[e], h, own]
        along *= fc[e] * dfc[e]
        for a in range(3):
            y[a, e] -= along * near[1 + a, e]


@part
def angular_contraction(
    first: int, last: int, r: int, n: int, basis: Basis, work: Work, cotangents: FloatArray
) -> None:
    """Do the same from the derivatives of each function (`angular_gradients`), fast for many cotangents."""
    y, angular = work.y, basis.n_angular
    for e in range(padded(n)):
        y[0, e], y[1, e], y[2, e] = 0.0, 0.0, 0.0
    for h in range(basis.parts):
        at = h * basis.half + basis.n_radial + r * angular
        for i in range(first, last):
            for l in range(angular + 1):
                factor = 0.0
                for k in range(angular):
                    factor += cotangents[i, at + k] * basis.expansion[k, l]
                work.pulled[i, 0, l] = factor
        for e in range(n):
            i = work.centre[e]
            for l in range(angular + 1):
                work.factor[l, e] = work.pulled[i, 0, l]
        for l in range(angular + 1):
            p, factor_of = work.p[r, h, l], work.factor[l]
            for e in range(padded(n)):
                y[0, e] += factor_of[e] * p[0, e]
                y[1, e] += factor_of[e] * p[1, e]
                y[2, e] += factor_of[e] * p[2, e]


@part
def pull_back(
    first: int, last: int, n: int, g: FloatArray, near: FloatArray, place: IntArray, inside: IntArray,
    basis: Basis, work: Work, cotangents: FloatArray,
) -> None:  # fmt: skip
    """Write the gradients of Σ_if cotangent_if G_if by the edges of a batch to x[xyz, e]."""
    x, y = work.x, work.y
    radial_pull(first, last, n, g, basis, work, cotangents)
    for r in range(len(basis.angular_cutoffs)):
        if work.p.shape[1] > 0:
            angular_contraction(first, last, r, inside[r], basis, work, cotangents)
        else:
            angular_pull(first, last, r, inside[r], near, basis, work, cotangents)
        for e in range(inside[r]):
            spot = place[2, e]
            for a in range(3):
                x[a, spot] += y[a, e]


@part
def scatter(
    first: int, last: int, edges: Edges, place: IntArray, x: FloatArray, stop: IntArray, out: FloatArray
) -> None:
    """Add the slopes x[xyz, e] of the edges of a batch to both ends, out[atom, xyz]."""
    start = np.uint64(0)
    for i in range(first, last):
        end, total_x, total_y, total_z = np.uint64(stop[i]), 0.0, 0.0, 0.0
        for e in range(start, end):
            j = edges.neighbour[place[0, e]]
            out[j, 0] += x[0, e]
            out[j, 1] += x[1, e]
            out[j, 2] += x[2, e]
            total_x, total_y, total_z = total_x + x[0, e], total_y + x[1, e], total_z + x[2, e]
        out[i, 0] -= total_x
        out[i, 1] -= total_y
        out[i, 2] -= total_z
        start = end


@part
def add_strain(
    first: int, last: int, n_atoms: int, g: FloatArray, x: FloatArray, stop: IntArray, out: FloatArray
) -> None:
    """Add Σ_e x[a, e] r_e[b] of the edges of a batch to out[structure, a, b]."""
    start = np.uint64(0)
    for i in range(first, last):
        end = np.uint64(stop[i])
        for a in range(3):
            for b in range(3):
                total = 0.0
                for e in range(start, end):
                    total += x[a, e] * g[0, e] * g[1 + b, e]
                out[i // n_atoms, a, b] += total
        start = end


@loop
def pull_loop(
    first: int, last: int, edges: Edges, basis: Basis, work: Work, cotangents: FloatArray, out: FloatArray,
    n_atoms: int, strain: FloatArray,
) -> None:  # fmt: skip
    """Pull cotangents[k, atom, feature] of the atoms first:last back, after `value_loop` for the same.

    Gradients are added to the rows of the neighbours in out[k, atom, xyz], so that these have to be whole
    structures, of n_atoms each; those by a strain to strain[k, structure, xyz, xyz], if it has a k.
    """
    number, begin = 0, first
    while begin < last:
        end = next_batch(begin, last, edges, work)
        g, near, place, inside, n = read_batch(number, begin, end, edges, basis, work)
        if basis.n_angular > 0 and work.p.shape[1] > 0:
            angular_gradients(begin, end, near, inside, basis, work)
        for k in range(len(cotangents)):
            pull_back(begin, end, n, g, near, place, inside, basis, work, cotangents[k])
            scatter(begin, end, edges, place, work.x, work.stop, out[k])
            if len(strain) > 0:
                add_strain(begin, end, n_atoms, g, work.x, work.stop, strain[k])
        number, begin = number + 1, end


@part
def push_forward(
    first: int, last: int, n: int, g: FloatArray, place: IntArray, inside: IntArray, edges: Edges,
    basis: Basis, work: Work, tangent: FloatArray, out: FloatArray,
) -> None:  # fmt: skip
    """Write the changes of a batch's descriptors along tangent[atom, xyz] to out[atom, feature]."""
    x, y, along, angular = work.x, work.y, work.x[3], basis.n_angular
    for e in range(n):
        i, j = place[1, e], edges.neighbour[place[0, e]]
        for a in range(3):
            x[a, e] = tangent[j, a] - tangent[i, a]
    for e in range(padded(n)):
        along[e] = x[0, e] * g[1, e] + x[1, e] * g[2, e] + x[2, e] * g[3, e]
    radial_sums(first, last, basis, g, along, work.d, work.stop, out)
    for r in range(len(basis.angular_cutoffs)):
        for e in range(inside[r]):
            for a in range(3):
                y[a, e] = x[a, place[2, e]]
        for h in range(basis.parts):
            for l in range(angular + 1):
                p = work.p[r, h, l]
                for e in range(padded(inside[r])):
                    work.factor[l, e] = y[0, e] * p[0, e] + y[1, e] * p[1, e] + y[2, e] * p[2, e]
            work.pulled[first:last, 0] = 0.0
            for e in range(inside[r]):
                i = work.centre[e]
                for l in range(angular + 1):
                    work.pulled[i, 0, l] += work.factor[l, e]
            at = h * basis.half + basis.n_radial + r * angular
            for i in range(first, last):
                for k in range(angular):
                    total = 0.0
                    for l in range(angular + 1):
                        total += basis.expansion[k, l] * work.pulled[i, 0, l]
                    out[i, at + k] = total


@loop
def push_loop(
    first: int, last: int, edges: Edges, basis: Basis, work: Work, tangents: FloatArray, out: FloatArray
) -> None:
    """Push tangents[k, atom, xyz] forward to zeros out[k, atom, feature], after `value_loop` for the same."""
    number, begin = 0, first
    while begin < last:
        end = next_batch(begin, last, edges, work)
        g, near, place, inside, n = read_batch(number, begin, end, edges, basis, work)
        if basis.n_angular > 0:
            angular_gradients(begin, end, near, inside, basis, work)
        for k in range(len(tangents)):
            push_forward(begin, end, n, g, place, inside, edges, basis, work, tangents[k], out[k])
        number, begin = number + 1, end


@loop
def edge_loop(first: int, last: int, edges: Edges, basis: Basis, work: Work, out: FloatArray) -> None:
    """Write derivatives by edges to zeros out[edge, xyz, feature], after `value_loop` for the same atoms."""
    half, angular, number, begin = basis.half, basis.n_angular, 0, first
    while begin < last:
        end = next_batch(begin, last, edges, work)
        g, near, place, inside, n = read_batch(number, begin, end, edges, basis, work)
        for e in range(n):
            for a in range(3):
                for h in range(basis.parts):
                    for k in range(basis.n_radial):
                        out[place[0, e], a, h * half + k] = g[6 + h, e] * work.d[k, e] * g[1 + a, e]
        if angular > 0:
            angular_gradients(begin, end, near, inside, basis, work)
        for r in range(len(basis.angular_cutoffs)):
            for e in range(inside[r]):
                for a in range(3):
                    for h in range(basis.parts):
                        at = h * half + basis.n_radial + r * angular
                        for k in range(angular):
                            slope = 0.0
                            for l in range(angular + 1):
                                slope += basis.expansion[k, l] * work.p[r, h, l, a, e]
                            out[place[0, place[2, e]], a, at + k] = slope
        number, begin = number + 1, end
