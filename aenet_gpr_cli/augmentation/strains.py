"""Strains of copies: symmetric, of all components for crystals, in the plane for slabs, none elsewhere.

A copy is r → r (1 + ε) + d of its parent, with displacements d from `displacements`; its cell is strained
alike. A strain depends on the seed, its number and the name and cell of its parent only.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.augmentation.displacements import normal_numbers
from aenet_gpr_cli.descriptors.chebyshev.strain import VOIGT
from aenet_gpr_cli.lattice import volumes
from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet


def strain_freedom(structures: StructureSet) -> int:
    """Count the components of a strain: six for crystals, three for slabs, none for wires and molecules."""
    if volumes(structures) is None:
        return 0
    return 6 if all(structures.pbc) else 3


def random_strains(
    structures: StructureSet, n_copies: int, seed: int, first_copy: int = 0, strain: float = 1.0
) -> FloatArray:
    """Return normally distributed symmetric strains.

    Parameters
    ----------
    n_copies : int
        Of each structure, from ``first_copy`` on.
    strain : float, dimensionless
        Standard deviation of each component.

    Returns
    -------
    ndarray of shape (n_structures, n_copies, 3, 3), dimensionless
        Zero along directions that are not periodic.
    """
    found = np.zeros((len(structures), n_copies, 3, 3))
    if not strain_freedom(structures):
        return found
    for own, name in zip(found, structures.names, strict=True):
        numbers = normal_numbers(seed, f"{name}\0strain", n_copies, len(VOIGT), first_copy)
        for (a, b), column in zip(VOIGT, numbers.T, strict=True):
            own[:, a, b] = own[:, b, a] = strain * column
    if not all(structures.pbc):
        assert structures.cells is not None  # it has strains
        basis, _ = np.linalg.qr(structures.cells[:, list(structures.pbc)].transpose(0, 2, 1))
        plane = basis @ basis.transpose(0, 2, 1)
        found = plane[:, None] @ found @ plane[:, None]
    return found


def strained(
    structures: StructureSet, positions: FloatArray, parents: IntArray, strains: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return positions and cells of displaced copies under strains.

    Parameters
    ----------
    positions : ndarray of shape (n_copies_in_total, n_atoms, 3), Å
        Displaced, in the cells of the parents.
    parents : ndarray of int, shape (n_copies_in_total,)
    strains : ndarray of shape (n_copies_in_total, 3, 3), dimensionless
    """
    assert structures.cells is not None  # without a cell there is no strain
    cells = structures.cells[parents]
    return positions + structures.positions[parents] @ strains, cells + cells @ strains


def strain_of(structures: StructureSet, parents: IntArray, cells: FloatArray) -> FloatArray:
    """Return the strains from the cells of the parents to those of the copies, shape (n, 3, 3)."""
    assert structures.cells is not None  # the copies have cells
    return np.linalg.solve(structures.cells[parents], cells) - np.eye(3)


def displacements_of(
    structures: StructureSet, parents: IntArray, positions: FloatArray, cells: FloatArray | None
) -> FloatArray:
    """Return the displacements of copies beyond the strain of their cells, shape (n, n_atoms, 3), Å.

    Parameters
    ----------
    cells : ndarray of shape (n, 3, 3), Å, or None
        None for those of the parents.
    """
    found = positions - structures.positions[parents]
    if cells is not None and strain_freedom(structures):
        found -= structures.positions[parents] @ strain_of(structures, parents, cells)
    return found
