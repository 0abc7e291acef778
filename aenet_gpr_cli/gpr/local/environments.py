"""Atomic environments as the local process sees them: descriptors in units of their spread, in its metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.atomic_environments import EnvironmentBasis, edge_jacobians, values
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.descriptors.interface.neighbour_list import NeighbourList, neighbour_list
from aenet_gpr_cli.descriptors.soap.soap_environments import SoapEnvironments
from aenet_gpr_cli.structures import AnySet, FloatArray, IntArray, StructureSet

SMALLEST_SPREAD = 1e-10  # a feature that never changes is switched off
ATOMS_OF_SCALE = 20_000  # environments behind mean and spread: more changes neither
NUMBERS_OF_SCALE = 20_000_000  # fewer environments where their descriptors are long


@dataclass(frozen=True, slots=True)
class Scale:
    """Units of the features, one row for each species of the basis, and the metric between environments.

    Attributes
    ----------
    mean, inverse_std : ndarray of shape (n_species, n_features), dimensionless
        ``inverse_std`` is `smoothness` over the standard deviation, 0 for features that never change.
    metric : ndarray of shape (n_species, n_features, n_kept), dimensionless, or None
        Directions of the features in these units, each as long as it counts, see `learned_metric`; None
        where all features count alike.
    """

    mean: FloatArray
    inverse_std: FloatArray
    metric: FloatArray | None = None

    @classmethod
    def of(cls, basis: EnvironmentBasis, x: FloatArray, kinds: IntArray) -> Scale:
        """Return the units of the environments of each species.

        Chebyshev functions have units of their own. The directions of a normalised spectrum share one, for
        they are a rotation of it.

        Parameters
        ----------
        x : ndarray of shape (n_environments, n_features)
        kinds : ndarray of int, shape (n_environments,)
        """
        mean = np.zeros((len(basis.species), x.shape[1]))
        inverse = np.zeros_like(mean)
        for kind in range(len(basis.species)):
            own = x[kinds == kind]
            if len(own):
                std = own.std(axis=0)
                mean[kind] = own.mean(axis=0)
                if isinstance(basis, SoapEnvironments):
                    std[:] = np.sqrt((std**2).mean())
                inverse[kind] = np.where(std > SMALLEST_SPREAD, 1.0 / np.maximum(std, SMALLEST_SPREAD), 0.0)
        return cls(mean, inverse if isinstance(basis, SoapEnvironments) else inverse * smoothness(basis))

    def __call__(self, x: FloatArray, kinds: IntArray) -> FloatArray:
        """Return descriptors of environments of the given species in these units and this metric."""
        scaled: FloatArray = (x - self.mean[kinds]) * self.inverse_std[kinds]
        return scaled if self.metric is None else by_kind(scaled, kinds, self.metric)

    def adjoint(self, y: FloatArray, kinds: IntArray | int) -> FloatArray:
        """Return Aᵀ y for the linear map A from descriptors of the given species to x, (n, n_features).

        With y = ∂f/∂x it is ∂f by the descriptor; with y = z it gives z·∂x from those of the descriptor.

        Parameters
        ----------
        y : ndarray of shape (n, n_kept)
        kinds : ndarray of int, shape (n,), or int
        """
        if self.metric is not None:
            y = by_kind(y, np.broadcast_to(kinds, len(y)), self.metric.transpose(0, 2, 1))
        return y * self.inverse_std[kinds]


def by_kind(x: FloatArray, kinds: IntArray, matrices: FloatArray) -> FloatArray:
    """Return x[i] times the matrix of its species.

    Parameters
    ----------
    x : ndarray of shape (n, n_features)
    kinds : ndarray of int, shape (n,)
    matrices : ndarray of shape (n_species, n_features, n_kept)
    """
    out = np.empty((len(x), matrices.shape[2]))
    for kind, matrix in enumerate(matrices):
        own = kinds == kind
        out[own] = x[own] @ matrix
    return out


def smoothness(basis: ChebyshevBasis) -> FloatArray:
    """Return the weight of each feature: 1/(1 + n) for order n, half as much for angular functions.

    Functions of high order vary fast with the positions, energies do not. The evidence of training data is
    higher than with equal weights, on elements and molecules a little, on mixtures of many kinds by far.

    Returns
    -------
    ndarray of shape (n_features,), dimensionless
    """
    radial = 1.0 / (1.0 + np.arange(basis.n_radial))
    angular = 0.5 / (1.0 + np.arange(basis.n_angular))
    half = np.concatenate([radial, *[angular] * len(basis.angular_cutoffs)])
    return np.tile(half, basis.n_features // basis.half)


@dataclass(frozen=True, slots=True)
class Environments:
    """The environments of some structures of the same atoms.

    Attributes
    ----------
    scale : Scale
    x : ndarray of shape (n_structures · n_atoms, n_kept), dimensionless
        Descriptors in its units and its metric.
    kinds : ndarray of int, shape (n_structures · n_atoms,)
        Species, as positions in the basis.
    neighbours : NeighbourList
    slopes : ndarray of shape (n_edges, 3, n_features), 1/Å, or None
        Derivatives of the descriptor itself of the centre of each edge by the vector of the edge: rows need
        their products with few environments only, which are brought into its units.
    """

    scale: Scale
    x: FloatArray
    kinds: IntArray
    neighbours: NeighbourList
    slopes: FloatArray | None

    @property
    def n_structures(self) -> int:
        """Structures of the block."""
        return self.neighbours.n_structures


def environments(
    basis: EnvironmentBasis, scale: Scale, structures: StructureSet, derivatives: bool
) -> Environments:
    """Return the scaled environments of a block of structures, in their own cells.

    Parameters
    ----------
    basis : EnvironmentBasis
    scale : Scale
    structures : StructureSet
        All at once: see `blocks_of`.
    derivatives : bool
        Whether to give the slopes, 24 bytes per edge and feature.
    """
    raw, kinds, neighbours = _raw(basis, structures)
    slopes = edge_jacobians(basis, kinds, neighbours) if derivatives else None
    return Environments(scale, scale(raw, kinds), kinds, neighbours, slopes)


def blocks_of(structures: StructureSet, n_atoms: int) -> Iterator[StructureSet]:
    """Yield a set in blocks of at least one structure and about so many atoms."""
    size = max(1, n_atoms // max(structures.n_atoms, 1))
    for start in range(0, len(structures), size):
        yield structures.select(slice(start, start + size))


def sample(
    basis: EnvironmentBasis,
    sets: Sequence[AnySet],
    rng: np.random.Generator,
    n_atoms: int = ATOMS_OF_SCALE,
) -> tuple[FloatArray, IntArray]:
    """Return unscaled descriptors and species of environments drawn from whole structures of all sets.

    Parameters
    ----------
    basis : EnvironmentBasis
    sets : sequence of AnySet
    rng : Generator
    n_atoms : int
        About so many; every set gives at least one structure.

    Returns
    -------
    x : ndarray of shape (n_environments, n_features), dimensionless
    kinds : ndarray of int, shape (n_environments,)
    """
    n_atoms = min(n_atoms, NUMBERS_OF_SCALE // basis.n_features)
    share = min(1.0, n_atoms / sum(len(s) * s.n_atoms for s in sets))
    found = []
    for structures in sets:
        count = max(1, round(share * len(structures)))
        chosen = structures.select(np.sort(rng.choice(len(structures), count, replace=False))).in_memory()
        found += [_raw(basis, block)[:2] for block in blocks_of(chosen, 2000)]
    return np.concatenate([x for x, _ in found]), np.concatenate([kinds for _, kinds in found])


def _raw(basis: EnvironmentBasis, structures: StructureSet) -> tuple[FloatArray, IntArray, NeighbourList]:
    neighbours = neighbour_list(structures.positions, structures.cells, structures.pbc, basis.cutoff)
    kinds = np.tile(basis.species_index(structures.species), len(structures))
    return values(basis, kinds, neighbours), kinds, neighbours
