"""JSON of mlearn: its stress is the slope of its energies by strain, whatever the order of its numbers."""

import itertools
import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.local.local_fit import fit_local
from aenet_gpr_cli.gpr.process_settings import Local
from aenet_gpr_cli.io.formats.published import resolve
from aenet_gpr_cli.io.formats.sources import read_sources
from aenet_gpr_cli.io.readers.mlearn import extxyz_of, stress_of_virial
from aenet_gpr_cli.structures import Structure, StructureSet

VOIGT = {"xx": 0, "yy": 1, "zz": 2, "yz": 3, "xz": 4, "xy": 5}
GPA_IN_KBAR = 10.0
EV_PER_A3_IN_GPA = 160.2176634


def strained() -> Atoms:
    atoms = bulk("Cu", cubic=True)
    strain = np.array([[0.02, 0.01, -0.015], [0.01, -0.01, 0.005], [-0.015, 0.005, 0.03]])
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = EMT()
    return atoms


def entry(atoms: Atoms, element: str, group: str, order: str) -> dict:
    pressure = -atoms.get_stress() * EV_PER_A3_IN_GPA * GPA_IN_KBAR
    sites = [
        {"species": [{"element": s, "occu": 1}], "xyz": x.tolist()}
        for s, x in zip(atoms.symbols, atoms.positions, strict=True)
    ]
    return {
        "structure": {"lattice": {"matrix": atoms.cell.array.tolist()}, "sites": sites},
        "outputs": {
            "energy": atoms.get_potential_energy(),
            "forces": atoms.get_forces().tolist(),
            "virial_stress": [pressure[VOIGT[name]] for name in order.split()],
        },
        "element": element,
        "group": group,
        "description": "made",
    }


@pytest.mark.parametrize(
    ("element", "group", "order"),
    [
        ("Li", "AIMD-NVT", "xx yy zz xy yz xz"),
        ("Si", "Elastic", "xx yy zz xy yz xz"),
        ("Ge", "Vacancy", "xx yy zz xy xz yz"),
        ("Mo", "Elastic", "xx yy zz xy xz yz"),
    ],
)
def test_what_is_written_is_read_with_its_labels(tmp_path, element, group, order):
    atoms = strained()
    path = tmp_path / "test.xyz"
    path.write_text(extxyz_of(json.dumps([entry(atoms, element, group, order)]).encode(), "test.json"))
    (read,) = read_sources([path])
    assert read.energy == atoms.get_potential_energy()
    assert np.array_equal(read.forces, atoms.get_forces())
    assert np.array_equal(read.cell, atoms.cell.array)
    assert read.stress == pytest.approx(atoms.get_stress(voigt=False), rel=1e-9)


def test_another_kind_of_json():
    with pytest.raises(InputError, match=r"a.json: expected JSON of mlearn .*KeyError: 'structure'"):
        extxyz_of(b'[{"sites": []}]', "a.json")
    with pytest.raises(InputError, match="expected JSON of mlearn"):
        extxyz_of(b"PK", "a.json")


def of_group(published, name: str, group: str) -> list[Structure]:
    json_file = published(name) / "training.json"
    structures = read_sources([resolve(f"published:{name}/training.xyz")])
    groups = [e["group"] for e in json.loads(json_file.read_bytes())]
    return [s for s, g in zip(structures, groups, strict=True) if g == group]


@pytest.mark.published
@pytest.mark.parametrize("name", ["mlearn-si", "mlearn-ge", "mlearn-mo"])
def test_stress_is_the_slope_of_the_published_energies(published, name):
    """ΔE = V σ : ε between strained cells, with the mean of both ends (cells of Li differ by too little)."""
    known, expected = [], []
    for one, other in itertools.combinations(of_group(published, name, "Elastic"), 2):
        middle = (one.cell + other.cell) / 2
        strain = np.linalg.solve(middle, other.cell - one.cell)
        if len(one.species) == len(other.species) and np.abs(strain).max() < 0.05:
            known.append(other.energy - one.energy)
            expected.append(abs(np.linalg.det(middle)) * ((one.stress + other.stress) / 2 * strain).sum())
    assert len(known) >= 30
    print(name, len(known), np.std(known), np.sqrt(np.mean(np.subtract(known, expected) ** 2)))
    assert np.sqrt(np.mean(np.subtract(known, expected) ** 2)) < 0.1 * np.std(known)


@pytest.mark.slow
@pytest.mark.published
@pytest.mark.parametrize("name", ["mlearn-li", "mlearn-si", "mlearn-ge", "mlearn-mo"])
@pytest.mark.parametrize("group", ["AIMD-NVT", "Vacancy"])
def test_stress_is_that_of_a_fit_to_energies_and_forces(published, name, group):
    structures = StructureSet.from_structures(of_group(published, name, group)[:40])
    model, _ = fit_local([structures], Local(n_inducing=150), 1, lambda *_: None)
    shear = np.triu_indices(3, 1)
    found, known = (s[:, shear[0], shear[1]] for s in (model.stresses(structures), structures.stress))
    print(name, group, np.sqrt(np.mean((found - known) ** 2)) / np.sqrt(np.mean(known**2)))
    assert np.sqrt(np.mean((found - known) ** 2)) < 0.6 * np.sqrt(np.mean(known**2))


def test_six_numbers_in_kilobar():
    stress = stress_of_virial([1602.176634, 0, 0, 0, 16.02176634, 0], "Li", "Surface")
    assert stress == pytest.approx(np.array([[-1, 0, 0], [0, 0, -0.01], [0, -0.01, 0]]))
