"""Whether atoms are at the places that equal atoms have in another structure, or at each other's.

An atom is at a place if no other place of its element is nearer, and it is less than half way to the next
place of any. Positions are compared in views: as they are and without the drift that most atoms share, or, of
isolated structures, turned onto the other one. Owns no decision: whether atoms were renumbered is told by
`ordering`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.lattice import Lattice
from aenet_gpr_cli.structures import FloatArray, IntArray, Structure, StructureSet
from aenet_gpr_cli.subsystems.geometry import distance_matrix

DRIFTS = 40  # atoms whose displacement is tried as that of all
FAR = 1e6  # Å, to places of other elements, which no assignment takes
ROUNDS = 20  # of a superposition on the atoms that fit best
SLIDING = 3  # atoms; two may go the same way by chance, as half a cell forth is half a cell back
FEWEST = 0.25  # of the atoms: so many are not at home by chance where positions are taken as they are
MOST = 0.5  # the same where a drift has been chosen so that many are
NEARLY_ALL = 0.75  # the same of a turn: it has more freedom


@dataclass(frozen=True, slots=True)
class View:
    """A structure laid over another one.

    Attributes
    ----------
    squares : ndarray of shape (n_atoms, n_atoms), Å²
        Of the distances of its atoms (rows) to the places of the other; infinite for other elements.
    reach : ndarray of shape (n_atoms,), Å
        Half the distance of each place to the next one.
    steps : ndarray of shape (n_atoms, 3), Å
        From its own place to each atom.
    lattice : Lattice
    telling : float
        Share of the atoms above which those at their own places are no coincidence.
    """

    squares: FloatArray
    reach: FloatArray
    steps: FloatArray
    lattice: Lattice
    telling: float

    def at_home(self, order: IntArray) -> int:
        """Return how many atoms are at their places, if atom ``order[i]`` belongs to place i."""
        places = np.arange(len(order))
        near = self.squares[order, places] < self.reach**2
        return int((near & (self.squares.argmin(axis=1)[order] == places)).sum())

    def slide(self, order: IntArray) -> bool:
        """Whether the atoms that an order moves have gone the same way, as a layer that slides."""
        moved = np.flatnonzero(order != np.arange(len(order)))
        if len(moved) < SLIDING:
            return False
        steps = self.steps[moved]
        left = self.lattice.nearest(steps - _drift(steps, self.lattice))
        return bool((np.linalg.norm(left, axis=1) < self.reach[moved]).all())

    def by_places(self, held: np.ndarray) -> IntArray:
        """Return the atom of each place for which the distances are smallest together.

        Parameters
        ----------
        held : ndarray of bool, shape (n_atoms,)
            Atoms that keep their places.
        """
        from scipy.optimize import linear_sum_assignment

        order, free = np.arange(len(held)), np.flatnonzero(~held)
        distances = np.minimum(np.sqrt(self.squares[np.ix_(free, free)]), FAR)
        atoms, places = linear_sum_assignment(distances)
        order[free[places]] = free[atoms]
        return order


def views(structure: Structure, reference: Structure) -> list[View]:
    """Return the ways in which a structure may be laid over a reference.

    Parameters
    ----------
    reference : Structure
        With the same species in the same order.
    """
    places, positions = reference.positions, structure.positions
    lattice = Lattice(reference.cell, reference.pbc)
    if lattice.rank:
        drift = _drift(lattice.nearest(positions - places), lattice)
        ways = [(positions, FEWEST), (positions - drift, MOST)]
    else:
        ways = [(_superposed(positions, places), NEARLY_ALL)]
    apart = distance_matrix(StructureSet.from_structures([reference]))[0]
    np.fill_diagonal(apart, np.inf)
    species, reach = np.array(reference.species), 0.5 * apart.min(axis=1)
    return [
        View(
            _squares(seen, places, species, lattice), reach, lattice.nearest(seen - places), lattice, telling
        )
        for seen, telling in ways
    ]


def explained(order: IntArray, seen: list[View]) -> bool:
    """Whether atoms that are renumbered are nowhere less at home than those that are not.

    False where in a view many atoms are at home as they are numbered, and not more would be: few of them
    have moved; and where those that are renumbered have only gone the same way.
    """
    if seen[0].slide(order):
        return False
    as_they_are = np.arange(len(order))
    return all(
        view.at_home(order) > at_home
        for view in seen
        if (at_home := view.at_home(as_they_are)) > view.telling * len(order)
    )


def _squares(positions: FloatArray, places: FloatArray, species: np.ndarray, lattice: Lattice) -> FloatArray:
    squares = np.full((len(places), len(places)), np.inf)
    for kind in np.unique(species):
        own = np.flatnonzero(species == kind)
        steps = lattice.nearest(positions[own][:, None] - places[own])
        squares[np.ix_(own, own)] = np.einsum("ijx,ijx->ij", steps, steps)
    return squares


def _drift(steps: FloatArray, lattice: Lattice) -> FloatArray:
    """Return the displacement, of some of the atoms, that most of them share."""
    tried = steps[:: -(-len(steps) // DRIFTS)]
    left = np.linalg.norm(lattice.nearest(steps - tried[:, None]), axis=2)
    return np.asarray(tried[np.median(left, axis=1).argmin()])


def _superposed(positions: FloatArray, places: FloatArray) -> FloatArray:
    """Turn (or mirror) and move positions onto places, by the half of the atoms that fit best.

    Kabsch, Acta Cryst. A 32, 922 (1976), again and again.
    """
    chosen = np.arange(len(places))
    turned = positions
    for _ in range(ROUNDS):
        middle, there = positions[chosen].mean(axis=0), places[chosen].mean(axis=0)
        left, _, right = np.linalg.svd((positions[chosen] - middle).T @ (places[chosen] - there))
        turned = (positions - middle) @ left @ right + there
        off = np.linalg.norm(turned - places, axis=1)
        fitting = np.flatnonzero(off <= np.median(off))
        if np.array_equal(fitting, chosen):
            break
        chosen = fitting
    return turned
