"""Stress of every model against energies of strained cells, and its symmetries; relaxing atoms and cell."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from ase.stress import voigt_6_to_full_3x3_stress
from scipy.spatial.transform import Rotation

from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.training import train
from aenet_gpr_cli.ann.training_settings import LevenbergMarquardt, Loss, Network, Training
from aenet_gpr_cli.baseline.repulsion import Repulsion
from aenet_gpr_cli.calculators.ann_calculator import ANNCalculator
from aenet_gpr_cli.calculators.gpr_calculator import GPRCalculator
from aenet_gpr_cli.calculators.md_potential import load_md_potential
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.gpr.local.local_fit import fit_local
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.stored_anns import write_ann
from aenet_gpr_cli.structures import Structure
from tests.calculators.conftest import random_committee
from tests.gpr.local.test_local_process import SOAP, alloy
from tests.gpr.local.test_virials import SMALL, quiet

METALS = ("Au", "Cu")
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
TURN = Rotation.from_euler("xyz", [0.3, -1.0, 2.0]).as_matrix()
MODELS = (
    "network",
    "tensors",
    "several cutoffs",
    "repulsion",
    "local process",
    "local process, SOAP",
    "local process, repulsion",
)


@pytest.fixture(scope="module")
def calculators():
    """One calculator of every kind that gives a stress."""
    sets = alloy(12, seed=0)
    plain = random_committee(species=METALS)
    several = ChebyshevBasis(METALS, 4.5, 5, 4.0, 3, (3.0,))
    wall = Repulsion(np.array([79.0, 29.0]), np.full((2, 2), 4.0))
    networks = (
        plain,
        random_committee(species=METALS, activation="twist"),
        random_committee(species=METALS, basis=several),
        replace(plain, repulsion=wall),
    )
    settings = (replace(SMALL, length_scale=6.0), replace(SOAP, noise_std_virial=0.05))
    processes = [fit_local(sets, s, 0, quiet)[0] for s in settings]
    processes.append(replace(processes[0], repulsion=Repulsion(np.array([29.0, 79.0]), wall.outer)))
    made: list[Calculator] = [ANNCalculator(m, sigma=False) for m in networks]
    made += [GPRCalculator({"local": p}, sigma="none") for p in processes]
    return dict(zip(MODELS, made, strict=True))


def box(kind):
    """A small skewed crystal, a slab of it, or the slab in any direction."""
    one = alloy(1, seed=7)[0]
    atoms = Atoms(one.species, one.positions[0], cell=one.cells[0], pbc=True)
    if kind == "crystal":
        return atoms
    cell = atoms.cell.array.copy()
    cell[:2, 2], cell[2] = 0.0, [0.4, -0.3, 11.0]
    atoms.set_cell(cell)
    atoms.pbc = (True, True, False)
    return turned(atoms, TURN) if kind == "tilted slab" else atoms


def turned(atoms, matrix):
    moved = atoms.copy()
    moved.set_cell(atoms.cell.array @ matrix.T)
    moved.positions = atoms.positions @ matrix.T
    return moved


def virial(calculator, atoms):
    """The stress times the volume, eV."""
    return voigt_6_to_full_3x3_stress(calculator.get_property("stress", atoms)) * atoms.cell.volume


@pytest.mark.parametrize("kind", ["crystal", "slab", "tilted slab"])
@pytest.mark.parametrize("name", MODELS)
def test_the_stress_is_the_slope_of_the_energy_of_strained_cells(calculators, name, kind):
    atoms, calculator, h = box(kind), calculators[name], 1e-3
    found = virial(calculator, atoms)
    slopes = np.empty(6)
    for k, (a, b) in enumerate(VOIGT):
        energy = {}
        for step in (1, -1, 2, -2):
            strain = np.eye(3)
            strain[a, b] += 0.5 * step * h
            strain[b, a] += 0.5 * step * h
            energy[step] = calculator.get_property("energy", turned(atoms, strain))
        slopes[k] = (8 * (energy[1] - energy[-1]) - (energy[2] - energy[-2])) / (12 * h)
    size = np.abs(found).max()
    assert size > 0.01
    np.testing.assert_allclose([found[a, b] for a, b in VOIGT], slopes, atol=1e-6 * size)


@pytest.mark.parametrize("kind", ["crystal", "slab"])
@pytest.mark.parametrize("name", MODELS)
def test_turned_cells_and_supercells(calculators, name, kind):
    atoms, calculator = box(kind), calculators[name]
    found = virial(calculator, atoms)
    close = {"atol": 1e-9 * np.abs(found).max()}
    np.testing.assert_allclose(virial(calculator, turned(atoms, TURN)), TURN @ found @ TURN.T, **close)
    np.testing.assert_allclose(virial(calculator, atoms * (2, 1, 1)), 2 * found, **close)
    np.testing.assert_allclose(virial(calculator, atoms * (1, 3, 1)), 3 * found, **close)


@pytest.mark.parametrize("name", MODELS)
def test_along_the_vacuum_is_the_pull_of_the_forces_and_none_of_a_flat_layer(calculators, name):
    atoms, calculator = box("tilted slab"), calculators[name]
    normal = TURN[:, 2]  # z before it was turned
    forces, heights = calculator.get_property("forces", atoms), atoms.positions @ normal
    found = virial(calculator, atoms)
    np.testing.assert_allclose(found @ normal, -heights @ forces, atol=1e-9 * np.abs(found).max())
    higher = atoms.copy()
    higher.set_cell(atoms.cell.array * np.array([[1.0], [1.0], [3.0]]))
    np.testing.assert_allclose(virial(calculator, higher), found, atol=1e-9 * np.abs(found).max())
    flat = atoms[:2]
    flat.positions -= np.outer(flat.positions @ normal, normal)
    of_layer = virial(calculator, flat)
    assert name == "local process" or np.abs(of_layer).max() > 1e-3  # it knows nothing of layers
    np.testing.assert_allclose(of_layer @ normal, 0.0, atol=1e-10)


def test_dynamics_have_the_stress_of_the_calculator(tmp_path):
    model, atoms = random_committee(species=METALS), box("crystal")
    with publish(tmp_path / "ann.h5", Job("train-ann", {}, {})) as file:
        write_ann(file.create_group("model"), model)
    start = Structure(tuple(atoms.symbols), atoms.positions, atoms.cell.array, (True, True, True))
    potential = load_md_potential(tmp_path / "ann.h5", start, None, "none", 0, True)
    rng = np.random.default_rng(0)
    for _ in range(3):  # along a path, with lists of neighbours that are kept
        atoms.positions += 0.05 * rng.normal(size=atoms.positions.shape)
        atoms.set_cell(atoms.cell.array * (1.0 + 0.01 * rng.normal()), scale_atoms=True)
        found = potential(atoms.positions, atoms.cell.array, True, False).strain_gradient
        np.testing.assert_allclose(found, virial(ANNCalculator(model), atoms), atol=1e-10)


@pytest.fixture(scope="module")
def fitted():
    """Models that know a minimum: of the local process, and of trained networks."""
    sets = alloy(24, seed=1)
    basis = ChebyshevBasis(METALS, 4.5, 6, 4.0, 3)
    settings = Training(
        mode="direct",
        network=Network(radial_cutoff=4.5, radial_order=6, angular_cutoff=4.0, angular_order=3, hidden=(6,)),
        n_members=2,
        optimiser="levenberg_marquardt",
        levenberg_marquardt=LevenbergMarquardt(iterations=25),
        loss=Loss(alpha=0.3),
    )
    data = TrainingSet.collect(sets, [], None)
    cheap = {
        kind: GPRCalculator({"local": fit_local(sets, s, 0, quiet)[0]}, sigma="none")
        for kind, s in (("local", SMALL), ("SOAP", replace(SOAP, noise_std_virial=0.05, n_inducing=40)))
    }
    return {**cheap, "direct": ANNCalculator(train(data, basis, settings, 1).model, sigma=False)}


@pytest.mark.parametrize("name", ["local", "SOAP", "direct"])
def test_relaxing_atoms_and_cell_ends_in_a_minimum(fitted, name):
    one, calculator = alloy(24, seed=1)[0], fitted[name]
    atoms = Atoms(one.species, one.positions[0], cell=one.cells[0], pbc=True, calculator=calculator)
    before = atoms.get_potential_energy()
    with BFGS(FrechetCellFilter(atoms), logfile=None) as run:
        assert run.run(fmax=0.002, steps=300)
    lowest, volume = atoms.get_potential_energy(), atoms.cell.volume
    assert lowest < before - 0.01
    assert np.abs(virial(calculator, atoms)).max() < 0.01
    assert volume == pytest.approx(abs(np.linalg.det(one.cells[0])), rel=0.4)
    rng = np.random.default_rng(0)
    for _ in range(5):
        strain = 0.01 * rng.normal(size=(3, 3))
        strained = turned(atoms, np.eye(3) + 0.5 * (strain + strain.T))
        assert calculator.get_property("energy", strained) > lowest - 1e-4
