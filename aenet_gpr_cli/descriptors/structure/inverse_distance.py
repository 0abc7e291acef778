"""Inverse powers of the interatomic distances as a global descriptor, x_ij = 1/r_ijᵖ over all pairs of atoms.

Invariant to rotation and translation, with a sparse analytic Jacobian (p = 1: the descriptor of sGDML). Where
the structures are periodic, either the nearest image of each structure counts, or the images are fixed by a
reference structure, which keeps x smooth where a pair sits half a lattice vector apart (as in a slab).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.sparse import csr_array

from aenet_gpr_cli.descriptors.interface.descriptor import DescriptorProducts, Index, Linearization
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.structures import NOT_PERIODIC, FloatArray, IntArray, Pbc

SWITCHED_SHARE = 0.3  # of the cutoff, over which features go to zero
COINCIDENT = 1e-3  # Å: two atoms closer than this are one atom written twice, not a geometry


@dataclass(frozen=True, slots=True)
class _PairLinearization:
    """Values r⁻ᵖ s(r) and, per pair, the gradient ∂x/∂R_i = (dx/dr) (R_i - R_j)/r = -∂x/∂R_j."""

    values: FloatArray
    gradients: FloatArray  # (n, p, 3)
    first: IntArray
    second: IntArray
    incidence: csr_array  # (n_atoms, p): +1 at the first, -1 at the second atom of a pair

    def jacobian(self, index: Index) -> FloatArray:
        gradients = self.gradients[index]
        n, p, _ = gradients.shape
        out = np.zeros((n, p, self.incidence.shape[0], 3))
        pair = np.arange(p)
        # add, not assign: a pair of an atom with its own image must cancel
        out[:, pair, self.first] += gradients
        out[:, pair, self.second] -= gradients
        return out.reshape(n, p, -1)

    def jvp(self, tangents: FloatArray) -> FloatArray:
        difference = tangents[:, self.first] - tangents[:, self.second]
        return np.einsum("npx,npx->np", self.gradients, difference)

    def vjp(self, cotangents: FloatArray) -> FloatArray:
        n, p = cotangents.shape
        per_pair = (self.gradients * cotangents[..., None]).transpose(1, 0, 2).reshape(p, -1)
        return (self.incidence @ per_pair).reshape(-1, n, 3).transpose(1, 0, 2)

    def select(self, index: Index) -> _PairLinearization:
        return _PairLinearization(
            self.values[index], self.gradients[index], self.first, self.second, self.incidence
        )


class InverseDistance(DescriptorProducts):
    """Inverse distances x_ij = 1/r_ijᵖ over all pairs i < j.

    Parameters
    ----------
    n_atoms : int
    cell : ndarray of shape (3, 3), Å, or None
        Lattice vectors as rows; the same for all structures.
    pbc : tuple of three bool
    reference : ndarray of shape (n_atoms, 3), Å, or None
        None: the nearest image in each structure. Otherwise every atom is first brought to the image nearest
        to its place in the reference, and each pair keeps the image that is nearest in the reference.
    image_width : float, Å
        With a reference: images up to this much farther than the nearest one count too, each as a feature
        of its own. 0 keeps one image per pair.
    power : float, dimensionless
        p. 1 for molecules; 2 weighs the many long distances of a slab less.
    cutoff : float or None, Å
        Features go to zero here, by a factor s(r) with two continuous derivatives over the last
        ``SWITCHED_SHARE`` of the way. None: all pairs count fully.

    Raises
    ------
    InputError
        If there are fewer than two atoms, or a periodic direction has no lattice vector.
    """

    def __init__(
        self,
        n_atoms: int,
        cell: FloatArray | None = None,
        pbc: Pbc = NOT_PERIODIC,
        reference: FloatArray | None = None,
        image_width: float = 0.0,
        power: float = 1.0,
        cutoff: float | None = None,
    ) -> None:
        if n_atoms < 2:
            raise InputError(f"inverse distances: expected at least 2 atoms, got {n_atoms}; use cartesian")
        if not power > 0.0:
            raise ConfigError(f"inverse distances: expected a positive power, got {power}")
        if cutoff is not None and not cutoff > 0.0:
            raise ConfigError(f"inverse distances: expected a positive cutoff, got {cutoff}")
        self.n_atoms, self.power, self.cutoff = n_atoms, power, cutoff
        self._lattice = _Lattice(cell, pbc)
        self._reference: FloatArray | None = None
        self.first, self.second = (a.astype(np.int64) for a in np.triu_indices(n_atoms, 1))
        self._shifts = np.zeros((len(self.first), 3))
        if reference is not None and self._lattice.rank:
            self._reference = np.array(reference, float)
            self._fix_images(self._reference, image_width)
        pairs = np.arange(len(self.first))
        ones = np.ones(len(pairs))
        self._incidence = csr_array(
            (
                np.concatenate([ones, -ones]),
                (np.concatenate([self.first, self.second]), np.concatenate([pairs, pairs])),
            ),
            shape=(n_atoms, len(pairs)),
        )

    @property
    def name(self) -> str:
        """Name used in configurations and artefacts."""
        return "inverse_distance"

    @property
    def n_features(self) -> int:
        """Number of pairs (of images, where several count)."""
        return len(self.first)

    def values(self, positions: FloatArray) -> FloatArray:
        """Return the inverse distances.

        Parameters
        ----------
        positions : ndarray of shape (n_structures, n_atoms, 3), Å

        Returns
        -------
        ndarray of shape (n_structures, n_features), 1/Åᵖ

        Raises
        ------
        InputError
            If two atoms coincide.
        """
        squared = self._squared_lengths(self._vectors(positions))
        x = squared ** (-0.5 * self.power)
        return x if self.cutoff is None else x * _switch(np.sqrt(squared), self.cutoff)[0]

    def linearize(self, positions: FloatArray) -> Linearization:
        """Return values and sparse Jacobian products.

        Parameters
        ----------
        positions : ndarray of shape (n_structures, n_atoms, 3), Å

        Returns
        -------
        Linearization
        """
        vectors = self._vectors(positions)
        squared = self._squared_lengths(vectors)
        x = squared ** (-0.5 * self.power)
        slopes = -self.power * x / squared  # dx/dr / r
        if self.cutoff is not None:
            r = np.sqrt(squared)
            switch, change = _switch(r, self.cutoff)
            slopes = slopes * switch + x * change / r
            x = x * switch
        gradients = vectors * slopes[..., None]
        return _PairLinearization(x, gradients, self.first, self.second, self._incidence)

    def _vectors(self, positions: FloatArray) -> FloatArray:
        """Vectors R_i - R_j of the counted images, shape (n, p, 3)."""
        if positions.ndim != 3 or positions.shape[1:] != (self.n_atoms, 3):
            raise InputError(f"positions: expected shape (n, {self.n_atoms}, 3), got {positions.shape}")
        if self._reference is not None:
            positions = self._reference + self._lattice.nearest(positions - self._reference)
        vectors = positions[:, self.first] - positions[:, self.second]
        if self._reference is not None:
            return vectors + self._shifts
        return self._lattice.nearest(vectors)

    def _squared_lengths(self, vectors: FloatArray) -> FloatArray:
        squared = np.einsum("npx,npx->np", vectors, vectors)
        if squared.size and not squared.min() > COINCIDENT**2:
            structure, pair = np.unravel_index(np.argmin(squared), squared.shape)
            i, j = self.first[pair], self.second[pair]
            raise InputError(
                f"structure {structure}: atoms {i} and {j} coincide (distance "
                f"{squared[structure, pair] ** 0.5:.2g} Å); inverse distances need distinct atoms"
            )
        return np.asarray(squared)

    def _fix_images(self, reference: FloatArray, width: float) -> None:
        """Choose the counted images of every pair at the reference."""
        vectors = reference[self.first] - reference[self.second]
        nearest = self._lattice.nearest(vectors)
        translations = self._lattice.translations(2.0)
        candidates = nearest[:, None] + translations
        length = np.linalg.norm(candidates, axis=2)
        keep = length <= length.min(axis=1, keepdims=True) + width
        if width == 0.0:
            keep = np.zeros_like(keep)
            keep[np.arange(len(keep)), length.argmin(axis=1)] = True
        pair, image = np.nonzero(keep)
        self._shifts = candidates[pair, image] - vectors[pair]
        self.first, self.second = self.first[pair], self.second[pair]


def _switch(r: FloatArray, cutoff: float) -> tuple[FloatArray, FloatArray]:
    """Return s = 1 - 10t³ + 15t⁴ - 6t⁵ and ds/dr, t rising from 0 to 1 over the last part of the cutoff."""
    width = SWITCHED_SHARE * cutoff
    t = np.clip((r - cutoff) / width + 1.0, 0.0, 1.0)
    return 1.0 - t**3 * (10.0 - 15.0 * t + 6.0 * t**2), -30.0 / width * (t * (1.0 - t)) ** 2


class _Lattice:
    """Shortest vectors modulo the periodic lattice vectors, exact for any cell shape."""

    def __init__(self, cell: FloatArray | None, pbc: Sequence[bool]) -> None:
        self.rank = sum(bool(p) for p in pbc)
        if self.rank and cell is None:
            raise InputError("periodic structures: expected a cell, got none")
        rows = np.zeros((0, 3)) if cell is None else np.asarray(cell, float)[np.asarray(pbc, bool)]
        if self.rank and np.linalg.matrix_rank(rows) < self.rank:
            raise InputError(
                f"periodic structures: expected {self.rank} independent lattice vectors, got {rows}"
            )
        self.rows = rows
        self.inverse = np.linalg.pinv(rows) if self.rank else np.zeros((3, 0))
        self.corrections = self._corrections() if self.rank else np.zeros((0, 3))

    def nearest(self, vectors: FloatArray) -> FloatArray:
        """Shortest equivalents of ``vectors`` (..., 3)."""
        if not self.rank:
            return vectors
        wrapped = vectors - np.round(vectors @ self.inverse) @ self.rows
        best, length = wrapped, np.einsum("...x,...x->...", wrapped, wrapped)
        for shift in self.corrections:
            trial = wrapped + shift
            trial_length = np.einsum("...x,...x->...", trial, trial)
            better = trial_length < length
            best = np.where(better[..., None], trial, best)
            length = np.where(better, trial_length, length)
        return best

    def translations(self, reach: float) -> FloatArray:
        """Lattice vectors with coefficients up to ``reach`` times those of the nearest images."""
        limit = self._limits(reach)
        return np.array(list(product(*(range(-m, m + 1) for m in limit)))) @ self.rows

    def _limits(self, reach: float) -> IntArray:
        # |f_i| <= |v| |b_i| for any vector v with fractional coordinates f and dual vectors b; after rounding
        # |v| is at most the half diagonal of the cell, and so is every shorter equivalent
        corners = np.array(list(product((-0.5, 0.5), repeat=self.rank))) @ self.rows
        radius = reach * np.linalg.norm(corners, axis=1).max()
        return np.floor(radius * np.linalg.norm(self.inverse, axis=0) + 0.5).astype(np.int64)

    def _corrections(self) -> FloatArray:
        """Shifts s that can shorten a vector with fractional coordinates in [-1/2, 1/2].

        |(f+s)A|² < |fA|² for some f in the box means sum_i |(Gs)_i| > sᵀGs with G = AAᵀ. None for an
        orthogonal cell, where rounding is already exact.
        """
        gram = self.rows @ self.rows.T
        shifts = np.array(list(product(*(range(-m, m + 1) for m in self._limits(1.0)))))
        push = shifts @ gram
        gain = np.abs(push).sum(axis=1) - np.einsum("si,si->s", push, shifts)
        return shifts[gain > 1e-9 * np.trace(gram)] @ self.rows
