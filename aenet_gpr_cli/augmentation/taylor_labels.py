"""Synthetic energies from the first-order Taylor expansion (the paper's Taylor-ANN, after Cooper et al.).

Owns the expansion; takes geometries from `displacements` and hands back an `AugmentedSet`.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.augmentation.displacements import as_augmented_set
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import AugmentedSet, FloatArray, IntArray, StructureSet

BLOCK = 4096  # copies handled at once, to bound temporary memory


def taylor_energies(structures: StructureSet, positions: FloatArray, parents: IntArray) -> FloatArray:
    """Estimate the energies of displaced copies by a linear Taylor expansion.

    E' = E - Σ_i F_i · (R'_i - R_i), with F = -∂E/∂R at the reference structure.

    Parameters
    ----------
    structures : StructureSet
        Reference structures with energies and forces.
    positions : ndarray of shape (n_copies_in_total, n_atoms, 3), Å
    parents : ndarray of int, shape (n_copies_in_total,)
        Index of the reference structure of each copy.

    Returns
    -------
    ndarray of shape (n_copies_in_total,), eV

    Raises
    ------
    InputError
        If the reference structures have no energies or no forces.

    Notes
    -----
    Exact on a linear surface; the error grows with δ². Positions must be those of `displace`: a wrapped atom
    would be read as a displacement by a lattice vector.
    """
    if structures.energies is None or structures.forces is None:
        raise InputError("Taylor augmentation: expected reference energies and forces, got none")
    energies = structures.energies[parents]
    for start in range(0, len(parents), BLOCK):
        block = slice(start, start + BLOCK)
        step = positions[block] - structures.positions[parents[block]]
        energies[block] -= np.einsum("cax,cax->c", step, structures.forces[parents[block]])  # copy, atom, x
    return energies


def label_with_taylor(
    structures: StructureSet, positions: FloatArray, parents: IntArray, copies: IntArray
) -> AugmentedSet:
    """Label displaced copies with `taylor_energies`.

    Parameters
    ----------
    structures : StructureSet
        Reference structures with energies and forces.
    positions : ndarray of shape (n_copies_in_total, n_atoms, 3), Å
    parents, copies : ndarray of int, shape (n_copies_in_total,)
        As `displace` returns them.

    Returns
    -------
    AugmentedSet
        Labelled ``taylor``; without σ, because the expansion does not know its error.
    """
    energies = taylor_energies(structures, positions, parents)
    return as_augmented_set(structures, positions, parents, copies, energies, None, "taylor")
