"""The Chebyshev descriptor of ænet (Artrith, Urban, Ceder, Phys. Rev. B 96, 014112) and its derivatives.

Owns the basis and products with the Jacobian; neither triples nor the Jacobian are ever
formed. Neighbour lists come from `neighbour_list`, the loops from `chebyshev_loops`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from aenet_gpr_cli.descriptors.chebyshev import chebyshev_loops as kernels
from aenet_gpr_cli.descriptors.chebyshev import chebyshev_work as work
from aenet_gpr_cli.descriptors.interface.neighbour_list import NeighbourList, neighbour_list
from aenet_gpr_cli.descriptors.interface.species_places import species_places
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet

# 17 MB of edges with 130 neighbours each; smaller blocks spend their time on the way in
ATOMS_PER_BLOCK = 4000
MANY = 4  # cotangents from which their products are faster with the derivatives of each function (measured)


@dataclass(frozen=True, slots=True)
class ChebyshevBasis:
    """Basis of the Chebyshev descriptor; the same for every species.

    Attributes
    ----------
    species : tuple of str
        Chemical symbols; their order decides the type spins (ænet's ENV list).
    radial_cutoff : float, Å
    radial_order : int
        Highest order of the radial polynomials.
    angular_cutoff : float, Å, or None
        Ignored in a radial-only basis.
    angular_order : int or None
        Highest order of the angular polynomials; None or -1 for a radial-only basis.
    inner_cutoffs : tuple of float, Å
        Further angular cutoffs, descending, each with angular functions of its own: beyond ænet's descriptor,
        which does not know how far the two neighbours of an angle are.
    resolved : bool
        Whether to count the neighbours of each species, too, where there are three or more: ænet's two sums
        cannot tell one neighbour of the middle species from one each of those before and after it.
    """

    species: tuple[str, ...]
    radial_cutoff: float
    radial_order: int
    angular_cutoff: float | None
    angular_order: int | None
    inner_cutoffs: tuple[float, ...] = ()
    resolved: bool = False

    def __post_init__(self) -> None:
        if not self.species or len(set(self.species)) != len(self.species):
            raise ConfigError(f"species: expected distinct chemical symbols, got {list(self.species)}")
        if not self.radial_cutoff > 0:
            raise ConfigError(f"radial_cutoff: expected a positive distance in Å, got {self.radial_cutoff}")
        if self.radial_order < 0:
            raise ConfigError(f"radial_order: expected 0 or more, got {self.radial_order}")
        if self.angular_order is not None and self.angular_order < -1:
            raise ConfigError(f"angular_order: expected -1 (none) or more, got {self.angular_order}")
        if self.n_angular and not (self.angular_cutoff is not None and self.angular_cutoff > 0):
            raise ConfigError(f"angular_cutoff: expected a positive distance in Å, got {self.angular_cutoff}")
        chain = (*self.angular_cutoffs, 0.0)
        if any(not far > near for far, near in pairwise(chain)):
            raise ConfigError(
                f"angular_cutoffs: expected positive descending distances in Å, got {list(chain[:-1])}"
            )

    @classmethod
    def from_attributes(cls, stored: Mapping[str, Any]) -> ChebyshevBasis:
        """Return the basis whose fields were stored by name; None and an empty tuple may be left out."""
        angular = stored.get("angular_cutoff")
        return cls(
            species=tuple(str(symbol) for symbol in stored["species"]),
            radial_cutoff=float(stored["radial_cutoff"]),
            radial_order=int(stored["radial_order"]),
            angular_cutoff=None if angular is None else float(angular),
            angular_order=int(stored["angular_order"]),
            inner_cutoffs=tuple(float(cutoff) for cutoff in stored.get("inner_cutoffs", ())),
            resolved=bool(stored.get("resolved", False)),
        )

    @property
    def n_radial(self) -> int:
        """Number of radial functions, N_r + 1."""
        return self.radial_order + 1

    @property
    def n_angular(self) -> int:
        """Number of angular functions, N_a + 1, or 0."""
        return 0 if self.angular_order is None else self.angular_order + 1

    @property
    def angular_cutoffs(self) -> tuple[float, ...]:
        """All angular cutoffs, descending, Å; none in a radial-only basis."""
        return (float(self.angular_cutoff or 0.0), *self.inner_cutoffs) if self.n_angular else ()

    @property
    def half(self) -> int:
        """Number of functions of one half of the descriptor, or of any further part of it."""
        return self.n_radial + self.n_angular * len(self.angular_cutoffs)

    @property
    def n_features(self) -> int:
        """Length of the descriptor: one half without weights, and one for each of `neighbour_weights`."""
        return self.half * (1 + len(self.neighbour_weights))

    @property
    def cutoff(self) -> float:
        """The larger cutoff, Å: what the neighbour list needs."""
        return max(self.radial_cutoff, self.angular_cutoff or 0.0) if self.n_angular else self.radial_cutoff

    @property
    def kind(self) -> str:
        """The name of the descriptor."""
        return "chebyshev"

    @property
    def words(self) -> str:
        """What tells the descriptor from others of the same orders, for messages."""
        angles = "/".join(f"{cutoff:.3g}" for cutoff in self.angular_cutoffs)
        return f"angular cutoffs {angles} Å" + ", species resolved" * self.resolved

    @property
    def type_spins(self) -> FloatArray:
        """Weights of the species: … −1, 0, 1 … without the 0 for an even number (ænet's sfbasis)."""
        n = len(self.species)
        return np.array([s for s in range(-(n // 2), n // 2 + 1) if s != 0 or n % 2 == 1], float)

    @property
    def neighbour_weights(self) -> FloatArray:
        """Weights of the species of neighbours, (n, n_species): the type spins; one for each species alone.

        The first and the last species have none of their own, since the others leave no doubt about them.
        """
        n = len(self.species)
        if n == 1:
            return np.zeros((0, 1))
        alone = np.eye(n)[1:-1] if self.resolved else np.zeros((0, n))
        return np.concatenate([self.type_spins[None], alone])

    @property
    def is_aenet(self) -> bool:
        """Whether ænet knows this descriptor."""
        return not self.inner_cutoffs and self.n_features <= 2 * self.half

    def species_index(self, species: Sequence[str]) -> IntArray:
        """Return the position of each atom's species in the basis, see `species_places`."""
        return species_places(species, self.species)


@dataclass(frozen=True, slots=True)
class Linearised:
    """The Chebyshev descriptors of a block of structures, and products with their Jacobian.

    Nothing that the values have needed is found twice: distances, cutoff functions and moments are kept. They
    are in the room given to `linearise`, so that this is of use until something else takes it.

    Attributes
    ----------
    values : ndarray of shape (n_atoms_total, n_features), dimensionless
        See the function of that name.
    """

    values: FloatArray
    _basis: work.Basis
    _edges: work.Edges
    _n_atoms: int
    _parts: tuple[tuple[int, int, work.Work], ...]

    def vjp(self, cotangents: FloatArray, strain: bool = False) -> tuple[FloatArray, FloatArray]:
        """Return gradients of Σ_if cotangent_if G_if.

        Parameters
        ----------
        cotangents : ndarray of shape (m, n_atoms_total, n_features)
            For example dE/dG of m committee members.
        strain : bool
            Whether those with respect to a strain are wanted, too.

        Returns
        -------
        gradients : ndarray of shape (m, n_atoms_total, 3), unit of the cotangents per Å
            With respect to all positions, see the function of that name.
        strains : ndarray of shape (m, n_structures, 3, 3), unit of the cotangents
            With respect to a strain r → (1 + ε) r of each structure, symmetric because a rotation changes
            nothing; zeros if not wanted.
        """
        n_structures = len(self.values) // max(self._n_atoms, 1)
        strains = np.zeros((len(cotangents), n_structures, 3, 3))
        if not strain:
            return self._pull(self._edges, cotangents, strains[:0]), strains
        gradients = self._pull(self._edges, cotangents, strains)
        return gradients, 0.5 * (strains + strains.swapaxes(-1, -2))

    def edge_gradients(self, cotangents: FloatArray) -> FloatArray:
        """Return gradients with respect to the vectors of the edges, see the function of that name."""
        n_atoms, n_edges = len(self.values), len(self._edges.neighbour)
        # every edge ends at an atom of its own, so that no other edge adds to its row
        own = self._edges._replace(neighbour=n_atoms + np.arange(n_edges))
        return self._pull(own, cotangents, np.empty((0, 0, 3, 3)), n_edges)[:, n_atoms:]

    def jvp(self, tangents: FloatArray) -> FloatArray:
        """Return the changes of the descriptors, see the function of that name."""
        features = self._basis.parts * self._basis.half
        out = np.zeros((len(tangents), len(self.values), features))
        self._run(kernels.push_loop, self._edges, np.ascontiguousarray(tangents, float), out)
        return out

    def edge_jacobians(self) -> FloatArray:
        """Return the derivatives by the vectors of the edges, see the function of that name."""
        features = self._basis.parts * self._basis.half
        out = np.zeros((len(self._edges.neighbour), 3, features))
        self._run(kernels.edge_loop, self._edges, out)
        return out

    def _pull(
        self, edges: work.Edges, cotangents: FloatArray, strains: FloatArray, n_ends: int = 0
    ) -> FloatArray:
        out = np.zeros((len(cotangents), len(self.values) + n_ends, 3))
        given = np.ascontiguousarray(cotangents, float)
        self._run(kernels.pull_loop, edges, given, out, self._n_atoms, strains)
        return out

    def _run(self, loop: Callable[..., None], edges: work.Edges, *arrays: Any) -> None:
        _share([(first, last, edges, self._basis, own, *arrays) for first, last, own in self._parts], loop)


def linearise(
    basis: ChebyshevBasis,
    species_index: IntArray,
    neighbours: NeighbourList,
    threads: int = 1,
    room: work.Room | None = None,
    gradients: bool = False,
) -> Linearised:
    """Return descriptors with what is needed to multiply with their Jacobian.

    Parameters
    ----------
    basis, species_index, neighbours, threads
        As for `values`.
    room : Room, optional
        Memory to use, and to use again by the next call; of one thread.
    gradients : bool
        Whether derivatives of each function are worth their cost: for `jvp` and `edge_jacobians`, which need
        them, and for `vjp` of `MANY` cotangents.
    """
    return _evaluate(basis, species_index, neighbours, threads, room, True, True, gradients)


def values(
    basis: ChebyshevBasis, species_index: IntArray, neighbours: NeighbourList, threads: int = 1
) -> FloatArray:
    """Return the Chebyshev descriptors G of all atoms.

    R_n = Σ_j f_c(r_j; R_r) T_n(2r_j/R_r − 1), A_n = Σ_{j<k} w_j w_k T_n(cos θ_jk) with w_j = f_c(r_j; R_a),
    then both with factors s_j and s_j s_k, the type spins. The angular part is linear in the number of
    neighbours: T_n = Σ_l B_nl P_l, and P_l separates into real spherical harmonics, so that
    A_n = ½ (Σ_l B_nl Σ_m |Σ_j w_j Y_lm(u_j)|² − Σ_j w_j²).

    Parameters
    ----------
    species_index : ndarray of int, shape (n_atoms_total,)
        Species of each atom of the block, see `ChebyshevBasis.species_index`.
    neighbours : NeighbourList
        At least up to ``basis.cutoff``; longer edges do not contribute.
    threads : int
        Threads to share the structures; the result does not depend on it.

    Returns
    -------
    ndarray of shape (n_atoms_total, n_features), dimensionless
        ``[R_0 … R_Nr, A_0 … A_Na, Rw_0 … Rw_Nr, Aw_0 … Aw_Na]``, with A_0 … A_Na and Aw_0 … Aw_Na of each
        angular cutoff in turn, and parts like the second for further weights of species; zeros for an atom
        without neighbours.
    """
    return _evaluate(basis, species_index, neighbours, threads, None, True, False, False).values


def vjp(
    basis: ChebyshevBasis,
    species_index: IntArray,
    neighbours: NeighbourList,
    cotangents: FloatArray,
    threads: int = 1,
) -> FloatArray:
    """Return the gradients of Σ_if cotangent_if G_if with respect to all positions.

    Parameters
    ----------
    basis, species_index, neighbours, threads
        As for `values`.
    cotangents : ndarray of shape (m, n_atoms_total, n_features)
        For example dE/dG of m committee members.

    Returns
    -------
    ndarray of shape (m, n_atoms_total, 3), unit of the cotangents per Å
        +Σ cotangent·dG/dR: a gradient, not a force.
    """
    many = len(cotangents) >= MANY
    return _derivatives(basis, species_index, neighbours, threads, many).vjp(cotangents)[0]


def edge_gradients(
    basis: ChebyshevBasis, species_index: IntArray, neighbours: NeighbourList, cotangents: FloatArray
) -> FloatArray:
    """Return the gradients of Σ_if cotangent_if G_if with respect to the vector of every edge.

    Parameters
    ----------
    basis, species_index, neighbours
        As for `values`.
    cotangents : ndarray of shape (m, n_atoms_total, n_features)
        For example dE/dG of m committee members.

    Returns
    -------
    ndarray of shape (m, n_edges, 3), unit of the cotangents per Å
        +Σ cotangent·dG/dr of each edge as seen from its centre; zero beyond the cutoffs.
    """
    many = len(cotangents) >= MANY
    return _derivatives(basis, species_index, neighbours, 1, many).edge_gradients(cotangents)


def edge_jacobians(basis: ChebyshevBasis, species_index: IntArray, neighbours: NeighbourList) -> FloatArray:
    """Return the derivatives of each atom's descriptor by the vectors of its edges.

    Parameters
    ----------
    basis, species_index, neighbours
        As for `values`.

    Returns
    -------
    ndarray of shape (n_edges, 3, n_features), 1/Å
        dG_f/dr_e as seen from the centre of the edge; zero beyond the cutoffs.
    """
    return _derivatives(basis, species_index, neighbours, 1, True).edge_jacobians()


def jvp(
    basis: ChebyshevBasis,
    species_index: IntArray,
    neighbours: NeighbourList,
    tangents: FloatArray,
    threads: int = 1,
) -> FloatArray:
    """Return the changes of the descriptors, dG/dR·tangent, along directions in the space of all positions.

    Parameters
    ----------
    basis, species_index, neighbours, threads
        As for `values`.
    tangents : ndarray of shape (m, n_atoms_total, 3), Å

    Returns
    -------
    ndarray of shape (m, n_atoms_total, n_features), dimensionless
    """
    return _derivatives(basis, species_index, neighbours, threads, True).jvp(tangents)


def features(
    basis: ChebyshevBasis, structures: StructureSet, block_size: int, threads: int = 1
) -> FloatArray:
    """Return the descriptors of a set of structures, block by block.

    Parameters
    ----------
    block_size : int
        Structures per block, at most: a block has no more than about `ATOMS_PER_BLOCK` atoms per thread, so
        that its neighbour list stays small. That list is all the memory needed beyond the result.
    threads : int
        As for `values`.

    Returns
    -------
    ndarray of shape (n_structures, n_atoms, n_features), dimensionless
    """
    out = np.empty((len(structures), structures.n_atoms, basis.n_features))
    species_index = basis.species_index(structures.species)
    size = max(1, min(block_size, ATOMS_PER_BLOCK * threads // max(structures.n_atoms, 1)))
    for start in range(0, len(structures), size):
        block = slice(start, min(start + size, len(structures)))
        cells = None if structures.cells is None else structures.cells[block]
        neighbours = neighbour_list(structures.positions[block], cells, structures.pbc, basis.cutoff)
        flat = values(basis, np.tile(species_index, neighbours.n_structures), neighbours, threads)
        out[block] = flat.reshape(-1, *out.shape[1:])
    return out


def _derivatives(
    basis: ChebyshevBasis, species_index: IntArray, neighbours: NeighbourList, threads: int, gradients: bool
) -> Linearised:
    """Return products with the Jacobian, without values."""
    return _evaluate(basis, species_index, neighbours, threads, None, False, True, gradients)


def _evaluate(
    basis: ChebyshevBasis,
    species_index: IntArray,
    neighbours: NeighbourList,
    threads: int,
    room: work.Room | None,
    wanted: bool,
    keep: bool,
    gradients: bool,
) -> Linearised:
    """Run the loop of the values, whole structures to each thread: no two threads write the same row."""
    n_atoms = len(neighbours.offsets) - 1
    if len(species_index) != n_atoms:
        raise InputError(
            f"species_index: expected one entry for each of {n_atoms} atoms, got {len(species_index)}"
        )
    edges = work.Edges(neighbours.offsets, neighbours.index, neighbours.vectors, species_index)
    compiled = _compiled(basis)
    out = np.zeros((n_atoms, compiled.parts * compiled.half if wanted else 0))
    bounds = [0, n_atoms]
    if threads > 1:
        n = neighbours.n_structures
        each = np.linspace(0, n, max(min(threads, n), 1) + 1).astype(int)
        bounds, room = (each * neighbours.n_atoms).tolist(), None
    parts = tuple(
        (*span, (room or work.Room()).workspace(compiled, edges.offsets, span, kernels.PAD, keep, gradients))
        for span in pairwise(bounds)
    )
    _share([(first, last, edges, compiled, own, out) for first, last, own in parts], kernels.value_loop)
    return Linearised(out, compiled, edges, neighbours.n_atoms, parts)


@lru_cache(maxsize=8)
def _compiled(basis: ChebyshevBasis) -> work.Basis:
    """Return a basis as the loops take it."""
    weights = np.concatenate([np.ones((1, len(basis.species))), basis.neighbour_weights])
    return work.Basis(
        radial_cutoff=float(basis.radial_cutoff),
        angular_cutoffs=np.array(basis.angular_cutoffs),
        longest=float(basis.cutoff),
        n_radial=basis.n_radial,
        n_angular=basis.n_angular,
        parts=len(weights),
        half=basis.half,
        weights=weights,
        recurrence=work.recurrence(basis.n_angular),
        expansion=work.expansion(basis.n_angular),
    )


def _share(calls: list[tuple], loop: Callable[..., None]) -> None:
    """Run a loop for each of the arguments, in a thread each."""
    if len(calls) == 1:
        loop(*calls[0])
    else:
        with ThreadPoolExecutor(len(calls)) as pool:
            list(pool.map(lambda arguments: loop(*arguments), calls))
