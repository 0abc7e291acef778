"""Compiled loops that write rows of J = ∂ρ/∂W, for one member of tanh networks, on a CPU.

Owns the derivatives of an energy and of a force component by the weights of one species, an atom after the
other. `compiled_rows` is the door; the loops take flat arrays. All compiled parts stay in this file: numba's
cache does not notice changes in others. Inner loops begin at 0: numba's check for negative indices would
prevent SIMD.

``values[l]`` of shape (unit, atom) are the outputs of hidden layer l and ``sensitivities[l]`` the derivatives
of the atomic energies by its inputs, with a last row of ones; ``start`` and ``sizes`` as in `backend_numba`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.ann.execution.workspace import Workspace
from aenet_gpr_cli.ann.loss.loss_terms import WeightedBatch
from aenet_gpr_cli.ann.loss.objective import Objective, sum_species
from aenet_gpr_cli.ann.network.backend import first_weight
from aenet_gpr_cli.jit import loop, part
from aenet_gpr_cli.structures import FloatArray, IntArray


def compiled_rows(
    objective: Objective, flat: Tensor, given: WeightedBatch, room: Workspace | None = None
) -> tuple[Tensor, Tensor]:
    """Return the rows of J and ρ of a batch, energies first; see `jacobian_torch.tensor_rows`.

    A workspace holds the rows until the next.
    """
    batch, forces = given.batch, given.forces
    members, n, width = len(flat), len(batch.index), flat.shape[1]
    shape = (0, 0) if forces is None else (len(forces.inside), forces.subset.targets.shape[1])
    rows = (room or Workspace()).array("rows", flat, members, n + shape[0] * shape[1], width)
    force = flat.new_zeros(members, *shape)
    outputs, first, energy_root = [], 0, given.energy_root.expand(members, -1).contiguous().numpy()
    if forces is not None:
        matrices, places = forces.subset.operator.dense(forces.slots)
        root = forces.root.expand(members, -1, -1).contiguous().numpy()
        selected = (forces.inside.numpy(), matrices.numpy(), places.numpy())
    for s, features in enumerate(batch.features):
        state = objective.passes.forward(flat, s, features, 1)
        slopes = objective.passes.sensitivities(flat, s, state)
        outputs.append(state.output)
        atoms = len(features) // n
        place, sizes = first_weight(objective.architecture, s)
        for m in range(members):
            values = tuple(value[m].numpy() for value in state.inputs[1:])
            slope = tuple(delta[m].numpy() for delta in slopes)
            passed = (sizes, features.numpy(), values, slope, atoms)
            _energy_rows(place, *passed, energy_root[m], rows[m, :n].numpy())
            if forces is not None:
                out = rows[m, n:].view(*shape, width).numpy()
                directions = (*selected, first, root[m])
                _force_rows(flat[m].numpy(), place, *passed, *directions, out, force[m].numpy())
        first += atoms * objective.architecture.n_features
    residuals = [(sum_species(batch, outputs) - batch.energies) * given.energy_root]
    if forces is not None:
        errors = force - forces.subset.targets[forces.slots]
        residuals.append((errors * forces.root).flatten(1, 2))
    return rows, torch.cat(residuals, dim=1)


@part
def _length(sizes: IntArray) -> int:
    total = 0
    for l in range(len(sizes) - 1):
        total += sizes[l + 1] * (sizes[l] + 1)
    return total


@part
def _add_atoms(target: FloatArray, factors: FloatArray, rows: FloatArray) -> None:
    """Add Σ_atoms factor · row to target, four atoms at a time."""
    n = len(target)
    fours = len(factors) - len(factors) % 4
    for c in range(0, fours, 4):
        f0, f1, f2, f3 = factors[c], factors[c + 1], factors[c + 2], factors[c + 3]
        r0, r1, r2, r3 = rows[c], rows[c + 1], rows[c + 2], rows[c + 3]
        for f in range(n):
            target[f] += f0 * r0[f] + f1 * r1[f] + f2 * r2[f] + f3 * r3[f]
    for c in range(fours, len(factors)):
        f0, r0 = factors[c], rows[c]
        for f in range(n):
            target[f] += f0 * r0[f]


@loop
def _energy_rows(
    start: int,
    sizes: IntArray,
    features: FloatArray,
    values: tuple[FloatArray, ...],
    sensitivities: tuple[FloatArray, ...],
    n_atoms: int,
    factors: FloatArray,
    out: FloatArray,
) -> None:
    """Write the derivatives of factor · energy by the weights of this species to out[structure].

    A sum over the ``n_atoms`` atoms of sensitivity · inputᵀ, layer by layer.
    """
    end, slope = start + _length(sizes), np.empty(n_atoms)
    for b in range(len(out)):
        row, a = out[b], b * n_atoms
        row[start:end] = 0.0
        place = start
        for l in range(len(sizes) - 1):
            n_in = sizes[l]
            for h in range(sizes[l + 1]):
                given = sensitivities[l][h, a : a + n_atoms]
                for c in range(n_atoms):
                    slope[c] = factors[b] * given[c]
                if l == 0:
                    _add_atoms(row[place : place + n_in + 1], slope, features[a : a + n_atoms])
                else:
                    for k in range(n_in):
                        value, total = values[l - 1][k, a : a + n_atoms], 0.0
                        for c in range(n_atoms):
                            total += slope[c] * value[c]
                        row[place + k] = total
                    row[place + n_in] = slope.sum()
                place += n_in + 1


@part
def _first_rates(w: FloatArray, place: int, directions: FloatArray, out: FloatArray) -> None:
    """Write Σ_f w[h, f] direction[f] to out[h], two units at a time; the last column of w is the bias."""
    width = len(directions)
    pairs = len(out) - len(out) % 2
    for h in range(0, pairs, 2):
        w0 = w[place + h * (width + 1) : place + h * (width + 1) + width]
        w1 = w[place + (h + 1) * (width + 1) : place + (h + 1) * (width + 1) + width]
        s0, s1 = 0.0, 0.0
        for f in range(width):
            s0 += w0[f] * directions[f]
            s1 += w1[f] * directions[f]
        out[h], out[h + 1] = s0, s1
    for h in range(pairs, len(out)):
        w0, s0 = w[place + h * (width + 1) : place + h * (width + 1) + width], 0.0
        for f in range(width):
            s0 += w0[f] * directions[f]
        out[h] = s0


@part
def _combine(w: FloatArray, place: int, step: int, rows: FloatArray, out: FloatArray) -> None:
    """Write Σ_k w[place + k·step] rows[k] to out, five rows at a time."""
    for a in range(len(out)):
        out[a] = 0.0
    fives = len(rows) - len(rows) % 5
    for k in range(0, fives, 5):
        r0, r1, r2, r3, r4 = rows[k], rows[k + 1], rows[k + 2], rows[k + 3], rows[k + 4]
        here = place + k * step
        w0, w1, w2 = w[here], w[here + step], w[here + 2 * step]
        w3, w4 = w[here + 3 * step], w[here + 4 * step]
        for a in range(len(out)):
            out[a] += w0 * r0[a] + w1 * r1[a] + w2 * r2[a] + w3 * r3[a] + w4 * r4[a]
    for k in range(fives, len(rows)):
        r0, w0 = rows[k], w[place + k * step]
        for a in range(len(out)):
            out[a] += w0 * r0[a]


@part
def _propagate(
    w: FloatArray,
    end: int,
    sizes: IntArray,
    value: FloatArray,
    slope: FloatArray,
    rate: FloatArray,
    moved: FloatArray,
    delta: FloatArray,
) -> None:
    """Go through the layers and back as `backend_numba.curvature` does; all arrays are [layer, unit, pair].

    ``rate[0]`` comes with the directional derivatives of the inputs of the first layer. ``moved`` are the
    derivatives of the outputs; ``delta`` those of the rate of the energy by the inputs of the units.
    """
    depth, place = len(sizes) - 2, end
    for l in range(depth):
        place -= sizes[depth - l + 1] * (sizes[depth - l] + 1)
    for l in range(depth):
        for k in range(sizes[l + 1]):
            m, v, r = moved[l, k], value[l, k], rate[l, k]
            for p in range(len(m)):
                m[p] = (1.0 - v[p] * v[p]) * r[p]
        columns = sizes[l + 1] + 1
        for h in range(sizes[l + 2]):
            _combine(w, place + h * columns, 1, moved[l, : columns - 1], rate[l + 1, h])
        place += sizes[l + 2] * columns
    delta[depth] = 0.0  # the energy itself has no weight
    for l in range(depth - 1, -1, -1):
        columns = sizes[l + 1] + 1
        place -= sizes[l + 2] * columns
        for k in range(sizes[l + 1]):
            d, v, s, r = delta[l, k], value[l, k], slope[l, k], rate[l, k]
            _combine(w, place + k, columns, delta[l + 1, : sizes[l + 2]], d)
            for p in range(len(d)):
                d[p] = d[p] * (1.0 - v[p] * v[p]) - 2.0 * v[p] * s[p] * r[p]


@part
def _tile(arrays: tuple[FloatArray, ...], a: int, n_atoms: int, n: int, out: FloatArray) -> None:
    """Repeat the values of each atom for n components, to out[layer, unit, atom · n + component]."""
    for l in range(len(arrays)):
        for k in range(len(arrays[l])):
            source, target = arrays[l][k, a : a + n_atoms], out[l, k]
            for c in range(n_atoms):
                one = target[c * n : (c + 1) * n]
                for r in range(n):
                    one[r] = source[c]


@part
def _hidden_rows(
    place: int,
    sizes: IntArray,
    l: int,
    factors: FloatArray,
    value: FloatArray,
    slope: FloatArray,
    moved: FloatArray,
    delta: FloatArray,
    n_atoms: int,
    total: FloatArray,
    rows: FloatArray,
) -> None:
    """Write the derivatives by the weights of layer l to the rows, a component each."""
    n, n_in = len(rows), sizes[l]
    for h in range(sizes[l + 1]):
        s, d = slope[l, h], delta[l, h]
        for k in range(n_in + 1):
            for p in range(n):
                total[p] = 0.0
            for c in range(n_atoms):
                bend = d[c * n : (c + 1) * n]
                if k == n_in:
                    for r in range(n):
                        total[r] += bend[r]
                    continue
                m = moved[l - 1, k, c * n : (c + 1) * n]
                sensitivity, v = s[c * n], value[l - 1, k, c * n]
                for r in range(n):
                    total[r] += sensitivity * m[r] + bend[r] * v
            for r in range(n):
                rows[r, place + h * (n_in + 1) + k] = factors[r] * total[r]


@loop
def _force_rows(
    w: FloatArray,
    start: int,
    sizes: IntArray,
    features: FloatArray,
    values: tuple[FloatArray, ...],
    sensitivities: tuple[FloatArray, ...],
    n_atoms: int,
    inside: IntArray,
    matrices: FloatArray,
    slots: IntArray,
    first: int,
    factors: FloatArray,
    out: FloatArray,
    force: FloatArray,
) -> None:
    """Write the derivatives of factor · force by the weights of this species to out[structure, component].

    The force is added to ``force``. Structure ``inside[j]`` of the batch has the directions
    ``matrices[slots[j], component, first:]``, atom by atom. Vectors run over pairs of atom and component.
    """
    widest, width, depth, n = sizes[1:].max(), sizes[0], len(values), out.shape[1]
    value, moved = np.empty((depth, widest, n_atoms * n)), np.empty((depth, widest, n_atoms * n))
    slope, rate = np.empty((depth + 1, widest, n_atoms * n)), np.empty((depth + 1, widest, n_atoms * n))
    delta = np.empty((depth + 1, widest, n_atoms * n))
    total, one, bend = np.empty(n), np.empty(sizes[1]), np.empty(n_atoms)
    end = start + _length(sizes)
    for j in range(len(inside)):
        a, rows, directions = inside[j] * n_atoms, out[j], matrices[slots[j]]
        _tile(values, a, n_atoms, n, value)
        _tile(sensitivities, a, n_atoms, n, slope)
        for r in range(n):
            for c in range(n_atoms):
                place = first + c * width
                _first_rates(w, start, directions[r, place : place + width], one)
                for h in range(sizes[1]):
                    rate[0, h, c * n + r] = one[h]
        _propagate(w, end, sizes, value, slope, rate, moved, delta)
        for r in range(n):
            for c in range(n_atoms):
                force[j, r] += rate[depth, 0, c * n + r]
            ahead = directions[r, first : first + n_atoms * width].reshape(n_atoms, width)
            for h in range(sizes[1]):
                place = start + h * (width + 1)
                target = rows[r, place : place + width + 1]
                target[:] = 0.0
                for c in range(n_atoms):
                    bend[c] = factors[j, r] * slope[0, h, c * n]
                _add_atoms(target[:width], bend, ahead)
                for c in range(n_atoms):
                    bend[c] = factors[j, r] * delta[0, h, c * n + r]
                _add_atoms(target, bend, features[a : a + n_atoms])
        place = start + sizes[1] * (width + 1)
        for l in range(1, depth + 1):
            _hidden_rows(place, sizes, l, factors[j], value, slope, moved, delta, n_atoms, total, rows)
            place += sizes[l + 1] * (sizes[l] + 1)
