"""The squared-exponential kernel as a sum of monomials: which of them matter, and products with them.

With z = (x - origin)/ℓ in principal axes, k = Σ_α φ_α(z) φ_α(z'), φ_α = e^(-|z|²/2) z^α / √α!: every term is
a positive part of K. A few thousand hold nearly all of a smooth K, which is what `preconditioner` needs.
Compiled loops only touch the few axes of each monomial, for several structures at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.gpr.covariance.observation_order import split_rows, stack_rows
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.jit import loop, part, shared
from aenet_gpr_cli.structures import FloatArray, IntArray

MAX_DEGREE = 4  # higher terms are below the noise wherever few monomials suffice
MAX_CANDIDATES = 2**19  # monomials weighed per degree: bounds the memory of the choice at 50 MB
LANES = 16  # structures that the compiled loops take together: one or a few vector registers
AXES_BLOCK = 64  # structures whose dense Jacobian is held at a time


@dataclass(frozen=True, slots=True)
class Monomials:
    """Monomials on the energy and gradient rows of some structures, the factor Φ of ΦΦᵀ ≤ K.

    Attributes
    ----------
    covariance : Covariance
        Of one centre per structure, with a squared-exponential kernel.
    axes : ndarray of shape (n_features, n_features)
        Principal axes as columns.
    z : ndarray of shape (n_structures, n_features + 1)
        Coordinates along the axes over ℓ; the last column is 1.
    powers : ndarray of int, shape (n_monomials, MAX_DEGREE)
        Axes that are multiplied; n_features is the factor 1. Most important monomial first.
    scale : ndarray of shape (n_monomials,)
        1/√α!.
    importance : ndarray of shape (n_monomials,)
        Estimated squared norm of each column of Φ, falling.
    """

    covariance: Covariance
    axes: FloatArray
    z: FloatArray
    powers: IntArray
    scale: FloatArray
    importance: FloatArray

    @classmethod
    def of(cls, covariance: Covariance, max_monomials: int) -> Monomials:
        """Return the most important monomials, at least 1.

        Axes diagonalise Σ_i (J_i J_iᵀ + x_i x_iᵀ), so that most of K sits in few of them.
        """
        length, n = covariance.kernel.length_scale, covariance.n_structures
        x = covariance.x / length
        spread = x.T @ x
        for start in range(0, n, AXES_BLOCK):
            jacobian = covariance.points.jacobian(slice(start, min(start + AXES_BLOCK, n)))
            flat = jacobian.transpose(1, 0, 2).reshape(x.shape[1], -1) / length
            spread += flat @ flat.T
        variance, axes = np.linalg.eigh(spread)
        axes = np.ascontiguousarray(axes[:, ::-1])
        z = x @ axes
        square = np.einsum("ip,ip->p", z, z) / n
        slope = np.maximum(variance[::-1] / n - square, 0.0)
        damping = float(np.exp(-np.einsum("ip,ip->i", z, z)).sum())
        powers, scale, importance = _most_important(square, slope, max_monomials)
        return cls(covariance, axes, np.c_[z, np.ones(n)], powers, scale, damping * importance)

    def __len__(self) -> int:
        return len(self.powers)

    def first(self, count: int) -> Monomials:
        """Return the ``count`` most important ones."""
        return Monomials(
            self.covariance,
            self.axes,
            self.z,
            self.powers[:count],
            self.scale[:count],
            self.importance[:count],
        )

    def rows_of(self, structure: int) -> FloatArray:
        """Return the rows of Φ that belong to one structure, transposed, (n_monomials, 1 + 3 n_atoms)."""
        jacobian = self.covariance.points.jacobian(slice(structure, structure + 1))[0]
        along = np.zeros((self.z.shape[1], jacobian.shape[1]))
        along[:-1] = self.axes.T @ jacobian / self.covariance.kernel.length_scale
        out = np.empty((len(self), 1 + jacobian.shape[1]))
        _rows(self.z[structure], along, self.powers, self.scale, out)
        return out

    def project(self, vectors: FloatArray) -> FloatArray:
        """Return Φᵀ V for V of shape (n_rows, n_vectors), shape (n_monomials, n_vectors)."""
        out, z, damping = np.zeros((vectors.shape[1], len(self))), self._lanes(self.z), self._damping()
        for vector, column in zip(vectors.T, out, strict=True):
            energies, gradients = split_rows(vector, len(self.z))
            u = self.covariance.points.jvp(gradients) @ self.axes
            u *= damping[:, None] / self.covariance.kernel.length_scale
            shift = damping * energies - np.einsum("ip,ip->i", self.z[:, :-1], u)
            slopes = self._lanes(np.c_[u, np.zeros(len(u))])
            _project(z, slopes, self._lanes(shift[:, None])[:, 0], self.powers, column)
        return self.scale[:, None] * out.T

    def expand(self, weights: FloatArray) -> FloatArray:
        """Return Φ W for W of shape (n_monomials, n_vectors), shape (n_rows, n_vectors)."""
        n, z, damping = len(self.z), self._lanes(self.z), self._damping()
        out = np.empty((self.covariance.n_rows, weights.shape[1]), order="F")
        slopes, values = np.empty_like(z), np.empty((len(z), LANES))
        for number, column in enumerate(weights.T):
            _expand(z, self.powers, self.scale * column, values, slopes)
            total = damping * values.ravel()[:n]
            own = slopes.transpose(0, 2, 1).reshape(-1, z.shape[1])[:n, :-1] * damping[:, None]
            own -= total[:, None] * self.z[:, :-1]
            own = own @ self.axes.T / self.covariance.kernel.length_scale
            out[:, number] = stack_rows(total, self.covariance.points.vjp(own))
        return out

    def _damping(self) -> FloatArray:
        """e^(-|z|²/2) of each structure."""
        return np.exp(-0.5 * np.einsum("ip,ip->i", self.z[:, :-1], self.z[:, :-1]))

    @staticmethod
    def _lanes(values: FloatArray) -> FloatArray:
        """Return ``values`` (n, q) as (n / LANES, q, LANES), filled up with zeros."""
        n, q = values.shape
        padded = np.zeros((-(-n // LANES) * LANES, q))
        padded[:n] = values
        return np.ascontiguousarray(padded.reshape(-1, LANES, q).transpose(0, 2, 1))


def _most_important(
    square: FloatArray, slope: FloatArray, count: int
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Grow monomials degree by degree from the best of the degree below, keep the best of all.

    Importance: |φ|² + |∂φ|² per structure, with ⟨z_a²⟩ = square and ⟨|J_a|²⟩ = slope taken as independent.
    """
    p = len(square)
    powers = np.full((1, MAX_DEGREE), p, np.int64)
    value, derivative, factorial, run = (np.array([v]) for v in (1.0, 0.0, 1.0, 0.0))
    kept = [(powers, 1.0 / np.sqrt(factorial), np.ones(1))]
    for degree in range(MAX_DEGREE):
        powers, run = powers[: MAX_CANDIDATES // p + 1], run[: MAX_CANDIDATES // p + 1]
        last = powers[:, degree - 1] if degree else np.zeros(len(powers), np.int64)
        axis = np.arange(p)
        # factors in rising order make every monomial once
        parent, new = np.nonzero(axis[None, :] >= last[:, None])
        again = (new == last[parent]) & (degree > 0)
        run_new = np.where(again, run[parent] + 1.0, 1.0)
        factorial_new = factorial[parent] * run_new
        value_new = value[parent] * square[new]
        derivative_new = derivative[parent] * square[new] + value[parent] * slope[new]
        importance = (value_new + derivative_new) / factorial_new
        best = np.argsort(-importance, kind="stable")[:count]
        parent, new = parent[best], new[best]
        powers = powers[parent]
        powers[:, degree] = new
        value, derivative, run = value_new[best], derivative_new[best], run_new[best]
        factorial = factorial_new[best]
        kept.append((powers, 1.0 / np.sqrt(factorial), importance[best]))
    every = [np.concatenate(parts) for parts in zip(*kept, strict=True)]
    best = np.argsort(-every[2], kind="stable")[:count]
    return np.ascontiguousarray(every[0][best]), every[1][best], every[2][best]


@part
def _damping(z: FloatArray) -> float:
    total = 0.0
    for a in range(len(z) - 1):
        total += z[a] * z[a]
    return np.exp(-0.5 * total)


@shared
def _rows(z: FloatArray, along: FloatArray, powers: IntArray, scale: FloatArray, out: FloatArray) -> None:
    damping, width = _damping(z), along.shape[1]
    radial = np.zeros(width)
    for a in range(len(z) - 1):
        for c in range(width):
            radial[c] += z[a] * along[a, c]
    for j in range(len(powers)):
        a, b, c, d = powers[j, 0], powers[j, 1], powers[j, 2], powers[j, 3]
        factor, ab, cd = damping * scale[j], z[a] * z[b], z[c] * z[d]
        value = factor * ab * cd
        da, db, dc, dd = factor * z[b] * cd, factor * z[a] * cd, factor * ab * z[d], factor * ab * z[c]
        out[j, 0] = value
        for x in range(width):
            out[j, 1 + x] = (
                da * along[a, x] + db * along[b, x] + dc * along[c, x] + dd * along[d, x] - value * radial[x]
            )


@loop
def _project(z: FloatArray, u: FloatArray, shift: FloatArray, powers: IntArray, out: FloatArray) -> None:
    for block in range(len(z)):
        x, y, own = z[block], u[block], shift[block]
        for j in range(len(powers)):
            a, b, c, d = powers[j, 0], powers[j, 1], powers[j, 2], powers[j, 3]
            total = 0.0
            for s in range(LANES):
                ab, cd = x[a, s] * x[b, s], x[c, s] * x[d, s]
                slope_ab = y[a, s] * x[b, s] + x[a, s] * y[b, s]
                slope_cd = y[c, s] * x[d, s] + x[c, s] * y[d, s]
                total += (own[s] * ab + slope_ab) * cd + ab * slope_cd
            out[j] += total


@loop
def _expand(
    z: FloatArray, powers: IntArray, weights: FloatArray, values: FloatArray, slopes: FloatArray
) -> None:
    wab, wcd = np.empty(LANES), np.empty(LANES)
    slopes[:] = 0.0
    values[:] = 0.0
    for block in range(len(z)):
        x, g, total = z[block], slopes[block], values[block]
        for j in range(len(powers)):
            a, b, c, d = powers[j, 0], powers[j, 1], powers[j, 2], powers[j, 3]
            for s in range(LANES):
                wab[s] = weights[j] * x[a, s] * x[b, s]
                wcd[s] = weights[j] * x[c, s] * x[d, s]
                total[s] += wab[s] * x[c, s] * x[d, s]
            # one loop per factor: the same axis may occur twice
            for s in range(LANES):
                g[a, s] += wcd[s] * x[b, s]
            for s in range(LANES):
                g[b, s] += wcd[s] * x[a, s]
            for s in range(LANES):
                g[c, s] += wab[s] * x[d, s]
            for s in range(LANES):
                g[d, s] += wab[s] * x[c, s]
