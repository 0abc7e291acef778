"""Normalised SOAP power spectra of atomic environments from neighbour lists, along directions of the data.

x_i = Dᵀ p_i/|p_i| with the power spectrum p_i of the density about atom i (Bartók, Kondor, Csányi, Phys. Rev.
B 87, 184115 (2013)). Neighbours fade out before the cutoff, so that energies are smooth; the directions D,
principal ones of the training data, leave distances as they are and make the many features few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from aenet_gpr_cli.descriptors.descriptor_settings import SoapSettings
from aenet_gpr_cli.descriptors.interface.neighbour_list import NeighbourList
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
EDGES_AT_A_TIME = 4000


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
    coefficients, _ = _expand(basis, species_index, neighbours, False)
    spectra = 0.5 * differential(basis.constants, coefficients, coefficients)
    spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
    return spectra if basis.directions is None else spectra @ basis.directions


def edge_jacobians(basis: SoapEnvironments, species_index: IntArray, neighbours: NeighbourList) -> FloatArray:
    """Return the derivatives of each atom's descriptor by the vectors of its edges.

    Returns
    -------
    ndarray of shape (n_edges, 3, n_features), 1/Å
        dx_f/dr_e as seen from the centre of the edge; zero beyond the cutoff.
    """
    constants = basis.constants
    coefficients, slopes = _expand(basis, species_index, neighbours, True)
    spectra = 0.5 * differential(constants, coefficients, coefficients)
    norms = np.linalg.norm(spectra, axis=1)
    spectra /= norms[:, None]
    directions = np.eye(constants.n_features) if basis.directions is None else basis.directions
    x = spectra @ directions
    lengths = adjoint(constants, coefficients, spectra)  # what the norms change with
    centre, ends = _centres(neighbours), species_index[neighbours.index]
    out = np.empty((len(ends), 3, directions.shape[1]))
    for kind in range(len(basis.species)):
        tables = channel_tables(constants, directions, kind)
        own = np.flatnonzero(ends == kind)
        for start in range(0, len(own), EDGES_AT_A_TIME):
            edges = own[start : start + EDGES_AT_A_TIME]
            at = centre[edges]
            along = projected_jacobian(coefficients[at], slopes[edges][:, None], tables)
            along -= _along_norm(lengths, slopes, edges, at, kind)[:, :, None] * x[at][:, None, :]
            out[edges] = along / norms[at, None, None]
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
    coefficients, slopes = _expand(basis, species_index, neighbours, True)
    spectra = 0.5 * differential(constants, coefficients, coefficients)
    norms = np.linalg.norm(spectra, axis=1, keepdims=True)
    spectra /= norms
    centre, ends = _centres(neighbours), species_index[neighbours.index]
    out = np.empty((len(cotangents), len(ends), 3))
    for found, given in zip(out, cotangents, strict=True):
        long = given if basis.directions is None else given @ basis.directions.T
        long = (long - np.einsum("if,if->i", long, spectra)[:, None] * spectra) / norms
        weights = adjoint(constants, coefficients, long)
        for kind in range(len(basis.species)):
            edges = np.flatnonzero(ends == kind)
            found[edges] = _along_norm(weights, slopes, edges, centre[edges], kind)
    return out


def _along_norm(
    weights: FloatArray, slopes: FloatArray, edges: IntArray, at: IntArray, kind: int
) -> FloatArray:
    """Return Σ weight ∂c/∂r over the channels of one species, shape (n_edges, 3)."""
    n_max, size = slopes.shape[2:]
    own = weights.reshape(len(weights), -1, n_max * size)[at, kind]
    return np.asarray(np.einsum("eag,eg->ea", slopes[edges].reshape(len(edges), 3, n_max * size), own))


def _centres(neighbours: NeighbourList) -> IntArray:
    counts = np.diff(neighbours.offsets)
    return np.repeat(np.arange(len(counts)), counts)


def _expand(
    basis: SoapEnvironments, species_index: IntArray, neighbours: NeighbourList, with_slopes: bool
) -> tuple[FloatArray, FloatArray]:
    """Return coefficients (n_atoms, n_channels, (l_max + 1)²) and slopes (n_edges or 0, 3, n_max, ...)."""
    constants, size = basis.constants, (basis.l_max + 1) ** 2
    n_atoms, n_edges = len(species_index), len(neighbours.index)
    coefficients = np.zeros((n_atoms, len(basis.species), basis.n_max, size))
    slopes = np.zeros((n_edges if with_slopes else 0, 3, basis.n_max, size))
    expand_edges(
        neighbours.offsets,
        neighbours.vectors,
        species_index,
        species_index[neighbours.index],
        basis.cutoff,
        min(TRANSITION, basis.cutoff),
        constants.exponents,
        constants.amplitudes,
        constants.norms,
        coefficients,
        slopes,
    )
    return coefficients.reshape(n_atoms, -1, size), slopes
