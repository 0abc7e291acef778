"""Normalised SOAP power spectra of atomic environments from neighbour lists, along directions of the data.

x_i = Dᵀ p_i/|p_i| with the power spectrum p_i of the density about atom i (Bartók, Kondor, Csányi, Phys. Rev.
B 87, 184115 (2013)). Neighbours fade out before the cutoff, so that energies are smooth; the directions D,
principal ones of the training data, leave distances as they are and make the many features few.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from aenet_gpr_cli.descriptors.descriptor_settings import SoapSettings
from aenet_gpr_cli.descriptors.interface.neighbour_list import NeighbourList, portions
from aenet_gpr_cli.descriptors.interface.species_places import species_places
from aenet_gpr_cli.descriptors.soap.soap_basis import SoapBasis, make_basis
from aenet_gpr_cli.descriptors.soap.soap_loops import expand_edges
from aenet_gpr_cli.descriptors.soap.soap_spectrum import (
    adjoint,
    channel_tables,
    differential,
    projected_jacobian,
)
from aenet_gpr_cli.structures import FloatArray, IntArray

TRANSITION = 1.0  # Å before the cutoff, over which neighbours fade out
MOST_DIRECTIONS = 256
LEFT_OUT_VARIANCE = 1e-9  # of the normalised spectra, relative: directions below are left out
EDGES_AT_A_TIME = 1000  # their slopes stay in the cache


@dataclass(frozen=True)
class SoapEnvironments:
    """Descriptor of atomic environments, the same for every species.

    Attributes
    ----------
    species : tuple of str
    cutoff : float, Å
        Neighbours beyond do not count.
    n_max, l_max : int
        Radial functions, largest degree of the harmonics.
    sigma : float, Å
        Width of an atom.
    directions : ndarray of shape (n_spectrum, n_features), dimensionless, or None
        D, orthonormal; None for the normalised spectrum itself.
    """

    species: tuple[str, ...]
    cutoff: float
    n_max: int
    l_max: int
    sigma: float
    directions: FloatArray | None = None

    @classmethod
    def from_attributes(cls, stored: Mapping[str, Any], directions: FloatArray) -> SoapEnvironments:
        """Return the descriptor whose fields were stored by name."""
        return cls(
            species=tuple(str(symbol) for symbol in stored["species"]),
            cutoff=float(stored["cutoff"]),
            n_max=int(stored["n_max"]),
            l_max=int(stored["l_max"]),
            sigma=float(stored["sigma"]),
            directions=directions,
        )

    @property
    def constants(self) -> SoapBasis:
        """Radial functions, harmonics and order of the spectrum."""
        return _constants(self.cutoff, self.n_max, self.l_max, self.sigma, len(self.species))

    @property
    def n_features(self) -> int:
        """Length of the descriptor."""
        return self.constants.n_features if self.directions is None else self.directions.shape[1]

    @property
    def kind(self) -> str:
        """The name of the descriptor."""
        return "soap"

    @property
    def words(self) -> str:
        """What the descriptor is, for messages."""
        return f"SOAP up to {self.cutoff:.3g} Å, {self.n_features} directions"

    def species_index(self, species: Sequence[str]) -> IntArray:
        """Return the position of each atom's species in the basis, see `species_places`."""
        return species_places(species, self.species)


def principal_directions(spectra: FloatArray) -> FloatArray:
    """Return the directions along which some normalised spectra differ, (n_spectrum, n_features)."""
    centred = spectra - spectra.mean(axis=0)
    variances, vectors = np.linalg.eigh(centred.T @ centred / len(spectra))
    n_kept = int((variances > LEFT_OUT_VARIANCE * max(variances.sum(), 1e-300)).sum())
    return np.ascontiguousarray(vectors[:, ::-1][:, : max(1, min(n_kept, MOST_DIRECTIONS))])


@lru_cache(maxsize=16)
def _constants(cutoff: float, n_max: int, l_max: int, sigma: float, n_species: int) -> SoapBasis:
    settings = SoapSettings(cutoff=cutoff, n_max=n_max, l_max=l_max, sigma=sigma)
    return make_basis(settings, n_species)


def values(basis: SoapEnvironments, species_index: IntArray, neighbours: NeighbourList) -> FloatArray:
    """Return the descriptors of all atoms.

    Parameters
    ----------
    basis : SoapEnvironments
    species_index : ndarray of int, shape (n_atoms_total,)
    neighbours : NeighbourList
        At least up to the cutoff.

    Returns
    -------
    ndarray of shape (n_atoms_total, n_features), dimensionless
    """
    ends = species_index[neighbours.index]
    coefficients, _ = _expand(basis, species_index, neighbours.offsets, neighbours.vectors, ends, False)
    spectra, _ = _normalised(basis, coefficients)
    return spectra if basis.directions is None else spectra @ basis.directions


