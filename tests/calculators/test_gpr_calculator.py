"""The ASE calculator of a Gaussian process: exact at its data, forces are slopes, σ grows away from them."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.optimize import BFGS

from aenet_gpr_cli.calculators.gpr_calculator import GPRCalculator
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.stored_gps import load_gps, write_gp
from aenet_gpr_cli.io.artefacts.structure_sets import write_structures
from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage as fit_gpr
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.structures import StructureSet
from tests.gpr.small_molecule import SPECIES, make_set

CELL = np.array([[5.2, 0.0, 0.0], [0.4, 5.0, 0.0], [0.0, 0.0, 14.0]])
SLAB = (True, True, False)


def fitted(structures, descriptor, length_scale):
    """The process of one subset, by way of the stage that fits it."""
    with tempfile.TemporaryDirectory() as folder:
        split, gpr = Path(folder, "split.h5"), Path(folder, "gpr.h5")
        with publish(split, Job("split", {}, {})) as file:
            write_structures(file.create_group("train/a"), structures)
            file.create_group("test")
        keys = {
            "model": "full",
            "descriptor": descriptor,
            "length_scale": length_scale,
            "noise_std_force": 1e-5,
        }
        fit_gpr.run(FitGprConfig(**keys), split, gpr, Context())
        return load_gps(gpr)["a"]


@pytest.fixture(scope="module")
def molecule():
    return replace(make_set(20, 1), names=tuple(f"s{i}" for i in range(20)))


@pytest.fixture(scope="module")
def surrogate(molecule):
    return fitted(molecule, "inverse_distance", 1.0)


@pytest.fixture(scope="module")
def slab():
    """Copper atoms on a lattice, some of them outside the cell, labelled by EMT."""
    base = np.array([[0.1, 0.2, 5.0], [2.6, 0.1, 5.2], [0.2, 2.6, 5.1], [2.7, 2.5, 4.9], [1.4, 1.3, 7.0]])
    rng = np.random.default_rng(0)
    found = {"positions": [], "energies": [], "forces": []}
    for _ in range(12):
        atoms = Atoms("Cu5", base + 0.08 * rng.normal(size=base.shape), cell=CELL, pbc=SLAB, calculator=EMT())
        found["positions"].append(atoms.positions)
        found["energies"].append(atoms.get_potential_energy())
        found["forces"].append(atoms.get_forces())
    arrays = {name: np.array(values) for name, values in found.items()}
    return StructureSet(
        ("Cu",) * 5, cells=np.tile(CELL, (12, 1, 1)), pbc=SLAB, names=tuple("abcdefghijkl"), **arrays
    )


def atoms_of(structures, index):
    return Atoms(
        structures.species,
        structures.positions[index],
        cell=None if structures.cells is None else structures.cells[index],
        pbc=structures.pbc,
    )


def test_interpolates_its_data(molecule, surrogate):
    atoms = atoms_of(molecule, 3)
    atoms.calc = GPRCalculator({"a": surrogate})
    # the noise allows a deviation of this order
    assert atoms.get_potential_energy() == pytest.approx(molecule.energies[3], abs=1e-3)
    np.testing.assert_allclose(atoms.get_forces(), molecule.forces[3], atol=1e-2)


@pytest.mark.parametrize(("descriptor", "length_scale"), [("cartesian", 1.0), ("inverse_distance", 0.5)])
def test_forces_are_minus_the_slope_of_the_energy(slab, descriptor, length_scale):
    atoms = atoms_of(slab, 0)
    atoms.positions += 0.05 * np.random.default_rng(9).normal(size=atoms.positions.shape)
    atoms.calc = GPRCalculator({"a": fitted(slab, descriptor, length_scale)})
    forces, h = atoms.get_forces(), 1e-4
    assert np.abs(forces).max() > 0.1
    for atom, axis in [(0, 0), (4, 1), (2, 2)]:
        slopes = []
        for sign in (1, -1):
            atoms.positions[atom, axis] += sign * h
            slopes.append(sign * atoms.get_potential_energy())
            atoms.positions[atom, axis] -= sign * h
        # weights of 1e5 for this noise: energies carry 1e-10 eV of rounding, over h
        assert forces[atom, axis] == pytest.approx(-sum(slopes) / (2 * h), abs=1e-4)


@pytest.mark.parametrize(("descriptor", "length_scale"), [("cartesian", 1.0), ("inverse_distance", 0.5)])
def test_wrapping_changes_nothing(slab, descriptor, length_scale):
    calc = GPRCalculator({"a": fitted(slab, descriptor, length_scale)})
    atoms = atoms_of(slab, 1)
    atoms.positions += 0.05
    energy, forces = calc.get_potential_energy(atoms), calc.get_forces(atoms)
    atoms.positions += np.array([[1, 0, 0], [0, 0, 0], [-1, 2, 0], [0, 1, 0], [0, 0, 0]]) @ CELL
    assert calc.get_potential_energy(atoms) == pytest.approx(energy, abs=1e-8)
    np.testing.assert_allclose(calc.get_forces(atoms), forces, atol=1e-7)


def test_sigma_is_small_at_the_data_and_its_bound_holds(molecule, surrogate):
    atoms = atoms_of(molecule, 0)
    calculators = {m: GPRCalculator({"a": surrogate}, sigma=m, max_rows=40) for m in ("exact", "bound")}
    at_data = {m: c.get_property("energy_std", atoms) for m, c in calculators.items()}
    atoms.positions[1] += 0.6
    away = {m: c.get_property("energy_std", atoms) for m, c in calculators.items()}
    calculator = calculators["exact"]
    atoms.calc = calculator
    atoms.get_forces()
    assert calculator.results["energy_std"] == away["exact"]
    assert at_data["exact"] < 0.1 * away["exact"]
    for found in (at_data, away):
        assert found["bound"] >= found["exact"] * (1 - 1e-6)


def test_without_sigma_there_is_none(molecule, surrogate):
    calc = GPRCalculator({"a": surrogate}, sigma="none")
    with pytest.raises(Exception, match="energy_std"):
        calc.get_property("energy_std", atoms_of(molecule, 0))
    with pytest.raises(ConfigError, match="sigma: expected bound, exact, none, got 'some'"):
        GPRCalculator({"a": surrogate}, sigma="some")


def test_relaxation_goes_downhill(molecule, surrogate):
    atoms = atoms_of(molecule, 2)
    atoms.calc = GPRCalculator({"a": surrogate})
    before = atoms.get_potential_energy()
    assert BFGS(atoms, logfile=None).run(fmax=0.02, steps=200)
    assert atoms.get_potential_energy() < before


def test_other_atoms_are_refused(surrogate):
    calc = GPRCalculator({"COH2": surrogate})
    other = Atoms(SPECIES[::-1], np.arange(12.0).reshape(4, 3))
    with pytest.raises(InputError, match="subset COH2 was fitted to the same atoms in another order"):
        calc.get_potential_energy(other)


def test_another_cell_is_refused(slab):
    calc = GPRCalculator({"a": fitted(slab, "inverse_distance", 0.5)})
    atoms = atoms_of(slab, 0)
    atoms.set_cell(CELL * 1.05, scale_atoms=True)
    with pytest.raises(InputError, match="another cell"):
        calc.get_potential_energy(atoms)


def test_from_file_finds_the_subset(tmp_path, molecule, surrogate, slab):
    path = tmp_path / "gpr.h5"
    with publish(path, Job("fit-gpr", {}, {})) as file:
        write_gp(file.create_group("subsets/COH2"), surrogate)
        write_gp(file.create_group("subsets/Cu5-slab"), fitted(slab, "inverse_distance", 0.5))
    calc = GPRCalculator.from_file(path)
    for structures in (molecule, slab):
        energy = calc.get_potential_energy(atoms_of(structures, 1))
        assert energy == pytest.approx(structures.energies[1], abs=2e-3)
    with pytest.raises(InputError, match="was fitted to"):
        GPRCalculator.from_file(path, subset="Cu5-slab").get_potential_energy(atoms_of(molecule, 0))
