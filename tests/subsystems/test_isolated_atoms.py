"""Isolated atoms are known by their surroundings or their name, and give the energies of free atoms."""

from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.structures import Structure
from aenet_gpr_cli.subsystems.isolated_atoms import is_isolated, set_apart

BULK = (True, True, True)


def atom(symbol="Cu", size=None, energy=-1.0, group="", state=()) -> Structure:
    cell, pbc = (None, (False,) * 3) if size is None else (size * np.eye(3), BULK)
    name = f"{symbol}{size}{energy}{state}"
    return Structure((symbol,), np.zeros((1, 3)), cell, pbc, energy, name=name, group=group, state=state)


@pytest.mark.parametrize(
    ("structure", "isolated"),
    [
        (atom(), True),
        (atom(size=12.0), True),
        (atom(size=3.6), False),
        (atom(size=6.0, group="IsolatedAtom"), True),
        (atom(size=6.0, group="isolated_atom"), True),
        (Structure(("H", "H"), np.zeros((2, 3)), energy=0.0, group="IsolatedAtom"), False),
    ],
)
def test_what_is_isolated(structure, isolated):
    assert is_isolated(structure) == isolated


def test_a_flat_cell_has_near_images_in_other_directions():
    flat = np.array([[12.0, 0.0, 0.0], [11.0, 3.0, 0.0], [0.0, 0.0, 12.0]])
    assert not is_isolated(Structure(("Cu",), np.zeros((1, 3)), flat, BULK, -1.0))


def test_energies_are_the_lowest_of_neutral_atoms():
    crystal = atom(size=3.6)
    charged = atom("H", energy=-99.0, state=(("charge", -1.0),))
    rest, free = set_apart(
        [atom("H", energy=-13.0), crystal, atom("H", energy=-13.6), atom("O", energy=-400.0), charged]
    )
    assert rest == [crystal]
    assert free.energies == {"H": -13.6, "O": -400.0}
    (warning,) = free.warnings
    assert "isolated atoms of H have energies from -13.6 to -13 eV; the lowest is taken" in warning