def edge_jacobians(basis: SoapEnvironments, species_index: IntArray, neighbours: NeighbourList) -> FloatArray:
    """Return the derivatives of each atom's descriptor by the vectors of its edges.

    Returns
    -------
    ndarray of shape (n_edges, 3, n_features), 1/Å
        dx_f/dr_e as seen from the centre of the edge; zero beyond the cutoff.
    """
    constants = basis.constants
    directions = np.eye(constants.n_features) if basis.directions is None else basis.directions
    tables = [channel_tables(constants, directions, kind) for kind in range(len(basis.species))]
    out = np.empty((len(neighbours.index), 3, directions.shape[1]))
    for part in _parts(basis, species_index, neighbours):
        x = part.spectra @ directions
        lengths = adjoint(constants, part.coefficients, part.spectra)  # what the norms change with
        for kind, edges in part.edges_by_kind.items():
            at = part.centres[edges]
            along = projected_jacobian(part.coefficients[at], part.slopes[edges][:, None], tables[kind])
            along -= part.along_edges(lengths, edges, kind)[:, :, None] * x[at][:, None, :]
            out[part.start + edges] = along / part.norms[at][:, None]
    return out


def edge_gradients(
    basis: SoapEnvironments, species_index: IntArray, neighbours: NeighbourList, cotangents: FloatArray
) -> FloatArray:
    """Return the gradients of Σ_if cotangent_if x_if with respect to the vector of every edge.

    Parameters
    ----------
    cotangents : ndarray of shape (m, n_atoms_total, n_features)

    Returns
    -------
    ndarray of shape (m, n_edges, 3), unit of the cotangents per Å
    """
    constants = basis.constants
    out = np.empty((len(cotangents), len(neighbours.index), 3))
    for part in _parts(basis, species_index, neighbours):
        for found, given in zip(out, cotangents[:, part.atoms], strict=True):
            long = given if basis.directions is None else given @ basis.directions.T
            inward = np.einsum("if,if->i", long, part.spectra)[:, None]
            long = (long - inward * part.spectra) / part.norms
            weights = adjoint(constants, part.coefficients, long)
            for kind, edges in part.edges_by_kind.items():
                found[part.start + edges] = part.along_edges(weights, edges, kind)
    return out


@dataclass(frozen=True, slots=True)
class _Part:
    """Atoms that follow each other, with the edges from them.

    Attributes
    ----------
    atoms : slice
    start : int
        Their first edge.
    centres : ndarray of int, shape (n_edges,)
        Of each edge, counted from the first of the atoms.
    edges_by_kind : dict of int to ndarray of int
        Edges to the neighbours of each species that there are, counted from the first edge.
    coefficients : ndarray of shape (n_atoms, n_channels, (l_max + 1)²)
    slopes : ndarray of shape (n_edges, 3, n_max, (l_max + 1)²), 1/Å
    spectra : ndarray of shape (n_atoms, n_spectrum)
        Normalised.
    norms : ndarray of shape (n_atoms, 1)
    """

    atoms: slice
    start: int
    centres: IntArray
    edges_by_kind: dict[int, IntArray]
    coefficients: FloatArray
    slopes: FloatArray
    spectra: FloatArray
    norms: FloatArray

    def along_edges(self, weights: FloatArray, edges: IntArray, kind: int) -> FloatArray:
        """Return Σ weight ∂c/∂r over the channels of one species, shape (n_edges, 3)."""
        n_max, size = self.slopes.shape[2:]
        own = weights.reshape(len(weights), -1, n_max * size)[self.centres[edges], kind]
        slopes = self.slopes[edges].reshape(len(edges), 3, n_max * size)
        return np.asarray(np.einsum("eag,eg->ea", slopes, own))


def _parts(basis: SoapEnvironments, species_index: IntArray, neighbours: NeighbourList) -> Iterator[_Part]:
    """Yield all atoms, some at a time: the slopes of an edge are as long as hundreds of vectors."""
    offsets = neighbours.offsets
    for atoms in portions(np.arange(len(species_index)), offsets, EDGES_AT_A_TIME):
        own = offsets[atoms.start : atoms.stop + 1]
        edges, own = slice(int(own[0]), int(own[-1])), own - own[0]
        centres, ends = species_index[atoms], species_index[neighbours.index[edges]]
        coefficients, slopes = _expand(basis, centres, own, neighbours.vectors[edges], ends, True)
        spectra, norms = _normalised(basis, coefficients)
        yield _Part(
            atoms,
            edges.start,
            np.repeat(np.arange(len(centres)), np.diff(own)),
            {int(kind): np.flatnonzero(ends == kind) for kind in np.unique(ends)},
            coefficients,
            slopes,
            spectra,
            norms,
        )


def _normalised(basis: SoapEnvironments, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return power spectra of length one, and their lengths before, shape (n_atoms, 1)."""
    spectra = 0.5 * differential(basis.constants, coefficients, coefficients)
    norms = np.linalg.norm(spectra, axis=1, keepdims=True)
    spectra /= norms
    return spectra, norms


def _expand(
    basis: SoapEnvironments,
    centres: IntArray,
    offsets: IntArray,
    vectors: FloatArray,
    ends: IntArray,
    with_slopes: bool,
) -> tuple[FloatArray, FloatArray]:
    """Return coefficients (n_atoms, n_channels, (l_max + 1)²) and slopes (n_edges or 0, 3, n_max, ...)."""
    constants, size = basis.constants, (basis.l_max + 1) ** 2
    coefficients = np.zeros((len(centres), len(basis.species), basis.n_max, size))
    slopes = np.zeros((len(ends) if with_slopes else 0, 3, basis.n_max, size))
    expand_edges(
        offsets,
        vectors,
        centres,
        ends,
        basis.cutoff,
        min(TRANSITION, basis.cutoff),
        constants.exponents,
        constants.amplitudes,
        constants.norms,
        coefficients,
        slopes,
    )
    return coefficients.reshape(len(centres), -1, size), slopes
