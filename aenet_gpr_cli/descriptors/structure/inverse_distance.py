"""Inverse powers of the interatomic distances as a global descriptor, x_ij = 1/r_ijᵖ over all pairs of atoms.

Invariant to rotation and translation, with a sparse analytic Jacobian (p = 1: the descriptor of sGDML). Where
the structures are periodic, either the nearest image of each structure counts, or the images are fixed by a
reference structure, which keeps x smooth where a pair sits half a lattice vector apart (as in a slab).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from aenet_gpr_cli.descriptors.interface.descriptor import DescriptorProducts, Index, Linearisation
from aenet_gpr_cli.errors import AtomsCoincide, ConfigError, InputError
from aenet_gpr_cli.lattice import Lattice
from aenet_gpr_cli.structures import COINCIDENT, NOT_PERIODIC, FloatArray, IntArray, Pbc

SWITCHED_SHARE = 0.3  # of the cutoff, over which features go to zero


@dataclass(frozen=True, slots=True)
class _PairLinearisation:
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

    def select(self, index: Index) -> _PairLinearisation:
        return _PairLinearisation(
            self.values[index], self.gradients[index], self.first, self.second, self.incidence
        )


class InverseDistance(DescriptorProducts):
    """Inverse distances x_ij = 1/r_ijᵖ over all pairs i < j.

    Parameters
    ----------
    cell : ndarray of shape (3, 3), Å, or None
        Lattice vectors as rows; the same for all structures.
    reference : ndarray of shape (n_atoms, 3), Å, or None
        None: the nearest image in each structure. Otherwise every atom is first brought to the image nearest
        to its place in the reference, and each pair keeps the image that is nearest in the reference.
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
        self._lattice = Lattice(cell, pbc)
        self._reference: FloatArray | None = None
        self.first, self.second = (a.astype(np.int64) for a in np.triu_indices(n_atoms, 1))
        self._shifts = np.zeros((len(self.first), 3))
        if reference is not None and self._lattice.rank:
            self._reference = np.array(reference, float)
            vectors = self._reference[self.first] - self._reference[self.second]
            self._shifts = self._lattice.nearest(vectors) - vectors
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
        """Number of pairs."""
        return len(self.first)

    def values(self, positions: FloatArray) -> FloatArray:
        """Return the inverse distances.

        Returns
        -------
        ndarray of shape (n_structures, n_features), 1/Åᵖ

        Raises
        ------
        AtomsCoincide
            If two atoms do.
        """
        squared = self._squared_lengths(self._vectors(positions))
        x = squared ** (-0.5 * self.power)
        return x if self.cutoff is None else x * _switch(np.sqrt(squared), self.cutoff)[0]

    def linearise(self, positions: FloatArray) -> Linearisation:
        """Return values and sparse Jacobian products."""
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
        return _PairLinearisation(x, gradients, self.first, self.second, self._incidence)

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
            raise AtomsCoincide(
                f"structure {structure}: atoms {i} and {j} coincide (distance "
                f"{squared[structure, pair] ** 0.5:.2g} Å); inverse distances need distinct atoms"
            )
        return np.asarray(squared)


def _switch(r: FloatArray, cutoff: float) -> tuple[FloatArray, FloatArray]:
    """Return s = 1 - 10t³ + 15t⁴ - 6t⁵ and ds/dr, t rising from 0 to 1 over the last part of the cutoff."""
    width = SWITCHED_SHARE * cutoff
    t = np.clip((r - cutoff) / width + 1.0, 0.0, 1.0)
    return 1.0 - t**3 * (10.0 - 15.0 * t + 6.0 * t**2), -30.0 / width * (t * (1.0 - t)) ** 2
