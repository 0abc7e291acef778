"""One order of the atoms per subset: structures whose atoms come in another order are put into it.

Owns the matching of atoms and the way back to the order of the file. Which structure gives the order is left
to `grouping`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aenet_gpr_cli.structures import FloatArray, IntArray, Structure, StructureSet
from aenet_gpr_cli.subsystems.geometry import distance_matrix
from aenet_gpr_cli.subsystems.places import explained, views

# Matching by distances settles in two or three rounds; more rounds only serve hopeless cases.
_ROUNDS = 20
_BOND = 1.3  # times the sum of covalent radii: the usual bound of a bond
_FEW = 0.2  # of the differing bonds may stay different, for example where one has just broken
# where so many atoms are at their places, so many bonds may differ: neighbours of metals come and go
_AT_HOME, _HALF = 0.9, 0.5


def in_order_of(structure: Structure, reference: Structure) -> Structure:
    """Put the atoms into the order of a reference structure of the same composition.

    Where the species already come in the same order, atoms change places only where bonds differ and agree
    after equal atoms are exchanged, and where that puts more atoms at their places: equal elements were
    renumbered. Otherwise atoms of one species are matched by their surroundings: first by 1/(1+r) over the
    sorted distances to the atoms of each species, then by the distances to the atoms matched so far,
    D_ref[i, k] against D[j, π(k)], until that is stable. Distances do not depend on position and orientation;
    mirror images count as the same (their energy is).

    Parameters
    ----------
    reference : Structure
        With the same species, each as often.

    Returns
    -------
    Structure
        With ``atom_order``, the number in the file of each atom; `in_file_order` is the inverse.

    Notes
    -----
    Cost about N³ for the assignments (Hungarian algorithm).
    """
    if structure.species != reference.species:
        order = _match(structure, reference)
    elif (found := _renumbering(structure, reference)) is None:
        return structure
    else:
        order = found
    return _reordered(structure, order)


def by_species(structure: Structure, reference: Structure) -> Structure:
    """Put the species into the order of a reference structure; atoms of one species stay in theirs.

    For structures whose atoms have no places of their own, as where cells differ.

    Parameters
    ----------
    reference : Structure
        With the same species, each as often.

    Returns
    -------
    Structure
        With ``atom_order``, the number in the file of each atom; `in_file_order` is the inverse.
    """
    if structure.species == reference.species:
        return structure
    order = np.empty(structure.n_atoms, np.int64)
    ours, theirs = np.array(structure.species), np.array(reference.species)
    order[np.argsort(theirs, kind="stable")] = np.argsort(ours, kind="stable")
    return _reordered(structure, order)


def _reordered(structure: Structure, order: IntArray) -> Structure:
    """Take the atoms in an order, and keep their numbers in the file."""
    before = np.arange(structure.n_atoms) if structure.atom_order is None else np.array(structure.atom_order)
    return replace(_permuted(structure, order), atom_order=tuple(int(i) for i in before[order]))


def in_file_order(structure: Structure) -> Structure:
    """Put the atoms back into the order of the file."""
    if structure.atom_order is None:
        return structure
    return replace(_permuted(structure, np.argsort(structure.atom_order)), atom_order=None)


def _permuted(structure: Structure, order: IntArray) -> Structure:
    return replace(
        structure,
        species=tuple(structure.species[i] for i in order),
        positions=structure.positions[order],
        forces=None if structure.forces is None else structure.forces[order],
    )


def _renumbering(structure: Structure, reference: Structure) -> IntArray | None:
    """Return the order in which bonds agree with those of the reference; None if they do or cannot.

    None also where atoms have moved: a molecule that has turned or gone to another site of a surface, an atom
    that has diffused. There bonds agree, too, if the atoms of the surface are renumbered by one of its
    translations, but in their own order more of them are at their places.
    """
    ours, theirs = _bonds(structure), _bonds(reference)
    different = int((ours != theirs).sum())
    if not different:
        return None
    seen, held = views(structure, reference), _held(structure.species, ours, theirs)

    def renumbers(order: IntArray, left: float) -> bool:
        agree = (ours[np.ix_(order, order)] != theirs).sum() < left * different
        moved = order != np.arange(len(order))
        return bool(agree and moved.any() and not moved[held].any() and explained(order, seen))

    for view in seen:
        order = view.by_places(held)
        if view.at_home(order) < _AT_HOME * len(order):
            continue
        if np.array_equal(order, np.arange(len(order))):
            return None
        if renumbers(order, _HALF):
            return order
    order = _match_to_skeleton(structure, reference, ours, theirs)
    return order if renumbers(order, _FEW) else None


def _held(species: Sequence[str], ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return which atoms belong to molecules, if all bonds within molecules are those of the reference."""
    from aenet_gpr_cli.subsystems.molecular_symmetry import NON_METALS

    molecular = np.array([symbol in NON_METALS for symbol in species])
    within = molecular[:, None] & molecular
    if (ours & within != theirs & within).any():
        return np.zeros(len(species), bool)
    return np.asarray((theirs & within).any(axis=1))


