"""Compiled loops of SOAP: expansion coefficients of the atomic density about centres, and their derivatives.

Owns the sums over atoms and periodic images in closed form. Power spectra are `soap_spectrum`'s. All
compiled parts stay in this file: numba's cache does not notice changes in others.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.jit import loop, part, shared
from aenet_gpr_cli.structures import FloatArray, IntArray


@shared
def solid_harmonics(vector: FloatArray, norms: FloatArray, value: FloatArray, slope: FloatArray) -> None:
    """Write the real solid harmonics r^l Y_lm and their gradients; (l, m) stands at l² + l + m.

    With Q_lm = r^(l-m) P_lm(z/r)/sin^m θ and c_m + i s_m = (x + iy)^m, Y_lm = F_lm Q_lm c_m (s_m for m < 0).
    """
    x, y, z = vector
    r2 = x * x + y * y + z * z
    size = norms.shape[0]
    q = np.zeros((size + 1, size + 2))
    cosine, sine = np.zeros(size), np.zeros(size)
    cosine[0] = q[0, 0] = 1.0
    for m in range(1, size):
        cosine[m] = x * cosine[m - 1] - y * sine[m - 1]
        sine[m] = x * sine[m - 1] + y * cosine[m - 1]
        q[m, m] = (2 * m - 1) * q[m - 1, m - 1]
    for m in range(size):
        for degree in range(m + 1, size):
            below = q[degree - 2, m] if degree > m + 1 else 0.0
            q[degree, m] = ((2 * degree - 1) * z * q[degree - 1, m] - (degree + m - 1) * r2 * below) / (
                degree - m
            )
    for degree in range(size):
        centre = degree * degree + degree
        for m in range(degree + 1):
            own = q[degree, m]
            # ∂Q/∂z = (l+m) Q_(l-1)m and ∂Q/∂x = -x Q_(l-1)(m+1)
            radial = -q[degree - 1, m + 1] if degree > 0 else 0.0
            along = (degree + m) * q[degree - 1, m] if degree > 0 else 0.0
            lower_c, lower_s = (cosine[m - 1], sine[m - 1]) if m > 0 else (0.0, 0.0)
            norm = norms[degree, m]
            at = centre + m
            value[at] = norm * own * cosine[m]
            slope[0, at] = norm * (x * radial * cosine[m] + own * m * lower_c)
            slope[1, at] = norm * (y * radial * cosine[m] - own * m * lower_s)
            slope[2, at] = norm * along * cosine[m]
            if m > 0:
                at = centre - m
                value[at] = norm * own * sine[m]
                slope[0, at] = norm * (x * radial * sine[m] + own * m * lower_s)
                slope[1, at] = norm * (y * radial * sine[m] + own * m * lower_c)
                slope[2, at] = norm * along * sine[m]


@part
def _radial(r2: float, exponents: FloatArray, amplitudes: FloatArray, g: FloatArray, dg: FloatArray) -> None:
    """Write the radial functions of all degrees and their derivatives with respect to r²."""
    n_degrees, n_max = exponents.shape
    for degree in range(n_degrees):
        for n in range(n_max):
            g[degree, n] = dg[degree, n] = 0.0
        for k in range(n_max):
            decay = np.exp(-exponents[degree, k] * r2)
            for n in range(n_max):
                part = amplitudes[degree, n, k] * decay
                g[degree, n] += part
                dg[degree, n] -= exponents[degree, k] * part


@loop
def expand_density(
    positions: FloatArray,
    kinds: IntArray,
    centres: FloatArray,
    own: IntArray,
    rows: FloatArray,
    inverse: FloatArray,
    shifts: FloatArray,
    reach: float,
    exponents: FloatArray,
    amplitudes: FloatArray,
    norms: FloatArray,
    coefficients: FloatArray,
    slopes: FloatArray,
) -> None:
    """Add the coefficients c of the density about each centre and, where asked, ∂c/∂R of each atom.

    Parameters
    ----------
    positions : ndarray of shape (n_atoms, 3), Å
    kinds : ndarray of int, shape (n_atoms,)
        Species of each atom.
    centres : ndarray of shape (n_centres, 3), Å
    own : ndarray of int, shape (n_centres,)
        The atom that a centre sits on, whose images do not move against it; -1 for a point in space.
    rows, inverse : ndarray of shape (n_periodic, 3) and (3, n_periodic)
        Lattice vectors and their pseudo-inverse.
    shifts : ndarray of shape (n_shifts, 3), Å
        Lattice translations that can bring an atom near a centre from the cell around it.
    reach : float, Å
    exponents, amplitudes, norms
        See `SoapBasis`.
    coefficients : ndarray of shape (n_centres, n_species, n_max, (l_max + 1)²)
        Added to.
    slopes : ndarray of shape (n_centres, n_atoms, 3, n_max, (l_max + 1)²)
        Added to; empty along the first axis where no derivatives are wanted.
    """
    n_degrees, n_max = exponents.shape
    g, dg = np.empty((n_degrees, n_max)), np.empty((n_degrees, n_max))
    value, slope = np.empty(n_degrees * n_degrees), np.empty((3, n_degrees * n_degrees))
    base, vector = np.empty(3), np.empty(3)
    with_slopes = slopes.shape[0] > 0
    for c in range(centres.shape[0]):
        for atom in range(positions.shape[0]):
            base[:] = positions[atom] - centres[c]
            for k in range(rows.shape[0]):
                turns = np.round(
                    (positions[atom, 0] - centres[c, 0]) * inverse[0, k]
                    + (positions[atom, 1] - centres[c, 1]) * inverse[1, k]
                    + (positions[atom, 2] - centres[c, 2]) * inverse[2, k]
                )
                for a in range(3):
                    base[a] -= turns * rows[k, a]
            for image in range(shifts.shape[0]):
                for a in range(3):
                    vector[a] = base[a] + shifts[image, a]
                r2 = vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2]
                if r2 > reach * reach:
                    continue
                _radial(r2, exponents, amplitudes, g, dg)
                solid_harmonics(vector, norms, value, slope)
                density = coefficients[c, kinds[atom]]
                for n in range(n_max):
                    for degree in range(n_degrees):
                        for at in range(degree * degree, (degree + 1) * (degree + 1)):
                            density[n, at] += g[degree, n] * value[at]
                if not with_slopes or atom == own[c]:
                    continue
                for a in range(3):
                    out = slopes[c, atom, a]
                    for n in range(n_max):
                        for degree in range(n_degrees):
                            steep = 2.0 * vector[a] * dg[degree, n]
                            for at in range(degree * degree, (degree + 1) * (degree + 1)):
                                out[n, at] += g[degree, n] * slope[a, at] + steep * value[at]


@loop
def expand_edges(
    offsets: IntArray,
    vectors: FloatArray,
    centres: IntArray,
    ends: IntArray,
    cutoff: float,
    transition: float,
    exponents: FloatArray,
    amplitudes: FloatArray,
    norms: FloatArray,
    coefficients: FloatArray,
    slopes: FloatArray,
) -> None:
    """Add the coefficients c of the density about each atom, from its edges, and ∂c/∂r of each edge.

    Neighbours fade out smoothly, ½(1 + cos), over the last part of the cutoff; the atom itself counts.

    Parameters
    ----------
    offsets : ndarray of int, shape (n_atoms + 1,)
        Edges of each atom.
    vectors : ndarray of shape (n_edges, 3), Å
    centres, ends : ndarray of int, shape (n_atoms,), (n_edges,)
        Species of the atoms, and of the neighbour of each edge.
    cutoff, transition : float, Å
    exponents, amplitudes, norms
        See `SoapBasis`.
    coefficients : ndarray of shape (n_atoms, n_species, n_max, (l_max + 1)²)
        Added to.
    slopes : ndarray of shape (n_edges, 3, n_max, (l_max + 1)²)
        Written; empty along the first axis where no derivatives are wanted.
    """
    n_degrees, n_max = exponents.shape
    g, dg = np.empty((n_degrees, n_max)), np.empty((n_degrees, n_max))
    value, slope = np.empty(n_degrees * n_degrees), np.empty((3, n_degrees * n_degrees))
    with_slopes = slopes.shape[0] > 0
    for atom in range(centres.shape[0]):
        _radial(0.0, exponents, amplitudes, g, dg)
        for n in range(n_max):
            coefficients[atom, centres[atom], n, 0] += norms[0, 0] * g[0, n]
        for e in range(offsets[atom], offsets[atom + 1]):
            vector = vectors[e]
            r2 = vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2]
            r = np.sqrt(r2)
            if r >= cutoff:
                continue
            fade, steepness = 1.0, 0.0
            if r > cutoff - transition:
                angle = np.pi * (r - cutoff + transition) / transition
                fade = 0.5 + 0.5 * np.cos(angle)
                steepness = -0.5 * np.pi / transition * np.sin(angle) / r
            _radial(r2, exponents, amplitudes, g, dg)
            solid_harmonics(vector, norms, value, slope)
            density = coefficients[atom, ends[e]]
            for n in range(n_max):
                for degree in range(n_degrees):
                    for at in range(degree * degree, (degree + 1) * (degree + 1)):
                        density[n, at] += fade * g[degree, n] * value[at]
            if not with_slopes:
                continue
            for a in range(3):
                out = slopes[e, a]
                for n in range(n_max):
                    for degree in range(n_degrees):
                        level = fade * g[degree, n]
                        steep = vector[a] * (2.0 * fade * dg[degree, n] + steepness * g[degree, n])
                        for at in range(degree * degree, (degree + 1) * (degree + 1)):
                            out[n, at] = level * slope[a, at] + steep * value[at]
