"""The nearest periodic image: that of a search over many images, for cells of any shape."""

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.lattice import Lattice, by_cell, widest_gaps
from aenet_gpr_cli.structures import StructureSet

ORDINARY = {
    "cubic": 5.0 * np.eye(3),
    "hexagonal": np.array([[3.0, 0, 0], [-1.5, 1.5 * 3**0.5, 0], [0, 0, 5.0]]),
    "primitive fcc": 3.0 * (1.0 - np.eye(3)),
    "monoclinic": np.array([[6.0, 0, 0], [0, 7.0, 0], [-2.0, 0, 8.0]]),
}
SHAPES = st.tuples(
    st.integers(0, 2**32 - 1), st.integers(-20, 20), st.integers(-20, 20), st.integers(-20, 20)
)
PERIODIC = [p for p in product((False, True), repeat=3) if any(p)]


def skewed(seed, *multiples):
    """A cell of decent shape, and far longer vectors of the same lattice."""
    compact = np.random.default_rng(seed).normal(size=(3, 3)) + 3.0 * np.eye(3)
    a, b, c = multiples
    mix = np.array([[1, a, b], [0, 1, c], [0, 0, 1]])[:, np.random.default_rng(seed).permutation(3)]
    return compact, mix @ compact


@settings(max_examples=60, deadline=None)
@given(SHAPES)
@example((2092, 3, -7, 5))  # flat enough that images many cells away are nearest
def test_no_image_is_nearer_however_skewed_the_cell(shape):
    compact, cell = skewed(*shape)
    vectors = np.random.default_rng(1).normal(size=(40, 3)) * 10.0
    # the rounded image is within half the sum of the edges, so this many more cells hold every nearer one
    inverse = np.linalg.inv(compact)
    farthest = 0.5 * np.linalg.norm(compact, axis=1).sum()
    reach = np.floor(0.5 + farthest * np.linalg.norm(inverse, axis=0)).astype(int)
    assume(np.prod(2 * reach + 1) < 20_000)
    rest = vectors - np.round(vectors @ inverse) @ compact
    images = np.array(list(product(*(range(-n, n + 1) for n in reach)))) @ compact
    shortest = np.linalg.norm(rest[:, None] + images, axis=2).min(axis=1)
    nearest = Lattice(cell, (True, True, True)).nearest(vectors)
    np.testing.assert_allclose(np.linalg.norm(nearest, axis=1), shortest, rtol=1e-9)
    turns = (nearest - vectors) @ np.linalg.inv(compact)
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-9)  # whole lattice vectors


@pytest.mark.parametrize("pbc", PERIODIC)
def test_only_periodic_directions_have_images(pbc):
    cell = np.array([[4.0, 0, 0], [7.0, 5.0, 0], [-9.0, 2.0, 6.0]])
    vectors = np.random.default_rng(2).normal(size=(100, 3)) * 6.0
    images = np.array(list(product(*(range(-12, 13) if p else (0,) for p in pbc)))) @ cell
    shortest = np.linalg.norm(vectors[:, None] + images, axis=2).min(axis=1)
    np.testing.assert_allclose(
        np.linalg.norm(Lattice(cell, pbc).nearest(vectors), axis=1), shortest, rtol=1e-9
    )


@pytest.mark.parametrize("kind", list(ORDINARY))
def test_ordinary_cells_are_taken_as_they_are(kind):
    lattice = Lattice(ORDINARY[kind], (True, True, True))
    np.testing.assert_array_equal(lattice.rows, ORDINARY[kind])


def test_few_images_are_looked_at_in_a_skewed_cell():
    for seed in range(20):
        _, cell = skewed(seed, 17, -13, 19)
        assert len(Lattice(cell, (True, True, True)).corrections) < 27


def test_the_height_is_that_of_the_reduced_cell():
    assert Lattice(np.array([[2.0, 0, 0], [200.0, 3.0, 0], [0, 0, 4.0]]), (True, True, True)).height == 2.0
    assert Lattice(None, (False, False, False)).height == np.inf


def test_structures_come_by_cell():
    cells = np.array([np.eye(3), 2 * np.eye(3), np.eye(3)])
    structures = StructureSet(("H",), np.zeros((3, 1, 3)), cells, (True, True, True))
    found = by_cell(structures)
    assert [index.tolist() for _, index in found] == [[0, 2], [1]]
    assert [lattice.rows[0, 0] for lattice, _ in found] == [1.0, 2.0]


def test_flat_and_missing_cells_are_refused():
    with pytest.raises(InputError, match="expected a cell"):
        Lattice(None, (True, False, False))
    with pytest.raises(InputError, match="independent lattice vectors"):
        Lattice(np.ones((3, 3)), (True, True, False))


@pytest.mark.parametrize("shape", ORDINARY)
def test_gaps_are_what_a_slab_leaves_of_its_cell_wherever_it_lies(shape):
    cell = ORDINARY[shape]
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    np.testing.assert_allclose(widest_gaps(np.array([[1.0, -7.0, 30.0]]), cell), heights)
    for axis, shift in product(range(3), (-0.8, 0.0, 0.9)):
        places = np.random.default_rng(axis).random((400, 3))
        places[:, axis] *= 0.25
        places[:2, axis] = 0.0, 0.25
        gaps = widest_gaps((places + shift) @ cell, cell)
        assert gaps[axis] == pytest.approx(0.75 * heights[axis])
        assert (np.delete(gaps, axis) < 0.1 * np.delete(heights, axis)).all()
