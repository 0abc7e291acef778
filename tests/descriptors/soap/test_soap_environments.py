"""SOAP of atomic environments: the spectrum of dscribe, slopes along edges, invariances, smooth cutoff."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from dscribe.descriptors import SOAP

from aenet_gpr_cli.descriptors.interface.neighbour_list import neighbour_list
from aenet_gpr_cli.descriptors.soap import soap_environments as soap
from aenet_gpr_cli.descriptors.soap.soap_environments import SoapEnvironments

BASIS = SoapEnvironments(("Au", "Cu"), cutoff=4.0, n_max=3, l_max=3, sigma=0.5)


@pytest.fixture(scope="module")
def alloy() -> Atoms:
    atoms = bulk("Cu", "fcc", a=3.7, cubic=True)
    atoms.symbols[0] = "Au"
    atoms.rattle(0.15, seed=3)
    return atoms


@pytest.fixture(scope="module", params=["spectrum", "directions"])
def basis(request, alloy) -> SoapEnvironments:
    if request.param == "spectrum":
        return BASIS
    rng = np.random.default_rng(0)
    many = []
    for _ in range(6):
        atoms = alloy.copy()
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
        many.append(values_of(BASIS, atoms))
    return replace(BASIS, directions=soap.principal_directions(np.concatenate(many)))


def edges_of(basis, atoms):
    cells = atoms.cell.array[None] if atoms.pbc.any() else None
    found = neighbour_list(atoms.positions[None], cells, tuple(atoms.pbc), basis.cutoff)
    return basis.species_index(atoms.get_chemical_symbols()), found


def values_of(basis, atoms):
    return soap.values(basis, *edges_of(basis, atoms))


def test_the_spectrum_is_that_of_dscribe_where_no_neighbour_fades_out():
    atoms = Atoms("CuAuCu", [[0, 0, 0], [1.9, 0.3, 0], [0.4, 2.1, 0.6]])
    wide = replace(BASIS, cutoff=6.0)
    theirs = SOAP(species=["Cu", "Au"], r_cut=6.0, n_max=3, l_max=3, sigma=0.5).create(atoms)
    ours = values_of(wide, atoms)  # in the order of its own species: compare what does not depend on it
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-9)


def test_jacobians_are_the_slopes_along_each_edge(basis, alloy):
    kinds, found = edges_of(basis, alloy)
    jacobians, step = soap.edge_jacobians(basis, kinds, found), 1e-5
    centres = np.repeat(np.arange(len(kinds)), np.diff(found.offsets))
    for edge in (0, 7, len(centres) - 1):
        for axis in range(3):
            ends = []
            for sign in (1, -1):
                vectors = found.vectors.copy()
                vectors[edge, axis] += sign * step
                ends.append(soap.values(basis, kinds, replace(found, vectors=vectors))[centres[edge]])
            slope = (ends[0] - ends[1]) / (2 * step)
            np.testing.assert_allclose(jacobians[edge, axis], slope, rtol=1e-6, atol=1e-8)


def test_gradients_are_products_with_the_jacobians(basis, alloy):
    kinds, found = edges_of(basis, alloy)
    weights = np.random.default_rng(1).normal(size=(2, len(kinds), basis.n_features))
    centres = np.repeat(np.arange(len(kinds)), np.diff(found.offsets))
    expected = np.einsum("eaf,mef->mea", soap.edge_jacobians(basis, kinds, found), weights[:, centres])
    np.testing.assert_allclose(soap.edge_gradients(basis, kinds, found, weights), expected, atol=1e-12)


def test_rotation_order_and_choice_of_cell_do_not_matter(basis, alloy):
    expected = values_of(basis, alloy)
    turned = alloy.copy()
    turned.rotate(37, (1, 2, 3), rotate_cell=True)
    np.testing.assert_allclose(values_of(basis, turned), expected, atol=1e-12)
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(values_of(basis, alloy[order]), expected[order], atol=1e-12)
    np.testing.assert_allclose(values_of(basis, alloy * (2, 1, 1))[4:], expected, atol=1e-12)


def test_neighbours_fade_out_smoothly():
    pair = Atoms("CuAu", [[0, 0, 0], [BASIS.cutoff - 1e-4, 0, 0]])
    alone = Atoms("Cu")
    near = values_of(BASIS, pair)[0]
    assert np.abs(near - values_of(BASIS, alone)[0]).max() < 1e-6
    assert np.abs(soap.edge_jacobians(BASIS, *edges_of(BASIS, pair))).max() < 1e-3


def test_directions_keep_the_distances_of_the_data(alloy):
    rng, many = np.random.default_rng(0), []
    for _ in range(6):
        atoms = alloy.copy()
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
        many.append(values_of(BASIS, atoms))
    long = np.concatenate(many)
    short = long @ soap.principal_directions(long)
    assert short.shape[1] < long.shape[1]
    for x in (long, short):
        x -= x.mean(axis=0)
    np.testing.assert_allclose(short @ short.T, long @ long.T, atol=1e-9 * np.trace(long @ long.T))


def test_derivatives_are_those_of_all_edges_at_once_however_few_are_held(basis, alloy, monkeypatch):
    """One atom has more edges than fit, some have none, some neighbours of one species only."""
    apart = alloy.copy()
    apart.pbc = False
    apart.positions[0] += 50.0
    for atoms in (alloy, apart):
        kinds, found = edges_of(basis, atoms)
        cotangents = np.random.default_rng(1).normal(size=(2, len(kinds), basis.n_features))
        once = soap.edge_jacobians(basis, kinds, found), soap.edge_gradients(basis, kinds, found, cotangents)
        with monkeypatch.context() as patch:
            patch.setattr(soap, "EDGES_AT_A_TIME", 3)
            np.testing.assert_allclose(soap.edge_jacobians(basis, kinds, found), once[0], atol=1e-13)
            parts = soap.edge_gradients(basis, kinds, found, cotangents)
        np.testing.assert_allclose(parts, once[1], atol=1e-12)


def test_atoms_without_neighbours_have_a_descriptor_and_no_slopes(basis):
    kinds, found = edges_of(basis, Atoms("CuAu", [[0, 0, 0], [30.0, 0, 0]]))
    assert np.isfinite(soap.values(basis, kinds, found)).all()
    assert soap.edge_jacobians(basis, kinds, found).shape == (0, 3, basis.n_features)
    assert soap.edge_gradients(basis, kinds, found, np.ones((1, 2, basis.n_features))).shape == (1, 0, 3)


def test_slopes_of_few_edges_are_held_at_a_time(alloy):
    """Gradients took kilobytes for each edge of all atoms."""
    many = alloy * (5, 5, 5)
    kinds, found = edges_of(BASIS, many)
    cotangents = np.ones((1, len(kinds), BASIS.n_features))
    tracemalloc.start()
    soap.edge_gradients(BASIS, kinds, found, cotangents)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    slopes = 8 * 3 * BASIS.n_max * (BASIS.l_max + 1) ** 2
    assert len(found.index) > 5 * soap.EDGES_AT_A_TIME
    assert peak < 0.5 * slopes * len(found.index)
