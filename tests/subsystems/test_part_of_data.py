"""A part of a set whose energies or forces are others is found; exact ones are never."""

from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.subsystems.label_checks.part_of_data import part_that_does_not_fit
from tests.faults.conftest import water

from .test_checks import trimer

HALF = np.arange(40) < 20


@pytest.fixture(scope="module")
def waters() -> StructureSet:
    rng = np.random.default_rng(0)
    return StructureSet.from_structures([water(rng, f"w{i}") for i in range(40)])


@pytest.mark.parametrize("width", [0.01, 0.05, 0.15])
def test_exact_forces_are_never_said_not_to_fit(waters, width):
    assert part_that_does_not_fit(trimer(width)) is None
    assert part_that_does_not_fit(waters) is None


def test_a_shift_of_half_the_energies_is_found_with_its_size(waters):
    assert waters.energies is not None
    said = str(part_that_does_not_fit(replace(waters, energies=waters.energies + 1.5 * HALF)))
    assert "energies of near structures differ by about 1.5" in said
    assert "two definitions of the energy or levels of theory in part of the data" in said


@pytest.mark.parametrize("factor", [-1.0, 0.0])
def test_forces_of_another_kind_in_half_of_the_structures_are_found(waters, factor):
    forces = np.where(HALF[:, None, None], factor, 1.0) * waters.forces
    said = str(part_that_does_not_fit(replace(waters, forces=forces)))
    assert "do not fit each other in a part of the structures" in said
    assert "another sign, unit or definition in part of the data" in said
