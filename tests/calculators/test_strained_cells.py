"""Elastic constants of labelled strained cells against those of the potential that labelled them."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from scipy.spatial.transform import Rotation

from aenet_gpr_cli.calculators.elasticity import elastic_constants, relax
from aenet_gpr_cli.calculators.strained_cells import (
    averages,
    fit_energies,
    fit_stresses,
    strained_cells,
)
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import Structure

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
MODES = [(k,) for k in range(6)]
PAIRS = [(0, 1), (0, 2), (1, 2), (0, 3), (3, 4)]


def settle(atoms):
    """Relax the atoms of a strained cell."""
    relax(atoms, 1e-4, 10, cell=False)


@pytest.fixture(scope="module")
def copper():
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    atoms.calc = EMT()
    relax(atoms, 1e-6, 100)
    return atoms


def as_structure(atoms, name="cu"):
    atoms.calc = EMT()
    return Structure(
        tuple(atoms.symbols),
        atoms.positions.copy(),
        atoms.cell.array.copy(),
        (True, True, True),
        float(atoms.get_potential_energy()),
        atoms.get_forces(),
        name=name,
        stress=atoms.get_stress(voigt=False),
    )


def labelled(copper, size, modes, turned=False):
    """Cells strained both ways along components, or along two at once, in any orientation where asked for."""
    rng, frames = np.random.default_rng(0), []
    for mode in modes:
        for sign in (1, -1, 0.5, -0.5):
            strain = np.eye(3)
            for k in mode:
                a, b = VOIGT[k]
                strain[a, b] += 0.5 * sign * size
                strain[b, a] += 0.5 * sign * size
            atoms = copper.copy()
            turn = np.eye(3)
            if turned:  # those of one sign left-handed
                turn = Rotation.random(random_state=rng).as_matrix() @ np.diag([1.0, 1.0, np.sign(sign)])
            atoms.set_cell(copper.cell.array @ strain @ turn.T, scale_atoms=True)
            frames.append(as_structure(atoms))
    return frames


@pytest.mark.parametrize("turned", [False, True])
def test_stresses_give_the_constants_of_the_potential_in_any_orientation(copper, turned):
    cells = strained_cells(as_structure(copper), labelled(copper, 0.004, MODES, turned), 0.01)
    assert len(cells.structures) == 24
    found = fit_stresses(cells, [s.stress for s in cells.structures])
    expected = elastic_constants(copper, 1e-3, settle)
    np.testing.assert_allclose(found.constants, expected, atol=2e-3 * expected[0, 0])
    assert found.relaxed_volume == pytest.approx(1.0, abs=1e-4)
    assert averages(found.constants)["C44"] == pytest.approx(expected[3, 3], rel=2e-3)
    assert cells.largest_force < 1e-6


def test_energies_give_what_their_strains_determine(copper):
    expected = elastic_constants(copper, 1e-3, settle)
    few = strained_cells(as_structure(copper), labelled(copper, 0.008, MODES), 0.02)
    found = fit_energies(few, [s.energy for s in few.structures])
    diagonal = np.eye(6, dtype=bool)
    np.testing.assert_allclose(found.constants[diagonal], expected[diagonal], rtol=0.01)
    assert np.isnan(found.constants[~diagonal]).all()
    assert np.isnan(found.relaxed_volume)
    more = strained_cells(as_structure(copper), labelled(copper, 0.008, MODES + PAIRS), 0.02)
    constants = fit_energies(more, [s.energy for s in more.structures]).constants
    for i, j in PAIRS:
        assert constants[i, j] == pytest.approx(expected[i, j], abs=0.01 * expected[0, 0])
    assert np.isnan(constants[4, 5])


def random_cells(copper, n, size, seed):
    rng, frames = np.random.default_rng(seed), []
    for _ in range(n):
        strain = rng.normal(0.0, size, (3, 3))
        atoms = copper.copy()
        atoms.set_cell(copper.cell.array @ (np.eye(3) + 0.5 * (strain + strain.T)), scale_atoms=True)
        frames.append(as_structure(atoms))
    return strained_cells(as_structure(copper), frames, 0.05)


@pytest.mark.parametrize("kind", ["stresses", "energies"])
def test_any_strains_give_the_constants_within_their_errors(copper, kind):
    expected = averages(elastic_constants(copper, 1e-3, settle))
    misses, errors = [], []
    for seed in range(4):
        cells = random_cells(copper, 60, 0.006, seed)
        if kind == "stresses":
            found = fit_stresses(cells, [s.stress for s in cells.structures])
        else:
            found = fit_energies(cells, [s.energy for s in cells.structures])
        misses += [value - expected[name] for name, value in averages(found.constants).items()]
        errors += [found.errors[name] for name in expected]
    assert np.abs(misses).max() < 0.04 * expected["C11"]
    assert 0.3 < np.sqrt(np.mean((np.array(misses) / errors) ** 2)) < 3.0


@pytest.mark.parametrize("size", [0.006, 0.015])
def test_enough_cells_take_terms_of_the_third_order_with_them(copper, size):
    """Their part in random cells is not zero: the second order alone missed C11 by 3.7 and 9 GPa."""
    expected = averages(elastic_constants(copper, 1e-3, settle))
    misses, errors = [], []
    for seed in range(4):
        cells = random_cells(copper, 120, size, seed)
        found = fit_energies(cells, [s.energy for s in cells.structures])
        misses.append([value - expected[name] for name, value in averages(found.constants).items()])
        errors.append([found.errors[name] for name in expected])
    limit = {0.006: 0.004, 0.015: 0.025}[size]
    assert np.sqrt(np.mean(np.square(misses), axis=0)).max() < limit * expected["C11"]
    assert 0.3 < np.sqrt(np.mean((np.array(misses) / errors) ** 2)) < 2.0


def test_the_third_order_is_left_out_where_noise_hides_it(copper):
    """It would follow the noise: of 90 cells its 84 numbers miss by more."""
    cells, rng = random_cells(copper, 90, 0.003, 0), np.random.default_rng(2)
    expected = averages(elastic_constants(copper, 1e-3, settle))
    energies = np.array([s.energy for s in cells.structures]) + rng.normal(0.0, 2e-3, 90)
    found = fit_energies(cells, energies)
    assert found.residual == pytest.approx(2e-3 / 4 * np.sqrt((90 - 28) / 90), rel=0.25)  # an atom
    for name, value in averages(found.constants).items():
        assert abs(value - expected[name]) < 4.0 * found.errors[name]


def test_noise_of_energies_is_in_the_errors(copper):
    cells, rng = random_cells(copper, 60, 0.006, 0), np.random.default_rng(1)
    energies = np.array([s.energy for s in cells.structures])
    exact, seen = fit_energies(cells, energies), []
    for _ in range(20):
        noisy = fit_energies(cells, energies + rng.normal(0.0, 0.05, len(energies)))
        seen.append(averages(noisy.constants)["C44"] - averages(exact.constants)["C44"])
    assert noisy.errors["C44"] == pytest.approx(np.std(seen), rel=0.5)
    assert noisy.errors["C44"] > 5.0 * exact.errors["C44"]


def test_as_many_cells_as_unknowns_have_no_errors(copper):
    cells = random_cells(copper, 7, 0.004, 0)
    assert np.isnan(list(fit_stresses(cells, [s.stress for s in cells.structures]).errors.values())).all()


def test_a_crystal_under_pressure_tells_its_volume_without(copper):
    larger = copper.copy()
    larger.set_cell(copper.cell.array * 1.002, scale_atoms=True)
    cells = strained_cells(as_structure(larger), labelled(larger, 0.004, MODES), 0.01)
    found = fit_stresses(cells, [s.stress for s in cells.structures])
    assert found.relaxed_volume == pytest.approx(1.002**-3, abs=2e-4)


def test_only_cells_of_the_crystal_are_chosen(copper):
    crystal, good = as_structure(copper), labelled(copper, 0.004, MODES)
    far = labelled(copper, 0.04, MODES[:1])
    moved = replace(good[0], positions=good[0].positions + np.eye(4, 3))
    gold = replace(good[1], species=("Cu", "Cu", "Au", "Cu"))
    shifted = replace(good[2], positions=good[2].positions + np.array([0.3, 1.0, -9.0]))
    slab = replace(good[3], pbc=(True, True, False))
    other = [*far[:2], moved, gold, shifted, slab, good[4]]
    assert strained_cells(crystal, other, 0.01).structures == [shifted, good[4]]
    with pytest.raises(InputError, match=r"got none among 2 structures.*reference_strain"):
        strained_cells(crystal, far[:2], 0.01)


def test_too_few_cells_determine_nothing(copper):
    cells = strained_cells(as_structure(copper), labelled(copper, 0.004, MODES[:2]), 0.01)
    assert fit_stresses(cells, [s.stress for s in cells.structures]) is None
    assert fit_stresses(cells, [None] * 8) is None
    assert fit_energies(cells, [None] * 8) is None
    assert np.isfinite(fit_energies(cells, [s.energy for s in cells.structures]).constants[1, 1])


def test_frames_with_a_single_atom_and_a_skewed_cell():
    atoms = Atoms("Cu", cell=bulk("Cu", "fcc", a=3.59).cell, pbc=True)
    atoms.calc = EMT()
    relax(atoms, 1e-6, 100)
    cells = strained_cells(as_structure(atoms), labelled(atoms, 0.004, MODES), 0.02)
    found = fit_stresses(cells, [s.stress for s in cells.structures]).constants
    expected = elastic_constants(atoms, 1e-3, settle)
    np.testing.assert_allclose(found, expected, atol=3e-3 * expected[0, 0])
