"""The closest atoms of structures, and warnings of close contacts."""

from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.subsystems.contacts import close_contacts, closest_pairs
from tests.subsystems.test_geometry import CELLS, periodic


@pytest.mark.parametrize(
    "cell",
    [
        np.diag([5.0, 6.0, 7.0]),
        np.array([[5.0, 0, 0], [2.5, 4.33, 0], [0, 0, 7.0]]),  # hexagonal: rounding alone is not enough
        np.array([[0, 3.0, 3.0], [3.0, 0, 3.0], [3.0, 3.0, 0]]),
    ],
)
def test_periodic_distances_equal_those_over_many_images(cell):
    rng = np.random.default_rng(5)
    fractional = rng.uniform(-1, 2, (40, 3, 3))  # atoms outside the cell as well
    positions = fractional @ cell
    structures = StructureSet(("Li",) * 3, positions, np.tile(cell, (40, 1, 1)), (True, True, True))
    images = (np.array(list(np.ndindex(9, 9, 9))) - 4) @ cell
    exact = [
        min(np.linalg.norm(r[j] - r[i] + images, axis=1).min() for i, j in ((0, 1), (0, 2), (1, 2)))
        for r in positions
    ]
    np.testing.assert_allclose(closest_pairs(structures)[0], exact, rtol=1e-12)


def test_images_count_only_along_periodic_directions():
    positions = np.array([[[0.0, 0, 0], [4.5, 0, 4.0]]])
    cells = 5 * np.eye(3)[None]
    for height in (5.0, 0.0):  # a slab may come without a third vector
        cells[0, 2, 2] = height
        slab = StructureSet(("H", "H"), positions, cells, (True, True, False))
        assert closest_pairs(slab)[0][0] == pytest.approx(np.hypot(0.5, 4.0))


def test_a_single_atom_is_never_too_close():
    assert close_contacts(StructureSet(("H",), np.zeros((3, 1, 3))), 1.0) == []
    assert np.isinf(closest_pairs(StructureSet(("Li",), np.zeros((2, 1, 3))))[0]).all()


def test_cells_may_differ_between_structures():
    positions = np.zeros((2, 2, 3))
    positions[:, 1, 0] = 4.0
    cells = np.array([5.0 * np.eye(3), 10.0 * np.eye(3)])
    structures = StructureSet(("H", "H"), positions, cells, (True, True, True))
    np.testing.assert_allclose(closest_pairs(structures)[0], [1.0, 4.0])


def test_an_empty_set_has_no_distances():
    assert len(closest_pairs(StructureSet(("H", "H"), np.zeros((0, 2, 3))))[0]) == 0


def test_close_contacts_are_named_once_per_structure() -> None:
    positions = np.array(
        [[[0, 0, 0], [0, 0, 1.0], [0, 0, 5.9]], [[0, 0, 0], [0, 0, 2.0], [0, 0, 2.1]]], float
    )
    isolated = StructureSet(("H",) * 3, positions)
    ((structure, one, other, distance),) = close_contacts(isolated, 0.5)
    assert (structure, one, other) == (1, 1, 2)
    assert distance == pytest.approx(0.1)
    cells = np.repeat(6.0 * np.eye(3)[None], 2, axis=0)
    wrapped = close_contacts(StructureSet(("H",) * 3, positions, cells, (True, True, True)), 0.5)
    assert [contact[:3] for contact in wrapped] == [(0, 0, 2), (1, 1, 2)]


@pytest.mark.parametrize("threshold", [1.0, 4.0])
def test_contacts_are_those_of_the_nearest_images(threshold: float) -> None:
    cell = CELLS["skewed"]
    structures = periodic(cell, n=30, atoms=4, jitter=5.0)
    images = np.array(np.meshgrid(*[range(-4, 5)] * 3)).reshape(3, -1).T @ cell
    one, other = np.triu_indices(4, 1)
    difference = structures.positions[:, other] - structures.positions[:, one]
    # Whole lattice vectors first, so that the images around are enough.
    difference -= np.rint(difference @ np.linalg.inv(cell)) @ cell
    shortest = np.linalg.norm(difference[:, :, None] + images, axis=3).min(axis=(1, 2))
    found = {contact[0]: contact[3] for contact in close_contacts(structures, threshold)}
    assert sorted(found) == np.flatnonzero(shortest < threshold).tolist()
    np.testing.assert_allclose(list(found.values()), shortest[list(found)], rtol=0, atol=1e-12)
