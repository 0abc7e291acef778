"""The ASE calculator of a committee: right, whatever the neighbour list does, and good for dynamics."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from ase import units
from ase.calculators.calculator import PropertyNotImplementedError
from ase.filters import FrechetCellFilter
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS

from aenet_gpr_cli.ann.potential.committee_sigma import CommitteeSigma
from aenet_gpr_cli.ann.potential.network_sigma import NetworkSigma, pack_triangles
from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.calculators.ann_calculator import ANNCalculator
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import features
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.stored_anns import write_ann
from tests.calculators.conftest import as_set, random_committee, with_range


def thermal(atoms, kelvin, seed=0):
    """Random momenta without total momentum."""
    rng = np.random.default_rng(seed)
    momenta = rng.normal(size=(len(atoms), 3)) * np.sqrt(atoms.get_masses() * units.kB * kelvin)[:, None]
    atoms.set_momenta(momenta - momenta.mean(axis=0))


@pytest.mark.parametrize("name", ["dimer", "crystal"])
def test_equals_predict(committee, request, name):
    atoms = request.getfixturevalue(name)
    atoms.calc = ANNCalculator(committee)
    energies, forces = predict(committee, as_set(atoms), True, 1)
    calc = atoms.calc
    assert atoms.get_potential_energy() == pytest.approx(energies.mean(), abs=1e-11)
    np.testing.assert_allclose(atoms.get_forces(), forces[:, 0].mean(0), atol=1e-12)
    np.testing.assert_allclose(calc.get_property("committee_energies", atoms), energies[:, 0], atol=1e-11)
    np.testing.assert_allclose(calc.get_property("committee_forces", atoms), forces[:, 0], atol=1e-12)
    assert calc.get_property("energy_std", atoms) == pytest.approx(energies.std(ddof=1), abs=1e-11)
    np.testing.assert_allclose(
        calc.get_property("forces_std", atoms), forces[:, 0].std(0, ddof=1), atol=1e-12
    )
    assert atoms.get_potential_energies().sum() == pytest.approx(energies.mean(), abs=1e-11)


@pytest.mark.parametrize("name", ["dimer", "crystal"])
def test_forces_are_minus_the_slope_of_the_energy(committee, request, name):
    atoms = request.getfixturevalue(name)
    atoms.calc = ANNCalculator(committee)
    forces, h = atoms.get_forces(), 1e-5
    assert np.abs(forces).max() > 0.01
    for atom, axis in [(0, 0), (3, 1), (len(atoms) - 1, 2)]:
        slopes = []
        for sign in (1, -1):
            atoms.positions[atom, axis] += sign * h
            slopes.append(sign * atoms.get_potential_energy())
            atoms.positions[atom, axis] -= sign * h
        # error of the central difference: rounding 1e-13 eV / h
        assert forces[atom, axis] == pytest.approx(-sum(slopes) / (2 * h), abs=1e-6)


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False), (True, False, False)], ids=str)
def test_stress_is_the_slope_of_the_energy_by_the_strain(committee, crystal, pbc):
    crystal.pbc = pbc
    crystal.calc = ANNCalculator(committee)
    found, h = crystal.get_stress(voigt=False), 1e-5
    assert np.abs(found).max() > 1e-3
    for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0)):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * h
            strained = crystal.copy()
            strained.set_cell(crystal.cell @ strain, scale_atoms=True)
            energies.append(ANNCalculator(committee).get_potential_energy(strained))
        slope = (energies[0] - energies[1]) / (2 * h) / crystal.cell.volume
        # h² times the third derivative, and rounding 1e-13 eV / h / volume
        assert found[a, b] == pytest.approx(slope, abs=1e-8)


def test_relaxing_cell_and_atoms_goes_downhill(committee, crystal):
    crystal.pbc = True
    crystal.calc = ANNCalculator(committee)
    before, cell = crystal.get_potential_energy(), crystal.cell.array.copy()
    BFGS(FrechetCellFilter(crystal), logfile=None).run(fmax=0.02, steps=20)
    assert crystal.get_potential_energy() < before - 0.1
    assert np.abs(crystal.cell - cell).max() > 0.01


def test_an_isolated_structure_has_no_stress(committee, dimer):
    dimer.calc = ANNCalculator(committee)
    with pytest.raises(PropertyNotImplementedError):
        dimer.get_stress()


def test_leaving_the_training_data_is_told_once(committee, dimer):
    calc = ANNCalculator(with_range(committee, dimer))
    assert not calc.get_property("beyond_training", dimer).any()
    dimer.positions[0] += 0.5
    with pytest.warns(UserWarning, match="outside the range of the training data, most of all"):
        assert calc.get_property("beyond_training", dimer).max() > 0.2
    dimer.positions[0] += 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calc.get_potential_energy(dimer)
        quiet = ANNCalculator(calc.evaluator.model, warn_beyond=np.inf)
        assert quiet.get_property("beyond_training", dimer).max() > 0.2


def test_a_single_member_has_no_spread(committee, dimer):
    dimer.calc = ANNCalculator(committee, members=[2])
    energies, forces = predict(committee, as_set(dimer), True, 1)
    assert dimer.get_potential_energy() == pytest.approx(energies[2, 0], abs=1e-11)
    np.testing.assert_allclose(dimer.get_forces(), forces[2, 0], atol=1e-12)
    assert dimer.calc.get_property("energy_std", dimer) == 0.0
    assert not dimer.calc.get_property("forces_std", dimer).any()


def test_sigma_is_the_one_that_predict_gives_and_in_the_results(committee, dimer):
    rng, width = np.random.default_rng(1), committee.architecture.n_weights
    factors = np.linalg.cholesky(np.eye(width) + (a := rng.normal(size=(3, width, 5))) @ a.transpose(0, 2, 1))
    errors, ones = rng.normal(size=(3, 30)), np.ones((3, 30))
    model = replace(committee, sigma=NetworkSigma(pack_triangles(factors), errors, ones, True))
    dimer.calc = ANNCalculator(model)
    energies = predict(model, as_set(dimer), False, 1)[0]
    raw = features(model.basis, as_set(dimer), 1)
    expected = CommitteeSigma(model)(energies, model.basis.species_index(dimer.symbols), raw)[0]
    dimer.get_forces()
    assert dimer.calc.results["energy_std"] == pytest.approx(expected, rel=1e-6)
    assert expected != pytest.approx(energies.std(ddof=1), rel=1e-2)
    dimer.calc = ANNCalculator(model, sigma=False)
    dimer.get_forces()
    assert "energy_std" not in dimer.calc.results
    assert dimer.calc.get_property("energy_std", dimer) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("members", [[3], [], [-1]])
def test_an_unknown_member_is_refused(committee, members):
    with pytest.raises(InputError, match="numbers from 0 to 2"):
        ANNCalculator(committee, members=members)


def test_an_unknown_element_is_refused(committee, dimer):
    dimer.symbols[0] = "Li"
    dimer.calc = ANNCalculator(committee)
    with pytest.raises(InputError, match="got Li"):
        dimer.get_potential_energy()


def test_results_do_not_depend_on_the_skin_or_on_wrapping(committee, crystal):
    rng = np.random.default_rng(0)
    calculators = [ANNCalculator(committee, skin=skin) for skin in (0.0, 0.4, 2.0)]
    for step in range(25):
        crystal.positions += 0.03 * rng.normal(size=crystal.positions.shape)
        if step % 5 == 4:
            crystal.wrap()
        if step == 12:
            crystal.set_cell(crystal.cell * 1.02, scale_atoms=True)
        results = [(c.get_potential_energy(crystal), c.get_forces(crystal)) for c in calculators]
        for energy, forces in results[1:]:
            assert energy == pytest.approx(results[0][0], abs=1e-11)
            np.testing.assert_allclose(forces, results[0][1], atol=1e-11)
    # the thick skin is kept until the atoms are wrapped or the cell changes
    assert calculators[0].evaluator.neighbours.n_builds > calculators[1].evaluator.neighbours.n_builds > 5


def test_one_calculator_serves_different_structures(committee, dimer, crystal):
    calc = ANNCalculator(committee)
    first = calc.get_potential_energy(dimer)
    assert calc.get_potential_energy(crystal) != first
    assert calc.get_potential_energy(dimer) == pytest.approx(first, abs=1e-11)
    swapped = dimer.copy()
    swapped.symbols = swapped.symbols[::-1]
    assert calc.get_potential_energy(swapped) != pytest.approx(first, abs=1e-3)


def energy_drift(atoms, steps, femtoseconds):
    """Spread and slope of the total energy along a trajectory, per atom."""
    dynamics = VelocityVerlet(atoms, femtoseconds * units.fs)
    energies = []
    dynamics.attach(lambda: energies.append(atoms.get_total_energy()), interval=max(1, steps // 200))
    dynamics.run(steps)
    slope = np.polyfit(np.linspace(0, 1, len(energies)), energies, 1)[0]
    return np.ptp(energies) / len(atoms), abs(slope) / len(atoms)


def test_dynamics_conserves_energy(trained, dimer):
    dimer.calc = ANNCalculator(trained)
    thermal(dimer, 300)
    spread, slope = energy_drift(dimer, 200, 0.25)
    # C-H stretches at a quarter of a femtosecond: fluctuations of a tenth of a meV per atom
    assert spread < 5e-4
    assert slope < 2e-4
    coarse = dimer.copy()
    coarse.calc = ANNCalculator(trained)
    thermal(coarse, 300)
    # a potential whose forces are not its slope would not improve with the time step
    assert energy_drift(coarse, 50, 1.0)[0] > 2 * spread


@pytest.mark.slow
def test_ten_picoseconds_conserve_energy(trained, dimer):
    dimer.calc = ANNCalculator(trained)
    BFGS(dimer, logfile=None).run(fmax=0.02, steps=500)
    thermal(dimer, 150)  # hotter, this potential leaves what it was trained on
    spread, slope = energy_drift(dimer, 20_000, 0.5)
    assert spread < 5e-4
    assert slope < 1e-4


def test_relaxation_goes_downhill_to_a_minimum(trained, dimer):
    dimer.calc = ANNCalculator(trained)
    before = dimer.get_potential_energy()
    assert BFGS(dimer, logfile=None).run(fmax=0.05, steps=300)
    assert dimer.get_potential_energy() < before - 0.1
    assert np.linalg.norm(dimer.get_forces(), axis=1).max() < 0.05


def test_from_file(tmp_path, dimer):
    model = random_committee(2)
    path = tmp_path / "ann.h5"
    with publish(path, Job("train-ann", {}, {})) as file:
        write_ann(file.create_group("model"), model)
    stored, direct = ANNCalculator.from_file(path), ANNCalculator(model)
    assert stored.get_potential_energy(dimer) == direct.get_potential_energy(dimer)
    assert "energy_std" in stored.results
    quick = ANNCalculator.from_file(path, sigma=False)
    assert quick.get_potential_energy(dimer) == direct.get_potential_energy(dimer)
    assert "energy_std" not in quick.results
    with pytest.raises(InputError, match="no such file"):
        ANNCalculator.from_file(tmp_path / "other.h5")
