"""Compiled loops over the hidden layers of tanh networks: all members of a committee, on a CPU.

Owns the arithmetic behind the first layer, vectorised over atoms, in the dtype of the data. Each loop follows
the function of `tensor_passes` that its docstring names. All compiled parts stay in this file: numba's cache
does not notice changes in others. Inner loops begin at 0: numba's check for negative indices would prevent
SIMD.

Arrays run (member, unit, atom). ``values[l]`` are the outputs of hidden layer l; ``flat`` holds the weights
of all members, from ``start`` on those of this species, layer by layer; ``sizes`` are the lengths of the
layers from the input to the output.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from aenet_gpr_cli.jit import loop, part
from aenet_gpr_cli.structures import FloatArray, IntArray


@lru_cache(maxsize=2)
def constants(dtype: np.dtype) -> FloatArray:
    """Return the numbers of the loops in the dtype of the data, so that nothing is promoted to float64.

    Returns
    -------
    ndarray of shape (13,)
        For `_tanh`: where tanh is ±1 to rounding, 1/4, and the Padé coefficients; then 1 and 2.
    """
    above = np.array([4729725.0, 135135.0, 990.0, 1.0]) / 34459425.0
    below = np.array([16216200.0, 945945.0, 13860.0, 45.0]) / 34459425.0
    return np.array([-20.0, 20.0, 0.25, *above, *below, 1.0, 2.0]).astype(dtype)


@part
def _tanh(z: FloatArray, c: FloatArray) -> None:
    """Replace z by tanh z, to rounding: Padé [9/8] of z/4, and twice tanh 2y = 2t/(1 + t²).

    Doubling shrinks relative errors. Numerator and denominator are kept apart up to one division.
    """
    low, high, quarter, one, two = c[0], c[1], c[2], c[11], c[12]
    for a in range(len(z)):
        x = z[a]
        x = low if x < low else x  # in this order NaN stays NaN
        x = high if x > high else x
        y = quarter * x
        s = y * y
        p = y * (one + s * (c[3] + s * (c[4] + s * (c[5] + s * c[6]))))
        q = one + s * (c[7] + s * (c[8] + s * (c[9] + s * c[10])))
        p, q = two * p * q, q * q + p * p
        z[a] = two * p * q / (q * q + p * p)


@part
def _combine(w: FloatArray, first: int, step: int, rows: FloatArray, add: float, out: FloatArray) -> None:
    """Write add + Σ_k w[first + k·step] rows[k] to out, five rows at a time."""
    for a in range(len(out)):
        out[a] = add
    fives = len(rows) - len(rows) % 5
    for k in range(0, fives, 5):
        r0, r1, r2, r3, r4 = rows[k], rows[k + 1], rows[k + 2], rows[k + 3], rows[k + 4]
        place = first + k * step
        w0, w1, w2 = w[place], w[place + step], w[place + 2 * step]
        w3, w4 = w[place + 3 * step], w[place + 4 * step]
        for a in range(len(out)):
            out[a] += w0 * r0[a] + w1 * r1[a] + w2 * r2[a] + w3 * r3[a] + w4 * r4[a]
    for k in range(fives, len(rows)):
        r0, w0 = rows[k], w[first + k * step]
        for a in range(len(out)):
            out[a] += w0 * r0[a]


@part
def _correlate(
    delta: FloatArray, rows: FloatArray, zero: float, columns: int, first: int, out: FloatArray
) -> None:
    """Add Σ_atoms delta[h] rows[k] to out[first + h·columns + k], two times five rows at a time."""
    pairs, fives = len(delta) - len(delta) % 2, len(rows) - len(rows) % 5
    for h in range(0, pairs, 2):
        d, e = delta[h], delta[h + 1]
        for k in range(0, fives, 5):
            r0, r1, r2, r3, r4 = rows[k], rows[k + 1], rows[k + 2], rows[k + 3], rows[k + 4]
            s0, s1, s2, s3, s4 = zero, zero, zero, zero, zero
            t0, t1, t2, t3, t4 = zero, zero, zero, zero, zero
            for a in range(len(d)):
                s0 += d[a] * r0[a]
                s1 += d[a] * r1[a]
                s2 += d[a] * r2[a]
                s3 += d[a] * r3[a]
                s4 += d[a] * r4[a]
                t0 += e[a] * r0[a]
                t1 += e[a] * r1[a]
                t2 += e[a] * r2[a]
                t3 += e[a] * r3[a]
                t4 += e[a] * r4[a]
            place = first + h * columns + k
            for j, s, t in ((0, s0, t0), (1, s1, t1), (2, s2, t2), (3, s3, t3), (4, s4, t4)):
                out[place + j] += s
                out[place + columns + j] += t
    for h in range(len(delta)):
        d = delta[h]
        for k in range(fives if h < pairs else 0, len(rows)):
            r, s = rows[k], zero
            for a in range(len(d)):
                s += d[a] * r[a]
            out[first + h * columns + k] += s


@part
def _total(row: FloatArray, zero: float) -> float:
    total = zero
    for a in range(len(row)):
        total += row[a]
    return total


@part
def _place(sizes: IntArray, start: int, layer: int) -> int:
    """Return where the weights of a layer begin."""
    for l in range(layer):
        start += sizes[l + 1] * (sizes[l] + 1)
    return start


@loop
def forward(
    flat: FloatArray,
    start: int,
    sizes: IntArray,
    c: FloatArray,
    values: tuple[FloatArray, ...],
    output: FloatArray,
) -> None:
    """Write the outputs of all layers, see `tensor_passes.forward`; ``values[0]`` comes with its inputs."""
    depth = len(values)
    for i in range(len(flat)):
        w = flat[i]
        for l in range(depth):
            rows = values[l][i]
            for h in range(len(rows)):
                _tanh(rows[h], c)
            columns = sizes[l + 1] + 1
            place = _place(sizes, start, l + 1)
            for h in range(sizes[l + 2]):
                first = place + h * columns
                out = output[i] if l == depth - 1 else values[min(l + 1, depth - 1)][i][h]
                _combine(w, first, 1, rows, w[first + columns - 1], out)


@loop
def backward(
    flat: FloatArray,
    start: int,
    sizes: IntArray,
    c: FloatArray,
    values: tuple[FloatArray, ...],
    deltas: tuple[FloatArray, ...],
    gradient: bool,
    out: FloatArray,
) -> None:
    """Write the derivatives by the inputs of all units, see `tensor_passes.backward`.

    ``deltas[l]`` belongs to ``values[l]``; the last, of one row, is given: the derivative by the output. With
    ``gradient`` the weight gradient of all layers but the first is added to ``out``, see
    `tensor_passes.weight_gradient`, and ``deltas`` are the arrays of ``values``, which are replaced.
    """
    one = c[11]
    zero, room = one - one, np.empty_like(values[0][0, 0])
    for i in range(len(flat)):
        w = flat[i]
        for l in range(len(values) - 1, -1, -1):
            columns, place = sizes[l + 1] + 1, _place(sizes, start, l + 1)
            behind, rows, front = deltas[l + 1][i], values[l][i], deltas[l][i]
            if gradient:
                _correlate(behind, rows, zero, columns, place, out[i])
                for h in range(len(behind)):
                    out[i, place + h * columns + columns - 1] += _total(behind[h], zero)
            for k in range(len(rows)):
                d, v = front[k], rows[k]
                _combine(w, place + k, columns, behind, zero, room)
                if gradient:  # d is v: written like this, or SIMD is lost
                    for a in range(len(v)):
                        v[a] = (one - v[a] * v[a]) * room[a]
                else:
                    for a in range(len(v)):
                        d[a] = (one - v[a] * v[a]) * room[a]


@loop
def curvature(
    flat: FloatArray,
    start: int,
    sizes: IntArray,
    c: FloatArray,
    values: tuple[FloatArray, ...],
    sensitivities: tuple[FloatArray, ...],
    rates: tuple[FloatArray, ...],
    deltas: tuple[FloatArray, ...],
    out: FloatArray,
) -> None:
    """Do what `tensor_passes.force_gradient` does, but for the first layer.

    ``rates[0]`` comes with the directional derivatives of the inputs of the first layer; the others are
    written. ``sensitivities`` and ``deltas`` have a last array of one row, ones and the derivative by the
    output; ``deltas`` are written. As (Wᵀs)(1 - v²) of the layer behind is the sensitivity s of a layer
    itself, its second derivative contributes -2 v s · rate.
    """
    one, two = c[11], c[12]
    zero = one - one
    depth = len(values)
    for i in range(len(flat)):
        w = flat[i]
        for l in range(depth):
            columns, place = sizes[l + 1] + 1, _place(sizes, start, l + 1)
            moved = np.empty_like(values[l][i])
            for k in range(len(moved)):
                m, v, r = moved[k], values[l][i, k], rates[l][i, k]
                for a in range(len(m)):
                    m[a] = (one - v[a] * v[a]) * r[a]
            _correlate(sensitivities[l + 1][i], moved, zero, columns, place, out[i])
            if l < depth - 1:
                following = rates[min(l + 1, depth - 1)][i]
                for h in range(len(following)):
                    _combine(w, place + h * columns, 1, moved, zero, following[h])
        for l in range(depth - 1, -1, -1):
            columns, place = sizes[l + 1] + 1, _place(sizes, start, l + 1)
            behind, rows = deltas[l + 1][i], values[l][i]
            _correlate(behind, rows, zero, columns, place, out[i])
            for h in range(len(behind)):
                out[i, place + h * columns + columns - 1] += _total(behind[h], zero)
            for k in range(len(rows)):
                d, v, s, r = deltas[l][i, k], rows[k], sensitivities[l][i, k], rates[l][i, k]
                _combine(w, place + k, columns, behind, zero, d)
                for a in range(len(d)):
                    d[a] = d[a] * (one - v[a] * v[a]) - two * v[a] * s[a] * r[a]
