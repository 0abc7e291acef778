"""Repulsion of nuclei below the shortest distances in the training data (universal ZBL potential).

    V(r) = s(r) · Z₁ Z₂ e²/(4π ε₀ r) · φ(r/a),   a = 0.4685 Å / (Z₁^0.23 + Z₂^0.23)

with φ(x) = Σ c_k exp(-d_k x) (J. F. Ziegler, J. P. Biersack, U. Littmark, The Stopping and Range of Ions in
Matter, 1985) and s from 1 at half of the outer distance R to 0 at R, twice continuously differentiable. R of
a pair of elements lies below every distance of the training data: energies and forces that are trained on
hold nothing of it, so that no fit changes and nothing is subtracted. Networks and Gaussian processes add it
to what they predict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_numbers, chemical_symbols, covalent_radii

from aenet_gpr_cli.baseline.shortest_distances import LOOKED_FOR, blocks, shortest_distances
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import AnySet, FloatArray, IntArray, StructureSet

# What needs neighbours imports them when called: their compiled loops load numba, and `show` reads this.
if TYPE_CHECKING:
    from aenet_gpr_cli.descriptors.interface.neighbour_list import NeighbourList

COULOMB = 14.399645  # e²/(4π ε₀), eV Å
LENGTH, EXPONENT = 0.4685, 0.23  # Å
COEFFICIENTS = (0.18175, 0.50986, 0.28022, 0.02817)
DECAYS = (3.19980, 0.94229, 0.40290, 0.20162)
INNER = 0.5  # of the outer distance: from here inwards the whole of it
MARGIN = 0.9  # of the shortest distance in training
OF_COVALENT = 0.8  # of the sum of covalent radii, for elements that never meet in training


@dataclass(frozen=True, slots=True)
class Added:
    """What the repulsion adds to a block of structures.

    Attributes
    ----------
    energies : ndarray of shape (n_atoms_total,), eV
        Half of each pair.
    slopes : ndarray of shape (m, 3), eV/Å
        dE/dr of the edges between atoms that are close, E the sum of the energies.
    edges, centres, ends : ndarray of int, shape (m,)
        Which edges these are, and the atoms at both ends.
    """

    energies: FloatArray
    slopes: FloatArray
    edges: IntArray
    centres: IntArray
    ends: IntArray

    def position_gradients(self) -> FloatArray:
        """Return dE/dR of all atoms, (n_atoms_total, 3), eV/Å: every edge has two ends."""
        found = np.zeros((len(self.energies), 3))
        np.add.at(found, self.ends, self.slopes)
        np.subtract.at(found, self.centres, self.slopes)
        return found

    def strain_gradients(self, neighbours: NeighbourList) -> FloatArray:
        """Return dE/dε of each structure, (n_structures, 3, 3), eV, symmetric; of the same neighbours."""
        found = np.zeros((neighbours.n_structures, 3, 3))
        each = self.slopes[:, :, None] * neighbours.vectors[self.edges, None, :]
        np.add.at(found, self.centres // neighbours.n_atoms, each)
        return 0.5 * (found + found.swapaxes(1, 2))


@dataclass(frozen=True, slots=True)
class Repelled:
    """What the repulsion adds to whole structures.

    Attributes
    ----------
    energies : ndarray of shape (n_structures,), eV
    forces : ndarray of shape (n_structures, n_atoms, 3), eV/Å
    strain_gradients : ndarray of shape (n_structures, 3, 3), eV
        dE/dε, the stress times the volume.
    """

    energies: FloatArray
    forces: FloatArray
    strain_gradients: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Repulsion:
    """ZBL between the elements of a potential.

    Attributes
    ----------
    charges : ndarray of shape (n_species,), e
    outer : ndarray of shape (n_species, n_species), Å
        Symmetric; beyond it there is nothing.
    """

    charges: FloatArray
    outer: FloatArray

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Repulsion)
            and np.array_equal(self.charges, other.charges)
            and np.array_equal(self.outer, other.outer)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def species(self) -> tuple[str, ...]:
        """Chemical symbols of the elements, in the order of the charges."""
        return tuple(chemical_symbols[int(charge)] for charge in self.charges)

    def describe(self) -> str:
        """Return a line with the outer distances."""
        species = self.species
        pairs = [(i, j) for i in range(len(species)) for j in range(i, len(species))]
        said = ", ".join(f"{species[i]}-{species[j]} {self.outer[i, j]:.2f}" for i, j in pairs)
        return f"repulsion of nuclei (ZBL) below {said} Å, where no training structure is"

    def __call__(self, kinds: IntArray, neighbours: NeighbourList) -> Added:
        """Return what it adds to the atoms of a block of structures.

        Parameters
        ----------
        kinds : ndarray of int, shape (n_atoms_total,)
            Species of each atom, counted as in ``charges``.
        neighbours : NeighbourList
            Complete up to the largest outer distance; every pair in both directions.
        """
        edges = neighbours.closer_than(kinds, self.outer)
        centres = np.searchsorted(neighbours.offsets, edges, side="right") - 1
        if not len(edges):  # as in most steps of dynamics
            return Added(np.zeros(len(kinds)), np.zeros((0, 3)), edges, centres, edges)
        one, two = kinds[centres], kinds[neighbours.index[edges]]
        r = np.sqrt(np.einsum("ex,ex->e", neighbours.vectors[edges], neighbours.vectors[edges]))
        value, slope = zbl(r, self.charges[one], self.charges[two], self.outer[one, two])
        energies = np.bincount(centres, 0.5 * value, minlength=len(kinds)).astype(float)
        slopes = (0.5 * slope / r)[:, None] * neighbours.vectors[edges]
        return Added(energies, slopes, edges, centres, neighbours.index[edges])

    def between(self, structures: StructureSet) -> Repelled:
        """Return what it adds to structures, of whose neighbours nothing is known yet.

        Raises
        ------
        InputError
            If it does not know an element.
        """
        from aenet_gpr_cli.descriptors.interface.neighbour_list import neighbour_list

        if unknown := sorted(set(structures.species) - set(self.species)):
            raise InputError(
                f"repulsion of nuclei: expected {', '.join(self.species)}, got {', '.join(unknown)}"
            )
        kinds = np.array([self.species.index(symbol) for symbol in structures.species])
        n, reach = len(structures), float(self.outer.max(initial=0.0))
        found = Repelled(np.zeros(n), np.zeros(structures.positions.shape), np.zeros((n, 3, 3)))
        for index in blocks(structures):
            block = structures.select(index)
            near = neighbour_list(block.positions, block.cells, block.pbc, reach)
            added = self(np.tile(kinds, len(block)), near)
            found.energies[index] = added.energies.reshape(len(block), -1).sum(axis=1)
            found.forces[index] = -added.position_gradients().reshape(block.positions.shape)
            found.strain_gradients[index] = added.strain_gradients(near)
        return found


def zbl(
    r: FloatArray, first: FloatArray, second: FloatArray, outer: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return V and dV/dr of pairs, in eV and eV/Å.

    Parameters
    ----------
    r : ndarray of shape (n,), Å
    first, second : ndarray of shape (n,), e
        Charges of the nuclei.
    outer : ndarray of shape (n,), Å
        Infinite for the bare potential.
    """
    per_length = (first**EXPONENT + second**EXPONENT) / LENGTH
    terms = np.exp(-np.multiply.outer(DECAYS, r * per_length)) * np.array(COEFFICIENTS)[:, None]
    screened = terms.sum(0)
    bare = COULOMB * first * second / r
    value = bare * screened
    slope = -value / r - bare * per_length * (np.array(DECAYS) @ terms)
    with np.errstate(invalid="ignore"):
        t = np.clip((r - INNER * outer) / ((1.0 - INNER) * outer), 0.0, 1.0)
    t = np.where(np.isfinite(outer), t, 0.0)
    switch = (1.0 - t) ** 3 * (1.0 + 3.0 * t + 6.0 * t**2)
    turn = np.where(np.isfinite(outer), -30.0 * t**2 * (1.0 - t) ** 2 / ((1.0 - INNER) * outer), 0.0)
    return value * switch, slope * switch + value * turn


def repulsion_of(species: Sequence[str], sets: Iterable[AnySet], cutoff: float = np.inf) -> Repulsion:
    """Return the repulsion that is zero in all structures that are trained on.

    Parameters
    ----------
    species : sequence of str
        Of the potential.
    sets : iterable of AnySet
        Read some structures at a time.
    cutoff : float, Å
        Of the potential's neighbours, which the outer distances do not exceed, if it has one.
    """
    numbers = np.array([atomic_numbers[symbol] for symbol in species])
    reach = min(LOOKED_FOR, cutoff)
    shortest = shortest_distances(species, sets, reach)
    radii = covalent_radii[numbers]
    unseen = np.minimum(OF_COVALENT * (radii[:, None] + radii), MARGIN * reach)
    return Repulsion(numbers.astype(float), np.where(np.isfinite(shortest), MARGIN * shortest, unseen))
