"""Neighbour lists: complete, with all images, and independent of how the input is written."""

from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.interface import neighbour_list as neighbors
from aenet_gpr_cli.descriptors.interface.neighbour_list import NeighbourList, neighbour_list
from aenet_gpr_cli.errors import InputError

PERIODIC = (True, True, True)
ISOLATED = (False, False, False)
SKEWED = np.array([[3.1, 0.2, 0.0], [-1.2, 2.7, 0.3], [0.4, -0.9, 4.4]])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def edges(found: NeighbourList) -> list[tuple]:
    """All edges, sortable; vectors rounded far above rounding errors and far below any distance."""
    centre = np.repeat(np.arange(len(found.offsets) - 1), np.diff(found.offsets))
    rounded = np.round(found.vectors, 8) + 0.0
    return sorted((int(i), int(j), *v) for i, j, v in zip(centre, found.index, rounded.tolist()))


def by_definition(positions, cell, pbc, cutoff, reach=8) -> list[tuple]:
    """Every pair with every image up to `reach` cells away."""
    shifts = [np.arange(-reach, reach + 1) if p else np.zeros(1, int) for p in pbc]
    grid = np.stack(np.meshgrid(*shifts, indexing="ij"), -1).reshape(-1, 3)
    out = []
    for i, a in enumerate(positions):
        for j, b in enumerate(positions):
            vectors = b - a + grid @ cell
            length = np.linalg.norm(vectors, axis=1)
            near = vectors[(length <= cutoff) & (length > 1e-12)]
            out += [(i, j, *v) for v in (np.round(near, 8) + 0.0).tolist()]
    return sorted(out)


@pytest.mark.parametrize("pbc", [PERIODIC, (True, True, False), (False, True, False), ISOLATED])
@pytest.mark.parametrize("method", ["all pairs", "bins"])
def test_finds_every_image_within_the_cutoff(rng, pbc, method, monkeypatch):
    if method == "bins":
        monkeypatch.setattr(neighbors, "ALL_PAIRS_LIMIT", 0)
    # Far outside the cell, to see that nothing relies on wrapped positions.
    positions = rng.uniform(-6, 6, size=(5, 3))
    found = neighbour_list(positions[None], SKEWED[None], pbc, 6.5)
    expected = by_definition(positions, SKEWED, pbc, 6.5)
    assert len(expected) >= 6
    assert edges(found) == expected


def test_one_atom_sees_its_own_images():
    found = neighbour_list(np.zeros((1, 1, 3)), 2.0 * np.eye(3)[None], PERIODIC, 2.5)
    assert sorted(found.vectors.tolist()) == sorted((2.0 * np.vstack([np.eye(3), -np.eye(3)])).tolist())
    assert found.index.tolist() == [0] * 6


def test_structures_are_independent_blocks(rng):
    positions = rng.uniform(0, 3, size=(3, 4, 3))
    cells = SKEWED + rng.normal(scale=0.1, size=(3, 3, 3))
    block = neighbour_list(positions, cells, PERIODIC, 4.0)
    assert block.n_structures == 3
    for s in range(3):
        one = neighbour_list(positions[s : s + 1], cells[s : s + 1], PERIODIC, 4.0)
        rows = slice(block.offsets[4 * s], block.offsets[4 * (s + 1)])
        np.testing.assert_array_equal(block.index[rows], one.index + 4 * s)
        np.testing.assert_array_equal(block.vectors[rows], one.vectors)


@pytest.mark.parametrize("pbc", [PERIODIC, (True, False, True), ISOLATED])
def test_bins_and_all_pairs_agree_on_a_large_structure(rng, pbc, monkeypatch):
    positions, cell = rng.uniform(-20, 20, size=(1, 300, 3)), 4.0 * SKEWED[None]
    expected = neighbour_list(positions, cell, pbc, 3.5)
    monkeypatch.setattr(neighbors, "ALL_PAIRS_LIMIT", 0)
    found = neighbour_list(positions, cell, pbc, 3.5)
    assert len(expected.index) > 200
    assert found.offsets.tolist() == expected.offsets.tolist()
    np.testing.assert_allclose(edges(found), edges(expected), atol=2e-8)  # the rounding of `edges`


def test_moved_edges_are_those_of_the_moved_atoms(rng):
    positions, step = rng.uniform(0, 3, size=(2, 4, 3)), rng.normal(scale=0.01, size=(2, 4, 3))
    cells = np.stack([SKEWED, SKEWED])
    moved = neighbour_list(positions, cells, PERIODIC, 5.0).moved(step)
    fresh = neighbour_list(positions + step, cells, PERIODIC, 4.9)
    within = [edge for edge in edges(moved) if np.linalg.norm(edge[2:]) <= 4.9]
    np.testing.assert_allclose(within, edges(fresh), atol=2e-8)  # the rounding of `edges`


def test_isolated_atom_has_no_neighbours():
    found = neighbour_list(np.array([[[0, 0, 0], [9.0, 0, 0]]]), None, ISOLATED, 5.0)
    assert found.offsets.tolist() == [0, 0, 0]
    assert found.vectors.shape == (0, 3)


def test_empty_block():
    found = neighbour_list(np.zeros((0, 4, 3)), None, ISOLATED, 5.0)
    assert found.n_structures == 0


@pytest.mark.parametrize(
    ("positions", "cells", "message"),
    [
        (np.full((1, 2, 3), np.nan), SKEWED[None], "finite coordinates"),
        (np.zeros((1, 1, 3)), None, "finite lattice vectors"),
        (np.zeros((1, 1, 3)), np.ones((1, 3, 3)), "independent"),
    ],
)
def test_bad_input_is_refused(positions, cells, message):
    with pytest.raises(InputError, match=message):
        neighbour_list(positions, cells, PERIODIC, 3.0)


@pytest.mark.parametrize("n_atoms", [40, 400], ids=["all pairs", "bins"])
def test_agrees_with_an_independent_program(rng, n_atoms):
    """vesin, a library of neighbour lists, finds the same edges in a skewed cell."""
    vesin = pytest.importorskip("vesin")
    cell = SKEWED * (n_atoms / 10) ** (1 / 3)
    positions = rng.uniform(size=(n_atoms, 3)) @ cell
    found = neighbour_list(positions[None], cell[None], PERIODIC, 4.0)
    i, j, vectors = vesin.NeighborList(cutoff=4.0, full_list=True).compute(positions, cell, True, "ijD")
    theirs = sorted((int(a), int(b), *v) for a, b, v in zip(i, j, (np.round(vectors, 8) + 0.0).tolist()))
    assert len(theirs) > 20 * n_atoms
    assert edges(found) == theirs


def test_closer_edges_are_found_by_the_species_of_both_ends(rng):
    positions, kinds = rng.uniform(0, 5, (2, 9, 3)), np.tile([0, 1, 2], 6)
    found = neighbour_list(positions, np.tile(5 * np.eye(3), (2, 1, 1)), PERIODIC, 4.0)
    distances = np.array([[2.5, 1.0, 3.1], [1.0, 0.0, 2.0], [3.1, 2.0, 1.7]])
    centre = np.repeat(np.arange(18), np.diff(found.offsets))
    limits = distances[kinds[centre], kinds[found.index]]
    expected = np.flatnonzero(np.linalg.norm(found.vectors, axis=1) < limits)
    assert 0 < len(expected) < len(found.index) / 2
    np.testing.assert_array_equal(found.closer_than(kinds, distances), expected)
    assert not len(found.closer_than(kinds, 0.1 * distances))
