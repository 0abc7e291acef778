"""Numbers that are hardly those of atoms in eV and Å."""

import re
from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.structures import Structure, StructureSet
from aenet_gpr_cli.subsystems.label_checks.plausibility import implausible, zero_energies


@pytest.mark.parametrize("periodic", [False, True])
def test_a_part_in_bohr_is_told_and_a_scan_of_bonds_is_not(periodic):
    rng, bohr = np.random.default_rng(0), 0.529177
    base = np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    positions = base + 0.03 * rng.normal(size=(20, 3, 3))
    cells = np.tile(12.0 * np.eye(3), (20, 1, 1)) if periodic else None
    right = StructureSet(
        ("O", "H", "H"), positions, cells, (periodic,) * 3, names=tuple(f"s{i}" for i in range(20))
    )
    assert not implausible(right)
    mixed = positions.copy()
    mixed[14:] /= bohr
    (text,) = implausible(replace(right, positions=mixed))
    assert re.search(r"distances of 6 of 20 structures, such as s1\d, are 1\.[89]\d times", text)
    scan = positions * np.linspace(1.0, 1.4, 20)[:, None, None]
    assert not implausible(replace(right, positions=scan))


def test_two_structures_have_no_groups_of_energies():
    rng = np.random.default_rng(0)
    two = StructureSet(("H", "H"), rng.normal(size=(2, 2, 3)), energies=np.array([-30.0, -20.0]))
    assert not any("two groups" in text for text in implausible(two))
    four = StructureSet(
        ("H", "H"), rng.normal(size=(4, 2, 3)), energies=np.array([-30.0, -30.1, -30.2, -20.0])
    )
    assert any("3 structures such as 2 and 1 such as 3" in text for text in implausible(four))


def test_energies_that_are_zero_beside_others_are_named():
    x, forces = np.zeros((1, 3)), np.full((1, 3), 0.5)
    right = [Structure(("Cu",), x, energy=-100.0 - k, forces=forces, name=f"r{k}") for k in range(6)]
    missing = [Structure(("Cu",), x, energy=0.0, forces=forces, name=f"m{k}") for k in range(3)]
    assert zero_energies(right) == []
    (said,) = zero_energies([*right, *missing])
    assert "energies of 3 of 9 structures are exactly zero, though they have forces, such as m0" in said
    apart = [replace(s, forces=0.0 * forces) for s in missing]  # atoms that do not see each other
    assert zero_energies([*right, *apart]) == []
    lowest = [replace(s, species=(e,), energy=0.0) for s, e in zip(right, ("Cu", "Ag", "Au"), strict=False)]
    assert zero_energies([replace(right[0], energy=2.0), *lowest]) == []  # energies above those of the lowest
