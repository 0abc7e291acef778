"""What a strain r → (1 + ε) r does to energies and descriptors, from their derivatives by the edges.

Every edge changes with the strain, dr_e = ε r_e, so that dE/dε_ab = Σ_e (dE/dr_e)_a (r_e)_b. Divided by the
volume it is the stress, positive under tension; its negative is the virial.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis, edge_jacobians
from aenet_gpr_cli.descriptors.interface.neighbour_list import NeighbourList
from aenet_gpr_cli.lattice import volumes
from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))  # the six components of a symmetric tensor
FIRST, SECOND = np.array(VOIGT).T  # their axes
UPRIGHT = 1e-6  # cosine of the angle between an axis and a plane that contains it


def six_components(tensors: FloatArray) -> FloatArray:
    """Return the components (..., 6) of symmetric tensors (..., 3, 3), in the order of `VOIGT`."""
    return np.ascontiguousarray(tensors[..., FIRST, SECOND])


def periodic_components(structures: StructureSet) -> NDArray[np.bool_]:
    """Return which components of a strain are along the lattice, in the order of `VOIGT`.

    The other ones say nothing that the forces do not say: along the vacuum dE/dε_az = -Σ_i z_i F_ia.

    Returns
    -------
    ndarray of bool, shape (n_structures, 6)
        All of crystals; of slabs those whose two axes lie in the plane, three where it is one of xy, yz or
        zx; none of wires and molecules.
    """
    if volumes(structures) is None:
        return np.zeros((len(structures), len(VOIGT)), bool)
    if all(structures.pbc):
        return np.ones((len(structures), len(VOIGT)), bool)
    within = np.abs(_normals(structures)) < UPRIGHT
    return np.stack([within[:, a] & within[:, b] for a, b in VOIGT], axis=1)


def known_components(structures: StructureSet) -> tuple[NDArray[np.bool_], FloatArray | None]:
    """Return the components of a virial to train on, and how to get them from the six Cartesian ones.

    Those of `periodic_components`; slabs whose plane is not one of xy, yz or zx are looked at in axes of
    their own, the first along their first lattice vector, the third normal to them, so that three components
    lie in the plane of any slab.

    Returns
    -------
    known : ndarray of bool, shape (n_structures, 6)
    turns : ndarray of shape (n_structures, 6, 6), dimensionless, or None
        ``turns @ six`` are the six components in the axes of each; None where all axes are Cartesian.
    """
    known = periodic_components(structures)
    if volumes(structures) is None or all(structures.pbc):
        return known, None
    tilted = known.sum(axis=1) < 3
    if not tilted.any():
        return known, None
    assert structures.cells is not None  # it has volumes
    known[tilted] = [a < 2 and b < 2 for a, b in VOIGT]
    first = structures.cells[tilted, int(np.argmax(structures.pbc))]
    first = first / np.linalg.norm(first, axis=1, keepdims=True)
    normals = _normals(structures)[tilted]
    axes = np.broadcast_to(np.eye(3), (len(structures), 3, 3)).copy()
    axes[tilted] = np.stack([first, np.cross(normals, first), normals], axis=1)
    return known, _turned_components(axes)


def _normals(structures: StructureSet) -> FloatArray:
    """Return the unit vectors normal to the planes of slabs, shape (n_structures, 3)."""
    assert structures.cells is not None  # a slab has them
    first, second = structures.cells[:, np.asarray(structures.pbc, bool)].swapaxes(0, 1)
    normal: FloatArray = np.cross(first, second)
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _turned_components(axes: FloatArray) -> FloatArray:
    """Return the matrices (n, 6, 6) from the components of symmetric tensors S to those of A S Aᵀ.

    Parameters
    ----------
    axes : ndarray of shape (n, 3, 3), dimensionless
        Orthonormal rows A.
    """
    unit = np.zeros((len(VOIGT), 3, 3))
    unit[range(len(VOIGT)), FIRST, SECOND] = unit[range(len(VOIGT)), SECOND, FIRST] = 1.0
    turned = axes[:, None] @ unit @ axes[:, None].swapaxes(-1, -2)
    return np.ascontiguousarray(six_components(turned).swapaxes(1, 2))


def strain_gradients(neighbours: NeighbourList, slopes: FloatArray) -> FloatArray:
    """Return dE/dε of structures, symmetric because a rotation changes nothing.

    Parameters
    ----------
    slopes : ndarray of shape (m, n_edges, 3), eV/Å
        dE/dr_e, of `edge_gradients`.

    Returns
    -------
    ndarray of shape (m, n_structures, 3, 3), eV
    """
    found = np.empty((len(slopes), neighbours.n_structures, 3, 3))
    for s, (first, last) in enumerate(pairwise(neighbours.offsets[:: neighbours.n_atoms])):
        found[:, s] = slopes[:, first:last].swapaxes(1, 2) @ neighbours.vectors[first:last]
    return 0.5 * (found + found.swapaxes(-1, -2))


def position_gradients(neighbours: NeighbourList, slopes: FloatArray) -> FloatArray:
    """Return dE/dR, shape (m, n_atoms_total, 3), of the same slopes: every edge has two ends."""
    counts = np.diff(neighbours.offsets)
    centre = np.repeat(np.arange(len(counts)), counts)
    found = np.empty((len(slopes), len(counts), 3))
    for out, part in zip(found, slopes, strict=True):
        for axis in range(3):  # by far faster than `np.add.at`
            of_end, of_centre = (
                np.bincount(at, part[:, axis], len(counts)) for at in (neighbours.index, centre)
            )
            out[:, axis] = of_end - of_centre
    return found


def strain_jacobians(basis: ChebyshevBasis, species_index: IntArray, neighbours: NeighbourList) -> FloatArray:
    """Return the changes of the descriptors with the six components of a symmetric strain.

    Returns
    -------
    ndarray of shape (n_atoms_total, 6, n_features), dimensionless
        In the order of `VOIGT`, each for ε_ab = ε_ba = 1/2 off the diagonal: their product with dE/dG, summed
        over the atoms of a structure, gives the components of `strain_gradients`.
    """
    return along_strains(neighbours, edge_jacobians(basis, species_index, neighbours))


def along_strains(neighbours: NeighbourList, edges: FloatArray) -> FloatArray:
    """Return the changes of quantities of atoms, of shape (n_atoms_total, 6, n), see `strain_jacobians`.

    Parameters
    ----------
    edges : ndarray of shape (n_edges, 3, n)
        Derivatives of those of the centre of each edge by its vector.
    """
    r, counts = neighbours.vectors, np.diff(neighbours.offsets)
    centres = np.flatnonzero(counts)
    out = np.zeros((len(counts), len(VOIGT), edges.shape[2]))
    for k, (a, b) in enumerate(VOIGT):
        each = 0.5 * (edges[:, a] * r[:, b, None] + edges[:, b] * r[:, a, None])
        if len(centres):
            out[centres, k] = np.add.reduceat(each, neighbours.offsets[centres], axis=0)
    return out
