"""Sets without two structures of one cell or composition: their potentials, and what a seed makes."""

from itertools import pairwise

import numpy as np
import pytest
from ase import Atoms

from tests.example_data.scripts import importable

STEP = 1e-4  # Å, and of strain


@pytest.fixture(scope="module")
def script():
    with importable():
        import make_unlike_sets

        yield make_unlike_sets


@pytest.fixture(params=["oxide", "water"])
def sample(script, request):
    rng = np.random.default_rng(1)
    if request.param == "oxide":
        atoms, calculator = next(script.oxides(rng)), script.mixed_oxide()
    else:
        atoms, calculator = script.box_of_water(rng), script.FlexibleWater()
    atoms.rattle(0.05, seed=1)
    return atoms, calculator


def energy(atoms: Atoms, calculator) -> float:
    atoms = atoms.copy()
    atoms.calc = calculator
    return atoms.get_potential_energy()


def test_forces_are_the_slopes_of_the_energy(sample):
    atoms, calculator = sample
    direction = np.random.default_rng(2).normal(size=(len(atoms), 3))
    ends = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions += sign * STEP * direction
        ends.append(energy(moved, calculator))
    atoms.calc = calculator
    assert (ends[0] - ends[1]) / (2 * STEP) == pytest.approx(
        -(atoms.get_forces() * direction).sum(), rel=1e-5
    )


@pytest.mark.parametrize("axis", range(3))
def test_stress_is_the_slope_by_strain(sample, axis):
    atoms, calculator = sample
    ends = []
    for sign in (1, -1):
        strained = atoms.copy()
        cell = atoms.cell.array.copy()
        cell[:, axis] *= 1 + sign * STEP
        strained.set_cell(cell, scale_atoms=True)
        ends.append(energy(strained, calculator))
    atoms.calc = calculator
    slope = (ends[0] - ends[1]) / (2 * STEP * atoms.cell.volume)
    assert slope == pytest.approx(atoms.get_stress()[axis], rel=1e-5, abs=1e-8)


def test_energy_and_forces_are_continuous_at_the_cutoff(script):
    calculator = script.mixed_oxide()
    pair = Atoms("MgO", [[0, 0, 0], [0, 0, script.OXIDE_CUTOFF - 1e-6]], cell=[30] * 3, pbc=True)
    pair.calc = calculator
    assert abs(pair.get_potential_energy()) < 1e-11
    assert np.abs(pair.get_forces()).max() < 1e-5


@pytest.mark.parametrize("name", ["alloy", "oxide"])
def test_no_two_share_composition_or_cell(script, name):
    made = [s for part in script.make(name, 7, 4, 2) for s in part]
    again = [s for part in script.make(name, 7, 4, 2) for s in part]
    assert len({s.get_chemical_formula() for s in made}) == 6
    assert len({tuple(s.cell.array.ravel()) for s in made}) == 6
    for one, other in zip(made, again, strict=True):
        assert np.array_equal(one.positions, other.positions)
        assert one.get_potential_energy() == other.get_potential_energy()


def test_frames_of_the_melt_move_on_in_cells_of_their_own(script, monkeypatch):
    monkeypatch.setattr(script, "SETTLING", 20.0)
    monkeypatch.setattr(script, "INTERVAL", 10.0)
    (first,), made = script.make("melt", 7, 1, 3)
    assert len(first) == sum(script.EUTECTIC.values()) == 192
    assert np.unique([s.cell.volume for s in made]).size == 3
    steps = [np.linalg.norm(b.positions - a.positions, axis=1).mean() for a, b in pairwise(made)]
    assert all(0.01 < step < 0.3 for step in steps)  # about 0.05 Å in 10 fs at 1300 K
    assert not np.allclose(first.positions, made[0].positions, atol=0.1)  # another run
