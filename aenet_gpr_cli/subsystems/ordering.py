"""One order of the atoms per subset: structures whose atoms come in another order are put into it.

Owns the matching of atoms and the way back to the order of the file. Which structure gives the order is left
to `grouping`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aenet_gpr_cli.structures import FloatArray, IntArray, Structure, StructureSet
from aenet_gpr_cli.subsystems.geometry import distance_matrix

# Matching by distances settles in two or three rounds; more rounds only serve hopeless cases.
_ROUNDS = 20


def in_order_of(structure: Structure, reference: Structure) -> Structure:
    """Put the atoms into the order of a reference structure of the same composition.

    Where the species already come in the same order, nothing changes. Otherwise atoms of one species are
    matched by their surroundings: first by 1/(1+r) over the sorted distances to the atoms of each species,
    then by the distances to the atoms matched so far, D_ref[i, k] against D[j, π(k)], until that is stable.
    Distances do not depend on position and orientation; mirror images count as the same (their energy is).

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
    if structure.species == reference.species:
        return structure
    order = _match(structure, reference)
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
