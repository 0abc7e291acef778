"""The universal potential has its known values, its derivative, no step, and nothing where data are."""

import numpy as np
import pytest

from aenet_gpr_cli.baseline.repulsion import INNER, MARGIN, repulsion_of, zbl
from aenet_gpr_cli.descriptors.interface.neighbour_list import neighbour_list
from aenet_gpr_cli.structures import StructureSet

CELL = np.diag([4.0, 4.5, 5.0])
PERIODIC = (True, True, True)


def water(positions):
    return StructureSet(("O", "H", "H"), positions, np.repeat(CELL[None], len(positions), 0), PERIODIC)


@pytest.fixture
def structures():
    base = np.array([[0.1, 0.2, 0.0], [0.96, 0.1, 0.0], [-0.3, 0.95, 0.2]])
    return water(base + np.random.default_rng(0).normal(0, 0.05, (20, 3, 3)))


def array(*values):
    return np.array(values, float)


@pytest.mark.parametrize(
    ("r", "first", "second", "expected"),
    [
        # Z₁Z₂ e²/r · φ(r/a) by hand: φ(7.833) = 0.01806, φ(2.1345) = 0.2053
        (1.0, 14, 14, 14.399645 * 196 * 0.01806),
        (0.5, 1, 1, 14.399645 / 0.5 * 0.2053),
    ],
)
def test_known_values(r, first, second, expected):
    found, _ = zbl(array(r), array(first), array(second), array(np.inf))
    assert found[0] == pytest.approx(expected, rel=5e-4)


def test_the_bare_charges_at_no_distance():
    found, _ = zbl(array(1e-6), array(8), array(1), array(np.inf))
    assert found[0] * 1e-6 / (14.399645 * 8) == pytest.approx(1.0, abs=1e-4)


def test_the_slope_is_the_derivative():
    r, h = np.linspace(0.2, 1.4, 200), 1e-6
    one, two, outer = np.full(200, 8.0), np.full(200, 1.0), np.full(200, 1.2)
    numbers = (zbl(r + h, one, two, outer)[0] - zbl(r - h, one, two, outer)[0]) / (2 * h)
    np.testing.assert_allclose(zbl(r, one, two, outer)[1], numbers, atol=1e-6, rtol=1e-6)


def test_it_ends_without_a_step_and_is_whole_inside():
    outer = array(1.2)
    for r, expected in ((1.2, 0.0), (1.3, 0.0)):
        assert [x[0] for x in zbl(array(r), array(8), array(8), outer)] == [expected, expected]
    near = zbl(array(1.2 - 1e-4), array(8), array(8), outer)
    assert 0 < near[0][0] < 1e-8
    assert abs(near[1][0]) < 1e-3
    inside = INNER * 1.2 - 1e-9
    bare = zbl(array(inside), array(8), array(8), array(np.inf))
    np.testing.assert_allclose(zbl(array(inside), array(8), array(8), outer), bare)


def test_nothing_where_the_data_are(structures):
    found = repulsion_of(("H", "O"), [structures], 4.0)
    near = neighbour_list(structures.positions, structures.cells, PERIODIC, 4.0)
    kinds = np.tile([1, 0, 0], len(structures))
    added = found(kinds, near)
    assert not added.energies.any()
    assert not added.slopes.any()
    lengths = np.linalg.norm(near.vectors, axis=1)
    assert found.outer[0, 1] == pytest.approx(MARGIN * lengths.min())
    assert (found.outer == found.outer.T).all()


def test_forces_are_those_of_the_energy(structures):
    found = repulsion_of(("H", "O"), [structures], 4.0)
    squeezed = structures.positions[:1].copy()
    squeezed[0, 1:] = squeezed[0, 0] + 0.55 * (squeezed[0, 1:] - squeezed[0, 0])
    kinds = np.array([1, 0, 0])

    def energy(positions):
        near = neighbour_list(positions, CELL[None], PERIODIC, 4.0)
        return found(kinds, near).energies.sum()

    near = neighbour_list(squeezed, CELL[None], PERIODIC, 4.0)
    added = found(kinds, near)
    assert added.energies.sum() > 1.0
    gradient = added.position_gradients()
    for atom, axis in np.ndindex(3, 3):
        moved = np.zeros((1, 3, 3))
        moved[0, atom, axis] = 1e-6
        slope = (energy(squeezed + moved) - energy(squeezed - moved)) / 2e-6
        assert gradient[atom, axis] == pytest.approx(slope, rel=1e-5, abs=1e-5)


def test_elements_that_never_meet_have_a_distance_of_their_radii():
    alone = StructureSet(("H", "Cl"), np.array([[[0.0, 0, 0], [9.0, 0, 0]]]))
    found = repulsion_of(("H", "Cl"), [alone], 4.0)
    assert 0.5 < found.outer[0, 1] < 1.3
