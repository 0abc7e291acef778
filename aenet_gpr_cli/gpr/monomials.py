"""The squared-exponential kernel as a sum of monomials: which of them matter, and products with them.

With z = (x - origin)/ℓ in principal axes, k = Σ_α φ_α(z) φ_α(z'), φ_α = e^(-|z|²/2) z^α / √α!: every term is
a positive part of K. A few thousand hold nearly all of a smooth K, which is what `preconditioner` needs.
Compiled loops only touch the few axes of each monomial.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

from aenet_gpr_cli.gpr.covariance import Covariance, split_rows, stack_rows
from aenet_gpr_cli.structures import FloatArray, IntArray

F = TypeVar("F", bound=Callable[..., object])
MAX_DEGREE = 4  # higher terms are below the noise wherever few monomials suffice
MAX_CANDIDATES = 2**19  # monomials weighed per degree: bounds the memory of the choice at 50 MB
AXES_BLOCK = 64  # structures whose dense Jacobian is held at a time
_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz"},
}


def _loop(function: F) -> F:
    return cast(F, njit(**_OPTIONS)(function))


@dataclass(frozen=True, slots=True)
class Monomials:
    """Monomials on the energy and gradient rows of some structures, the factor Φ of ΦΦᵀ ≤ K.

    Attributes
    ----------
    covariance : Covariance
        With a squared-exponential kernel.
    axes : ndarray of shape (n_features, n_features)
        Principal axes as columns.
    z : ndarray of shape (n_structures, n_features + 1)
        Coordinates along the axes over ℓ; the last column is 1.
    powers : ndarray of int, shape (n_monomials, MAX_DEGREE)
        Axes that are multiplied; n_features stands for the factor 1. Most important monomial first.
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
        """Return the most important monomials.

        Parameters
        ----------
        covariance : Covariance
        max_monomials : int
            At least 1.

        Returns
        -------
        Monomials

        Notes
        -----
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
        """Return the ``count`` most important ones.

        Parameters
        ----------
        count : int

        Returns
        -------
        Monomials
        """
        return Monomials(
            self.covariance,
            self.axes,
            self.z,
            self.powers[:count],
            self.scale[:count],
            self.importance[:count],
        )

    def rows_of(self, structure: int) -> FloatArray:
        """Return the rows of Φ that belong to one structure, transposed.

        Parameters
        ----------
        structure : int

        Returns
        -------
        ndarray of shape (n_monomials, 1 + 3 * n_atoms)
        """
        jacobian = self.covariance.points.jacobian(slice(structure, structure + 1))[0]
        along = np.zeros((self.z.shape[1], jacobian.shape[1]))
        along[:-1] = self.axes.T @ jacobian / self.covariance.kernel.length_scale
        out = np.empty((len(self), 1 + jacobian.shape[1]))
        _rows(self.z[structure], along, self.powers, self.scale, out)
        return out

    def project(self, vector: FloatArray) -> FloatArray:
        """Return Φᵀ v.

        Parameters
        ----------
        vector : ndarray of shape (n_rows,)

        Returns
        -------
        ndarray of shape (n_monomials,)
        """
        energies, gradients = split_rows(vector, len(self.z))
        u = np.zeros_like(self.z)
        u[:, :-1] = self.covariance.points.jvp(gradients) @ self.axes / self.covariance.kernel.length_scale
        out = np.zeros(len(self))
        _project(self.z, u, energies, self.powers, self.scale, out)
        return out

    def expand(self, weights: FloatArray) -> FloatArray:
        """Return Φ w.

        Parameters
        ----------
        weights : ndarray of shape (n_monomials,)

        Returns
        -------
        ndarray of shape (n_rows,)
        """
        slopes, values = np.zeros_like(self.z), np.empty(len(self.z))
        _expand(self.z, self.powers, self.scale * weights, values, slopes)
        slopes = slopes[:, :-1] @ self.axes.T / self.covariance.kernel.length_scale
        return stack_rows(values, self.covariance.points.vjp(slopes))


def _most_important(
    square: FloatArray, slope: FloatArray, count: int
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Grow monomials degree by degree from the best of the degree below, keep the best of all.

    Importance: |φ|² + |∂φ|² per structure, with ⟨z_a²⟩ = square and ⟨|J_a|²⟩ = slope taken as independent.
    """
    p = len(square)
    powers = np.full((1, MAX_DEGREE), p)
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


@_loop
def _damping(z: FloatArray) -> float:
    total = 0.0
    for a in range(len(z) - 1):
        total += z[a] * z[a]
    return np.exp(-0.5 * total)


@_loop
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


@_loop
def _project(
    z: FloatArray,
    u: FloatArray,
    energies: FloatArray,
    powers: IntArray,
    scale: FloatArray,
    out: FloatArray,
) -> None:
    for i in range(len(z)):
        damping, x, y = _damping(z[i]), z[i], u[i]
        shift = energies[i]
        for a in range(len(x) - 1):
            shift -= x[a] * y[a]
        for j in range(len(powers)):
            a, b, c, d = powers[j, 0], powers[j, 1], powers[j, 2], powers[j, 3]
            ab, cd = x[a] * x[b], x[c] * x[d]
            slope = (y[a] * x[b] + x[a] * y[b]) * cd + ab * (y[c] * x[d] + x[c] * y[d])
            out[j] += damping * (shift * ab * cd + slope)
    for j in range(len(powers)):
        out[j] *= scale[j]


@_loop
def _expand(
    z: FloatArray, powers: IntArray, weights: FloatArray, values: FloatArray, slopes: FloatArray
) -> None:
    for i in range(len(z)):
        damping, x, g = _damping(z[i]), z[i], slopes[i]
        total = 0.0
        for j in range(len(powers)):
            a, b, c, d = powers[j, 0], powers[j, 1], powers[j, 2], powers[j, 3]
            w, ab, cd = weights[j], x[a] * x[b], x[c] * x[d]
            wcd, wab = w * cd, w * ab
            total += wab * cd
            g[a] += wcd * x[b]
            g[b] += wcd * x[a]
            g[c] += wab * x[d]
            g[d] += wab * x[c]
        values[i] = damping * total
        for a in range(len(x) - 1):
            g[a] = damping * (g[a] - total * x[a])
