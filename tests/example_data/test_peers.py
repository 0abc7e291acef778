"""The scripts that run peers: what they ask for, and how errors are averaged, without the peers."""

import argparse
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

from aenet_gpr_cli.config.reading import STAGES, build
from aenet_gpr_cli.config.recipes import stages
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
            for name in (
                "common",
                "peer_rows",
                "peer_measure",
                "gap",
                "gdml",
                "mace_model",
                "both_sets",
                "ours",
            )
        }


@pytest.fixture
def gap(peers):
    return peers["gap"]


@pytest.fixture
def common(peers):
    return peers["common"]


@pytest.fixture
def rows(peers):
    return peers["peer_rows"]


@pytest.fixture
def measure(peers):
    return peers["peer_measure"]


def labelled_copper(energy_shift=0.0, force_shift=0.0, seed=3):
    """Copper by EMT, labelled with what differs from it by so much."""
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=seed)
    atoms.calc = EMT()
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    atoms.calc = SinglePointCalculator(atoms, energy=energy + energy_shift, forces=forces + force_shift)
    return atoms


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


def test_errors_are_averaged_over_structures_and_over_atoms(rows):
    found = [
        {"energy": 0.002, "forces": [[0.3, 0.0, 0.4]], "norms": [0.3]},
        {"energy": -0.002, "forces": [[0.0, 0.0, 0.1], [0.0, -0.1, 0.0]], "norms": [0.0, -0.06]},
    ]
    assert rows.errors(found) == pytest.approx(
        {
            "structures": 2,
            "energy_mev": 2.0,
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


def test_a_fit_that_ended_is_not_done_again_while_its_command_stays(common, tmp_path):
    touch = "import sys, pathlib; pathlib.Path(sys.argv[1]).open('a').write('x')"
    command = [sys.executable, "-c", touch, str(tmp_path / "count")]
    first = common.fitted(command, tmp_path / "fit.log")
    assert common.fitted(command, tmp_path / "fit.log") == first
    assert (tmp_path / "count").read_text() == "x"
    common.fitted([*command, "more"], tmp_path / "fit.log")
    assert (tmp_path / "count").read_text() == "xx"


def test_costs_of_stages_add_up_and_the_largest_memory_counts(rows):
    assert rows.Cost(1.0, 2.0, 300.0) + rows.Cost(10.0, 20.0, 200.0) == rows.Cost(11.0, 22.0, 300.0)


def test_differences_are_those_of_the_calculator(measure):
    (found,) = measure.differences([labelled_copper(-0.04, -0.1)], EMT())
    assert found["energy"] == pytest.approx(0.04)
    assert np.allclose(found["forces"], 0.1)


def test_errors_of_peers_are_measured_as_our_own(rows, measure):
    atoms = labelled_copper(0.02)
    predicted = atoms.get_forces()
    forces = predicted[:, [1, 2, 0]] + 0.01
    atoms.calc = SinglePointCalculator(atoms, energy=atoms.get_potential_energy(), forces=forces)
    species, energies = tuple(atoms.get_chemical_symbols()), np.array([atoms.get_potential_energy()])
    reference = StructureSet(species, atoms.positions[None], energies=energies, forces=forces[None])
    ours = metrics_from_sums(error_sums(reference, energies[None] - 0.02, predicted[None, None]))
    found = rows.errors(measure.differences([atoms], EMT()))
    assert found["energy_mev"] == pytest.approx(1000 * ours["energy_mae"])
    assert found["force_norm"] == pytest.approx(ours["force_norm_mae"])
    assert found["force_component"] == pytest.approx(ours["force_component_mae"])


class Counting(EMT):
    """EMT that remembers the positions it was asked for."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def calculate(self, atoms=None, *args, **kwargs):
        self.seen.append(atoms.get_positions())
        super().calculate(atoms, *args, **kwargs)


def test_a_step_is_energy_and_forces_of_the_largest_structure_after_atoms_moved(measure, tmp_path):
    small = labelled_copper()
    large = small.repeat((2, 1, 1))
    large.calc = SinglePointCalculator(large, energy=0.0, forces=np.zeros((8, 3)))
    calculator = Counting()
    measure.measure([small, large, small], calculator, tmp_path / "m.json")
    found = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert found["step"]["atoms"] == 8
    assert found["step"]["ms"] > 0
    steps = calculator.seen[
        3:
    ]  # after the three structures: one calculation a call, none answered from memory
    assert len(steps) == measure.WARM_UP + measure.MOST_CALLS
    moves = np.diff(steps, axis=0)
    assert (np.abs(moves).max(axis=(1, 2)) > 0).all()
    assert np.abs(moves).max() < 10 * measure.MOVE


def test_a_table_has_a_row_of_all_and_rows_of_groups_where_there_are_several(rows):
    def row(group, energy):
        return {"group": group, "energy": energy, "forces": [[0.0, 0.0, 0.0]], "norms": [0.0]}

    measured = {"structures": [row("a", 0.001), row("b", 0.003)], "step": {"ms": 2.0, "atoms": 1}}
    cost = rows.Cost(1.0, 2.0, 3.0)
    found = rows.rows_of({"set": "s", "model": "m", "settings": "x"}, measured, cost, cost)
    assert [(r["group"], pytest.approx(r["energy_mev"])) for r in found] == [
        ("all", 2.0),
        ("a", 1.0),
        ("b", 3.0),
    ]
    assert found[0]["step_ms"] == 2.0
    alike = measured | {"structures": [row("a", 0.001)]}
    assert len(rows.rows_of({"set": "s"}, alike, cost, cost)) == 1


def test_our_models_learn_from_the_same_files(peers, tmp_path):
    options = argparse.Namespace(train=tmp_path / "train.xyz", test=tmp_path / "test.xyz")
    keys = peers["ours"].keys(options)
    assert keys["split"]["inputs"] == [str(tmp_path / "train.xyz")]
    assert keys["split"]["test_inputs"] == [str(tmp_path / "test.xyz")]
    of_stage = {"split": "split", "full process": "fit-gpr", "local process": "fit-gpr", "copies": "augment"}
    for name, values in keys.items():
        build(STAGES[of_stage.get(name, "train-ann")], values, name)


def test_our_models_have_the_keys_of_init_but_one_network(peers):
    keys = peers["ours"].keys(argparse.Namespace(train=Path("train.xyz"), test=Path("test.xyz")))
    recipe = stages("usual", forces=True, mixed=True, blocks=None)
    for name in ("direct", "combined"):
        written = recipe["train_ann"]["defaults"] | recipe["train_ann"][name] | {"n_members": 1, "seed": 1}
        assert keys[name] == written
    assert keys["copies"] == recipe["augment"]["gpr"] | {"seed": 1}


class Stages:
    """What `ours.py` would run, each for a second."""

    def __init__(self, cost):
        self.cost, self.ran = cost, []

    def __call__(self, command, log):
        self.ran.append((command[3], *(Path(word).stem for word in command[4:] if word.endswith(".h5"))))
        return self.cost(1.0, 1.0, 100.0)


def test_the_cost_of_networks_has_that_of_their_labels(peers, monkeypatch, tmp_path):
    ours, stage = peers["ours"], Stages(peers["peer_rows"].Cost)
    monkeypatch.setattr(ours, "fitted", stage)
    monkeypatch.setattr(ours, "timed", stage)
    options = argparse.Namespace(train=Path("train.xyz"), test=Path("test.xyz"), work=tmp_path)
    models = ours.fit_all(options, ["local process", "GPR-ANN", "direct", "combined"])
    assert [model.cost.cpu_s for model in models] == [1.0, 3.0, 1.0, 3.0]
    assert stage.ran == [
        ("split", "split"),
        ("fit-gpr", "split", "local_process"),
        ("augment", "split", "local_process", "copies"),
        ("train-ann", "split", "copies", "GPR-ANN"),
        ("train-ann", "split", "direct"),
        ("train-ann", "split", "copies", "combined"),
    ]


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