def _match_to_skeleton(
    structure: Structure, reference: Structure, ours: np.ndarray, theirs: np.ndarray
) -> IntArray:
    """Match the atoms of those elements whose bonds differ, by bonds and distances to the other atoms."""
    species = np.array(reference.species)
    fixed = np.ones(len(species), bool)
    while (ours != theirs)[np.ix_(fixed, fixed)].any():
        kinds = np.unique(species[fixed])
        left = [
            theirs[np.ix_(rest, rest)].sum() for kind in kinds if (rest := fixed & (species != kind)).any()
        ]
        if not left:
            return _match(structure, reference)
        fixed &= species != kinds[int(np.argmax(left))]
    near, near_reference = _nearness(structure)[:, fixed], _nearness(reference)[:, fixed]
    rows, wanted = np.hstack([near, ours[:, fixed]]), np.hstack([near_reference, theirs[:, fixed]])
    order = np.arange(len(species))
    order[~fixed] = np.flatnonzero(~fixed)[
        _assign(rows[~fixed], wanted[~fixed], species[~fixed], species[~fixed])
    ]
    return order


def _bonds(structure: Structure) -> np.ndarray:
    """Return which atoms are bonded: nearer than 1.3 times the sum of the radii of both."""
    from ase.data import atomic_numbers, covalent_radii

    radii = np.array([covalent_radii[atomic_numbers[s]] for s in structure.species])
    distances = distance_matrix(StructureSet.from_structures([structure]))[0]
    found = distances < _BOND * (radii[:, None] + radii)
    np.fill_diagonal(found, False)
    return np.asarray(found)


def _match(structure: Structure, reference: Structure) -> IntArray:
    """Return for each atom of the reference the atom of the structure that takes its place."""
    ours, theirs = np.array(structure.species), np.array(reference.species)
    near, near_reference = _nearness(structure), _nearness(reference)
    order = _assign(_surroundings(near, ours), _surroundings(near_reference, theirs), ours, theirs)
    mismatch = np.inf
    for _ in range(_ROUNDS):
        now = float(((near[np.ix_(order, order)] - near_reference) ** 2).sum())
        if now >= mismatch:
            break
        mismatch, best = now, order
        order = _assign(near[:, order], near_reference, ours, theirs)
    return best


def _nearness(structure: Structure) -> FloatArray:
    return np.asarray(1.0 / (1.0 + distance_matrix(StructureSet.from_structures([structure]))[0]))


def _surroundings(near: FloatArray, species: np.ndarray) -> FloatArray:
    return np.hstack([np.sort(near[:, species == kind], axis=1) for kind in np.unique(species)])


def _assign(ours: FloatArray, theirs: FloatArray, species: np.ndarray, wanted: np.ndarray) -> IntArray:
    """Return the atoms, species by species, whose rows agree best with those wanted."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    order = np.empty(len(species), np.int64)
    for kind in np.unique(species):
        have, places = np.flatnonzero(species == kind), np.flatnonzero(wanted == kind)
        rows, columns = linear_sum_assignment(cdist(theirs[places], ours[have], "sqeuclidean"))
        order[places[rows]] = have[columns]
    return order
