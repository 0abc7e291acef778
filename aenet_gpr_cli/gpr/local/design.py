"""Rows of the local process: energies and forces as linear functions of the inducing environments.

E(S) = Σ_m c_m Σ_{i∈S, t(i)=t(m)} k(x_i, z_m) with the squared exponential k = exp(−|x − z|²/2ℓ²), so that a
force component is −Σ_m c_m Σ_e ∂k/∂x·∂x/∂r_e over the edges that end (or, with the other sign, begin) at
the atom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.interface.neighbour_list import portions
from aenet_gpr_cli.gpr.local.environments import Environments
from aenet_gpr_cli.jit import loop
from aenet_gpr_cli.structures import FloatArray, IntArray

ROOM = 400_000  # products of edges and inducing environments held at a time: they stay in the cache


@dataclass(frozen=True, slots=True)
class Inducing:
    """Inducing environments of all species, those of one species together.

    Attributes
    ----------
    z : ndarray of shape (n_inducing, n_kept), dimensionless
        As ``x`` of `Environments`.
    offsets : ndarray of int, shape (n_species + 1,)
        Those of species t are ``offsets[t]:offsets[t + 1]``.
    length_scale : float, dimensionless
        ℓ, in units of the spread of one feature.
    """

    z: FloatArray
    offsets: IntArray
    length_scale: float

    def __len__(self) -> int:
        return len(self.z)

    def of(self, kind: int) -> slice:
        """Return where those of a species stand."""
        return slice(int(self.offsets[kind]), int(self.offsets[kind + 1]))

    def covariance(self) -> list[FloatArray]:
        """Return K_MM of each species, for unit signal variance."""
        parts = [self.z[self.of(kind)] for kind in range(len(self.offsets) - 1)]
        return [kernel(z, z, self.length_scale) for z in parts]


def kernel(x: FloatArray, z: FloatArray, length_scale: float) -> FloatArray:
    """Return exp(−|x − z|²/2ℓ²) of all pairs, shape (len(x), len(z))."""
    # (a − b)² = a² − 2ab + b²: one product of matrices
    out = x @ (z.T / length_scale**2)
    out -= 0.5 / length_scale**2 * np.einsum("if,if->i", x, x)[:, None]
    out -= 0.5 / length_scale**2 * np.einsum("mf,mf->m", z, z)
    np.minimum(out, 0.0, out=out)
    return np.exp(out, out=out)


def nearest(x: FloatArray, z: FloatArray) -> FloatArray:
    """Return the distance of each environment to the nearest of z, shape (len(x),); infinite without any."""
    if not len(z):
        return np.full(len(x), np.inf)
    squares = np.einsum("mf,mf->m", z, z) - 2.0 * x @ z.T
    return np.sqrt(np.maximum(squares.min(axis=1) + np.einsum("if,if->i", x, x), 0.0))


def energy_rows(found: Environments, inducing: Inducing) -> FloatArray:
    """Return Σ_i k(x_i, z_m) of each structure.

    Returns
    -------
    ndarray of shape (n_structures, n_inducing), dimensionless
    """
    return _sum_over_atoms(_kernels(found, inducing, inducing.length_scale), found, inducing)


def energy_and_force_rows(found: Environments, inducing: Inducing) -> tuple[FloatArray, FloatArray]:
    """Return the rows of energies and force components.

    Parameters
    ----------
    found : Environments
        With slopes.
    inducing : Inducing

    Returns
    -------
    energies : ndarray of shape (n_structures, n_inducing), dimensionless
    forces : ndarray of shape (n_structures · n_atoms, 3, n_inducing), 1/Å
        Minus the gradient, as forces are.
    """
    return rows_of_lengths(found, inducing, (inducing.length_scale,))[0]


def rows_of_lengths(
    found: Environments, inducing: Inducing, lengths: Sequence[float]
) -> list[tuple[FloatArray, FloatArray]]:
    """Return `energy_and_force_rows` for several length scales, whose products with slopes are the same.

    Parameters
    ----------
    found : Environments
        With slopes.
    inducing : Inducing
        Its own length scale is not looked at.
    lengths : sequence of float, dimensionless
    """
    assert found.slopes is not None  # asked for
    kernels = [_kernels(found, inducing, length) for length in lengths]
    forces = np.zeros((len(lengths), len(found.x), 3, len(inducing)))
    offsets, neighbour = found.neighbours.offsets, found.neighbours.index
    for kind in range(len(inducing.offsets) - 1):
        columns = inducing.of(kind)
        z, atoms = inducing.z[columns], np.flatnonzero(found.kinds == kind)
        if not len(z):
            continue
        adjoint = found.scale.adjoint(np.concatenate([z, found.x[atoms]]), kind)
        z_over, x_over = np.ascontiguousarray(adjoint[: len(z)].T), adjoint[len(z) :]
        for chosen in portions(atoms, offsets, ROOM // (3 * len(z)) + 1):
            edges = _edges_of(atoms[chosen], offsets)
            slopes = found.slopes[edges]
            counts = offsets[atoms[chosen] + 1] - offsets[atoms[chosen]]
            along = np.einsum("eaf,ef->ea", slopes, np.repeat(x_over[chosen], counts, axis=0))
            products = (slopes.reshape(-1, slopes.shape[2]) @ z_over).reshape(len(slopes), 3, len(z))
            for length, values, out in zip(lengths, kernels, forces, strict=True):
                weights = values[kind][chosen] / length**2
                _scatter(
                    atoms[chosen], counts, neighbour[edges], weights, products, along, columns.start, out
                )
    return [(_sum_over_atoms(k, found, inducing), own) for k, own in zip(kernels, forces, strict=True)]


def energies_and_slopes(
    found: Environments, inducing: Inducing, coefficients: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the energy of each atom, without prior, and its derivative by its descriptor as in ``x``.

    Parameters
    ----------
    found : Environments
    inducing : Inducing
    coefficients : ndarray of shape (n_inducing,), eV

    Returns
    -------
    energies : ndarray of shape (n_structures · n_atoms,), eV
    slopes : ndarray of shape (n_structures · n_atoms, n_kept), eV
    """
    energies, slopes = np.zeros(len(found.x)), np.zeros_like(found.x)
    for kind, k in enumerate(_kernels(found, inducing, inducing.length_scale)):
        own, columns = np.flatnonzero(found.kinds == kind), inducing.of(kind)
        k *= coefficients[columns]
        energies[own] = k.sum(axis=1)
        towards = k @ inducing.z[columns] - energies[own][:, None] * found.x[own]
        slopes[own] = towards / inducing.length_scale**2
    return energies, slopes


