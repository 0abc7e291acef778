"""Molecules that meet: as close as asked for, and never closer on their way from outside."""

import numpy as np
import pytest
from ase.build import molecule

from tests.example_data.scripts import importable

FIRST, SECOND = "CH3OH", "H2O"


@pytest.fixture(scope="module")
def script():
    with importable():
        import make_meeting_sets

        yield make_meeting_sets


def centred(name):
    atoms = molecule(name)
    atoms.positions -= atoms.get_center_of_mass()
    return atoms


def closest(one, other):
    return np.linalg.norm(other[:, None] - one, axis=-1).min()


@pytest.mark.parametrize("distance", [1.7, 2.8, 6.0])
def test_the_closest_atoms_are_as_far_apart_as_drawn(script, distance):
    rng = np.random.default_rng(5)
    for _ in range(10):
        first, second = centred(FIRST), centred(SECOND)
        both = script.met(first, second, distance, rng)
        parts = both.positions[: len(first)], both.positions[len(first) :]
        assert closest(*parts) == pytest.approx(distance, abs=1e-7)
        for atoms, part in zip((first, second), parts, strict=True):
            inside = np.linalg.norm(part[:, None] - part, axis=-1)
            assert inside == pytest.approx(atoms.get_all_distances(), abs=1e-7)


def test_it_is_the_first_contact_from_outside(script):
    rng = np.random.default_rng(6)
    one, other = centred(FIRST).positions, centred(SECOND).positions
    for _ in range(10):
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        far = script.first_contact(one, other, direction, 1.7)
        ways = [closest(one, other + (far + more) * direction) for more in np.linspace(0.0, 6.0, 100)]
        assert min(ways) == pytest.approx(1.7)
