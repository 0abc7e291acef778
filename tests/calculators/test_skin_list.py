"""The kept neighbour list is complete whatever happens, and is kept as long as it can be."""

import numpy as np
import pytest

from aenet_gpr_cli.calculators.skin_list import SkinList
from aenet_gpr_cli.descriptors.interface.neighbour_list import neighbour_list
from aenet_gpr_cli.errors import ConfigError, InputError

CUTOFF = 3.0
CELL = np.array([[4.1, 0.3, 0.0], [-0.8, 4.4, 0.2], [0.0, 0.0, 12.0]])
SLAB, FREE = (True, True, False), (False, False, False)


def edges(found, cutoff=CUTOFF):
    """Edges within the cutoff as a sorted array (atom, neighbour, vector)."""
    centres = np.repeat(np.arange(len(found.offsets) - 1), np.diff(found.offsets))
    table = np.column_stack([centres, found.index, found.vectors])[
        np.linalg.norm(found.vectors, axis=1) < cutoff
    ]
    return table[np.lexsort(table.round(6).T[::-1])]


@pytest.mark.parametrize(("cell", "pbc"), [(None, FREE), (CELL, SLAB)])
def test_a_walk_sees_all_neighbours(cell, pbc):
    rng = np.random.default_rng(0)
    positions = rng.uniform(0, 5, (12, 3))
    kept = SkinList(CUTOFF, 0.6)
    for _ in range(80):
        positions = positions + 0.04 * rng.normal(size=positions.shape)
        fresh = neighbour_list(positions[None], None if cell is None else cell[None], pbc, CUTOFF)
        np.testing.assert_allclose(edges(kept(positions, cell, pbc)), edges(fresh), atol=1e-12)
    assert 3 < kept.n_builds < 40


def test_small_moves_keep_the_list_and_large_ones_do_not():
    positions = np.random.default_rng(1).uniform(0, 5, (6, 3))
    kept = SkinList(CUTOFF, 0.5)
    kept(positions, None, FREE)
    moved = positions.copy()
    moved[2, 0] += 0.249
    kept(moved, None, FREE)
    assert kept.n_builds == 1
    moved[2, 0] += 0.002
    kept(moved, None, FREE)
    assert kept.n_builds == 2


def test_no_skin_builds_every_list():
    kept = SkinList(CUTOFF, 0.0)
    positions = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    for step in range(3):
        kept(positions + 1e-9 * step * positions, None, FREE)
    assert kept.n_builds == 3


def deformations(rng, size, steps):
    """Cells that walk at random."""
    cell = CELL.copy()
    for _ in range(steps):
        cell = cell @ (np.eye(3) + size * rng.normal(size=(3, 3)))
        yield cell


@pytest.mark.parametrize("size", [0.002, 0.02])
@pytest.mark.parametrize("pbc", [SLAB, (True, True, True)])
def test_a_walk_of_the_cell_sees_all_neighbours(pbc, size):
    """As in dynamics at constant pressure: the atoms go with the cell, and move on their own."""
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 1, (12, 3))
    kept = SkinList(CUTOFF, 0.6)
    for cell in deformations(rng, size, 60):
        places = places + 0.003 * rng.normal(size=places.shape)
        positions = places @ cell
        fresh = neighbour_list(positions[None], cell[None], pbc, CUTOFF)
        np.testing.assert_allclose(edges(kept(positions, cell, pbc)), edges(fresh), atol=1e-11)
    assert kept.n_builds < (20 if size < 0.01 else 60)


def test_a_cell_that_shrinks_uses_the_skin_up():
    """What was just beyond cutoff + skin comes within the cutoff."""
    kept, cell = SkinList(CUTOFF, 0.5), 10.0 * np.eye(3)
    positions = np.array([[0.0, 0.0, 0.0], [3.51, 0.0, 0.0]])
    for scale, builds in ((1.0, 1), (0.9, 1), (0.85, 2)):
        found = kept(scale * positions, scale * cell, SLAB)
        assert kept.n_builds == builds
        assert len(edges(found)) == (2 if scale == 0.85 else 0)


def test_a_cell_without_a_third_vector_is_taken_as_new():
    kept, cell = SkinList(CUTOFF, 0.5), np.diag([4.0, 4.0, 0.0])
    positions = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    for number in (1, 2):
        scaled = cell * (1.0 + 1e-3 * number)
        fresh = neighbour_list(positions[None], scaled[None], SLAB, CUTOFF)
        np.testing.assert_allclose(edges(kept(positions, scaled, SLAB)), edges(fresh), atol=1e-12)
        assert kept.n_builds == number


def test_another_box_means_another_list():
    positions = np.random.default_rng(2).uniform(0, 4, (6, 3))
    kept = SkinList(CUTOFF, 1.0)
    cells = [(CELL, SLAB), (CELL * 0.5, SLAB), (CELL * 0.5, (True, True, True)), (None, FREE)]
    for number, (cell, pbc) in enumerate(cells, 1):
        found = kept(positions, cell, pbc)
        fresh = neighbour_list(positions[None], None if cell is None else cell[None], pbc, CUTOFF)
        np.testing.assert_allclose(edges(found), edges(fresh), atol=1e-12)
        assert kept.n_builds == number


def test_a_cell_changed_in_place_is_noticed():
    positions, cell = np.random.default_rng(2).uniform(0, 4, (6, 3)), CELL.copy()
    kept = SkinList(CUTOFF, 1.0)
    kept(positions, cell, SLAB)
    cell *= 1.01
    fresh = neighbour_list(positions[None], cell[None], SLAB, CUTOFF)
    np.testing.assert_allclose(edges(kept(positions, cell, SLAB)), edges(fresh), atol=1e-12)


def test_coordinates_that_are_no_numbers_are_refused():
    kept = SkinList(CUTOFF, 0.5)
    kept(np.zeros((1, 3)), None, FREE)
    with pytest.raises(InputError, match="finite"):
        kept(np.full((1, 3), np.nan), None, FREE)


def test_a_negative_skin_is_refused():
    with pytest.raises(ConfigError, match="skin"):
        SkinList(CUTOFF, -0.1)
