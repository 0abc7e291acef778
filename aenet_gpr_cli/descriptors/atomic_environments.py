"""Descriptors of atomic environments, whichever they are: values and derivatives by the edges.

Owns only the choice between the two; both take species as positions in their basis, and a neighbour list.
"""

from __future__ import annotations

from aenet_gpr_cli.descriptors.chebyshev import chebyshev_basis as chebyshev
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.descriptors.chebyshev.strain import position_gradients
from aenet_gpr_cli.descriptors.interface.neighbour_list import NeighbourList
from aenet_gpr_cli.descriptors.soap import soap_environments as soap
from aenet_gpr_cli.descriptors.soap.soap_environments import SoapEnvironments
from aenet_gpr_cli.structures import FloatArray, IntArray

EnvironmentBasis = ChebyshevBasis | SoapEnvironments


def values(basis: EnvironmentBasis, kinds: IntArray, neighbours: NeighbourList) -> FloatArray:
    """Return the descriptors of all atoms, shape (n_atoms_total, n_features)."""
    if isinstance(basis, SoapEnvironments):
        return soap.values(basis, kinds, neighbours)
    return chebyshev.values(basis, kinds, neighbours)


def edge_jacobians(basis: EnvironmentBasis, kinds: IntArray, neighbours: NeighbourList) -> FloatArray:
    """Return their derivatives by the vectors of the edges, shape (n_edges, 3, n_features), 1/Å."""
    if isinstance(basis, SoapEnvironments):
        return soap.edge_jacobians(basis, kinds, neighbours)
    return chebyshev.edge_jacobians(basis, kinds, neighbours)


def edge_gradients(
    basis: EnvironmentBasis, kinds: IntArray, neighbours: NeighbourList, cotangents: FloatArray
) -> FloatArray:
    """Return the gradients of Σ cotangent·x by the vectors of the edges, shape (m, n_edges, 3).

    Parameters
    ----------
    cotangents : ndarray of shape (m, n_atoms_total, n_features)
    """
    if isinstance(basis, SoapEnvironments):
        return soap.edge_gradients(basis, kinds, neighbours, cotangents)
    return chebyshev.edge_gradients(basis, kinds, neighbours, cotangents)


def atom_gradients(
    basis: EnvironmentBasis, kinds: IntArray, neighbours: NeighbourList, cotangents: FloatArray
) -> FloatArray:
    """Return the gradients of Σ cotangent·x by the positions, shape (m, n_atoms_total, 3)."""
    if isinstance(basis, SoapEnvironments):
        return position_gradients(neighbours, soap.edge_gradients(basis, kinds, neighbours, cotangents))
    return chebyshev.vjp(basis, kinds, neighbours, cotangents)
