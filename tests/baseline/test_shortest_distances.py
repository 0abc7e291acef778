"""Distances that no two training atoms come below: minima over all structures; how nearer ones count."""

import numpy as np
import pytest
from ase.build import bulk

from aenet_gpr_cli.baseline.shortest_distances import (
    NEARER,
    crowding,
    nearest_in_training,
    shortest_distances,
    worst_pair,
)
from aenet_gpr_cli.descriptors.interface.neighbour_list import neighbour_list
from aenet_gpr_cli.structures import StructureSet

SPECIES = ("Cu", "O")


def chain(*steps, species):
    """Atoms on a line, so far apart, in a large periodic box."""
    positions = np.zeros((1, len(species), 3))
    positions[0, 1:, 0] = np.cumsum(steps)
    return StructureSet(species, positions, 40.0 * np.eye(3)[None], (True, True, True))


def test_the_shortest_of_each_pair_of_elements_in_any_structure():
    sets = [chain(2.5, 1.8, species=("Cu", "Cu", "O")), chain(2.4, 1.9, species=("Cu", "Cu", "O"))]
    found = shortest_distances(SPECIES, sets, 3.0)
    np.testing.assert_allclose(found, [[2.4, 1.8], [1.8, np.inf]], atol=1e-12)
    # oxygen never met: nothing is known below the distance that was looked at
    np.testing.assert_allclose(nearest_in_training(SPECIES, sets, 6.0), [[2.4, 1.8], [1.8, 3.0]])
    np.testing.assert_allclose(nearest_in_training(SPECIES, sets, 2.0), [[2.0, 1.8], [1.8, 2.0]])


def test_of_large_atoms_distances_beyond_three_angstrom_are_known():
    caesium = bulk("Cs", "bcc", a=6.1, cubic=True)
    one = StructureSet(("Cs", "Cs"), caesium.positions[None], caesium.cell.array[None], (True, True, True))
    found = nearest_in_training(("Cs",), [one], 8.0)
    assert found[0, 0] == pytest.approx(6.1 * np.sqrt(3.0) / 2.0)


def test_the_images_of_an_atom_count():
    cell = StructureSet(("Cu",), np.zeros((1, 1, 3)), 2.6 * np.eye(3)[None], (True, True, True))
    assert nearest_in_training(("Cu",), [cell], 6.0)[0, 0] == pytest.approx(2.6)


def test_the_nearer_the_farther_outside_and_only_atoms_of_the_pair():
    shortest, values = np.array([[2.4, 1.8], [1.8, 3.0]]), []
    kinds = np.array([0, 0, 1])
    for distance in (2.4, 0.98 * 2.4, 0.96 * 2.4, 2.2, 1.9, 1.5):
        one = chain(distance, 2.5, species=("Cu", "Cu", "O"))
        near = neighbour_list(one.positions, one.cells, one.pbc, 4.0)
        found = crowding(kinds, near, shortest)
        assert found[2] == 0.0
        assert found[0] == found[1]
        pair = worst_pair(kinds, near, shortest)
        assert (pair is None) == (found[0] == 0.0)
        values.append(found[0])
    assert values[:2] == [0.0, 0.0]  # a few percent are no collision
    assert 1.0 < values[2] < values[3] < values[4] < values[5]
    assert values[5] == pytest.approx((NEARER * 2.4 / 1.5) ** 6)
    assert pair is not None
    assert {pair.first, pair.second} == {0, 1}
    assert (pair.distance, pair.shortest) == (pytest.approx(1.5), 2.4)
