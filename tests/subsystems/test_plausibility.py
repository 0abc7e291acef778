"""Numbers that are hardly those of atoms in eV and Å."""

import re
from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.subsystems.label_checks.plausibility import implausible


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