def _kernels(found: Environments, inducing: Inducing, length_scale: float) -> list[FloatArray]:
    """Return k between the environments of each species, in order, and its inducing ones."""
    return [
        kernel(found.x[found.kinds == kind], inducing.z[inducing.of(kind)], length_scale)
        for kind in range(len(inducing.offsets) - 1)
    ]


def _sum_over_atoms(values: list[FloatArray], found: Environments, inducing: Inducing) -> FloatArray:
    out = np.zeros((found.n_structures, len(inducing)))
    for kind, k in enumerate(values):  # every structure of a block has the same atoms
        if k.size:
            out[:, inducing.of(kind)] = k.reshape(found.n_structures, -1, k.shape[1]).sum(axis=1)
    return out


def _edges_of(atoms: IntArray, offsets: IntArray) -> slice | IntArray:
    """Return the edges of some atoms: a slice, which copies nothing, where the atoms follow each other."""
    if atoms[-1] - atoms[0] + 1 == len(atoms):
        return slice(int(offsets[atoms[0]]), int(offsets[atoms[-1] + 1]))
    return np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in atoms])


@loop
def _scatter(
    atoms: IntArray,
    counts: IntArray,
    neighbour: IntArray,
    k: FloatArray,
    products: FloatArray,
    along: FloatArray,
    first: int,
    out: FloatArray,
) -> None:
    """Add k (z·dx/dr − x·dx/dr) of every edge to its centre's rows, and subtract it from its end's."""
    width = k.shape[1]
    own = np.empty((3, width))
    start = 0
    for a in range(len(atoms)):
        own[:] = 0.0
        weights = k[a]
        for e in range(start, start + counts[a]):
            for c in range(3):
                row, shift, sums = products[e, c], along[e, c], own[c]
                end = out[neighbour[e], c, first : first + width]
                for m in range(width):
                    value = weights[m] * (row[m] - shift)
                    end[m] -= value
                    sums[m] += value
        for c in range(3):
            centre, sums = out[atoms[a], c, first : first + width], own[c]
            for m in range(width):
                centre[m] += sums[m]
        start += counts[a]
