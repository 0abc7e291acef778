"""The scripts that run peers: what they ask for, and how errors are averaged, without the peers."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from aenet_gpr_cli.evaluation.error_sums import error_sums
from aenet_gpr_cli.evaluation.metrics import metrics_from_sums
from aenet_gpr_cli.structures import StructureSet
from tests.example_data.scripts import importable

FOLDER = Path(__file__).parents[2] / "example_data" / "peers"


@pytest.fixture(scope="module")
def peers():
    with importable(FOLDER):
        yield {
            name: importlib.import_module(name)
            for name in ("common", "gap", "gdml", "mace_model", "both_sets")
        }


@pytest.fixture
def gap(peers):
    return peers["gap"]


@pytest.fixture
def common(peers):
    return peers["common"]


def test_stress_is_left_out_and_nothing_else(gap, tmp_path):
    header = 'Lattice="1 0 0 0 1 0 0 0 1" Properties=species:S:1:pos:R:3 energy=-1.5 {}config_type=a\n'
    source = tmp_path / "set.xyz"
    source.write_text("1\n" + header.format('stress="1 0 0 0 1 0 0 0 1" ') + "Li 0 0 0\n")
    assert gap.for_gap_fit(source, tmp_path / "out.xyz").read_text() == f"1\n{header.format('')}Li 0 0 0\n"


def test_isolated_structures_get_a_box_without_which_gap_fit_reads_no_energies(peers, tmp_path):
    gap = peers["gap"]
    frame = "1\n{}Properties=species:S:1:pos:R:3 energy=-1.5\nH 0 0 0\n"
    source = tmp_path / "set.xyz"
    source.write_text(2 * frame.format(""))
    assert gap.for_gap_fit(source, tmp_path / "out.xyz").read_text() == 2 * frame.format(gap.BOX)


def test_errors_are_averaged_over_structures_and_over_atoms(common):
    found = [
        {"energy": 0.002, "forces": [[0.3, 0.0, 0.4]], "norms": [0.3]},
        {"energy": -0.001, "forces": [[0.0, 0.0, 0.1], [0.0, -0.1, 0.0]], "norms": [0.0, -0.06]},
    ]
    assert common.errors(found) == pytest.approx(
        {
            "structures": 2,
            "energy_per_atom_mev": 1.5,
            "force_component": 0.1,
            "force_norm": 0.12,
            "force_norm_of_difference": 0.7 / 3,
        }
    )


def test_a_failing_program_shows_the_end_of_its_log(common, tmp_path):
    with pytest.raises(SystemExit, match="no such thing"):
        common.timed([sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path / "log")
    cost = common.timed([sys.executable, "-c", "x = bytearray(50_000_000)"], tmp_path / "log")
    assert cost.cpu_s > 0
    assert cost.mib > 50


def test_differences_are_those_of_the_calculator(common, tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=3)
    atoms.calc = EMT()
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    atoms.calc = SinglePointCalculator(atoms, energy=energy - 0.04, forces=forces - 0.1)
    common.differences([atoms], EMT(), tmp_path / "d.json")
    (found,) = json.loads((tmp_path / "d.json").read_text(encoding="utf-8"))
    assert found["energy"] == pytest.approx(0.01)
    assert np.allclose(found["forces"], 0.1)


def test_errors_of_peers_are_measured_as_our_own(common, tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=3)
    atoms.calc = EMT()
    predicted = atoms.get_forces()
    forces = predicted[:, [1, 2, 0]] + 0.01
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=forces)
    species = tuple(atoms.get_chemical_symbols())
    reference = StructureSet(species, atoms.positions[None], energies=np.zeros(1), forces=forces[None])
    common.differences([atoms], EMT(), tmp_path / "d.json")
    found = common.errors(json.loads((tmp_path / "d.json").read_text(encoding="utf-8")))
    ours = metrics_from_sums(error_sums(reference, np.zeros((1, 1)), predicted[None, None]))
    assert found["force_norm"] == pytest.approx(ours["force_norm_mae"])
    assert found["force_component"] == pytest.approx(ours["force_component_mae"])


def test_peers_see_the_structures_of_the_split(peers, tmp_path):
    frames = []
    for seed in range(6):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=seed)
        atoms.calc = EMT()
        atoms.get_forces()
        frames.append(atoms)
    write(tmp_path / "cu.xyz", frames)
    split = tmp_path / "split.h5"
    command = [sys.executable, "-m", "aenet_gpr_cli", "split", str(tmp_path / "cu.xyz"), "-o", str(split)]
    subprocess.run([*command, "--set", "train=0.5"], check=True, capture_output=True)
    peers["both_sets"].write(split, tmp_path / "sets")
    parts = [read(tmp_path / "sets" / f"{part}.xyz", ":") for part in ("train", "test")]
    energies = [a.get_potential_energy() for part in parts for a in part]
    assert len(parts[0]) == 3
    assert sorted(energies) == pytest.approx(sorted(a.get_potential_energy() for a in frames))
    given = {round(a.get_potential_energy(), 6): a.get_forces() for a in frames}
    for atoms in parts[1]:
        assert np.allclose(atoms.get_forces(), given[round(atoms.get_potential_energy(), 6)], atol=1e-6)
