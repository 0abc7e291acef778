"""The local process in the stages: data of changing cells and compositions, from split to networks."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.io import read, write
from ase.neighborlist import neighbor_list
from torch import distributed

from aenet_gpr_cli.baseline.repulsion import MARGIN
from aenet_gpr_cli.calculators.gpr_calculator import GPRCalculator
from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.md_config import MdConfig
from aenet_gpr_cli.config.stages.prediction_config import PredictConfig
from aenet_gpr_cli.config.workflow_config import WorkflowConfig
from aenet_gpr_cli.errors import ConfigError, InputError, InterruptedRun, NumericalError
from aenet_gpr_cli.gpr.local import accumulation, local_fit
from aenet_gpr_cli.gpr.local.local_model import LocalModel
from aenet_gpr_cli.gpr.process_settings import Local
from aenet_gpr_cli.gpr.surrogate import Surrogate
from aenet_gpr_cli.io.artefacts.artefact import Job, open_artefact, publish
from aenet_gpr_cli.io.artefacts.stored_gps import load_gps
from aenet_gpr_cli.io.artefacts.structure_sets import load_split, write_structures
from aenet_gpr_cli.settings import as_json
from aenet_gpr_cli.stages import collect_stage as collect
from aenet_gpr_cli.stages import predict_stage as predict
from aenet_gpr_cli.stages.fit_gpr import descriptor_contest, fit_local_stage
from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage as fit_gpr
from aenet_gpr_cli.stages.fit_gpr.model_kinds import full_candidates, why_local
from aenet_gpr_cli.stages.inspection import show
from aenet_gpr_cli.stages.md import md_stage as md
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.workflow_steps import steps
from aenet_gpr_cli.structures import StructureSet
from tests.gpr.local.test_local_process import alloy
from tests.gpr.small_molecule import make_set
from tests.stages.test_processes_of_training import torchrun

LOCAL = {
    "radial_cutoff": 4.5,
    "radial_order": 6,
    "angular_order": 3,
    "n_inducing": 60,
    "angular_cutoffs": [3.5],
}


def build_local() -> Local:
    """The keys of the local process."""
    return build(Local, LOCAL, "local")


def as_atoms(one: StructureSet) -> Atoms:
    """With energy, forces and stress as extxyz holds them."""
    atoms = Atoms(one.species, one.positions[0], cell=one.cells[0], pbc=True)
    atoms.info["energy"], atoms.arrays["forces"] = one.energies[0], one.forces[0]
    atoms.info["stress"] = one.stress[0]
    return atoms


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """No two structures share a cell; `auto` finds that out by itself."""
    folder = tmp_path_factory.mktemp("alloy")
    for name, n, seed in (("train", 24, 3), ("test", 8, 4)):
        write(folder / f"{name}.extxyz", [as_atoms(s) for s in alloy(n, seed)])
    network = {
        "radial_cutoff": 4.5,
        "radial_order": 6,
        "angular_cutoffs": [3.5],
        "angular_order": 3,
        "hidden": [5],
    }
    workflow = {
        "name": "alloy",
        "seed": 1,
        "split": {"inputs": ["train.extxyz"], "test_inputs": ["test.extxyz"]},
        "fit_gpr": {"local": LOCAL},
        "augment": {"gpr": {"displacement": 0.05, "n_copies": 4}},
        "train_ann": {
            "gpr": {"mode": "gpr", "network": network, "levenberg_marquardt": {"iterations": 10}},
            "energy_only": {
                "mode": "energy_only", "network": network, "levenberg_marquardt": {"iterations": 10}
            },
        },
        "evaluate": {"plots": False},
    }  # fmt: skip
    config = build(WorkflowConfig, workflow, "alloy")
    for step in steps(config, folder, folder / "run"):
        step(Context())
    return folder / "run"


def test_one_process_serves_all_cells_and_networks_learn_forces_from_its_labels(finished):
    (name,) = load_gps(finished / "gpr.h5")
    assert name == "local"
    metrics = json.loads((finished / "metrics.json").read_text())
    test = load_split(finished / "split.h5", "test").values()
    spread = np.mean([np.abs(s.forces).mean() for s in test])
    errors = {model: found["total"]["force_component_mae"] for model, found in metrics.items()}
    assert errors["gpr"] < 0.2 * spread
    assert errors["ann_gpr"] < 0.6 * errors["ann_energy_only"]


def test_what_is_stored_is_what_was_fitted(finished):
    model = load_gps(finished / "gpr.h5")["local"]
    assert isinstance(model, LocalModel)
    again = load_gps(finished / "gpr.h5")["local"]
    one = alloy(1, seed=9)[0]
    np.testing.assert_array_equal(model.energies(one), again.energies(one))
    assert 0.3 < model.sigma_factor < 3.0
    assert 0.0 < model.left_out_error < 0.2
    assert model.noise_virial > 0.0  # the data have a stress
    with open_artefact(finished / "gpr.h5") as file:
        (note,) = (n for n in json.loads(file.attrs["summary"])["notes"] if "left-out structures" in n)
    found = re.search(r"stress (\S+) GPa \(trained on, too\)", note)
    assert float(found[1]) == pytest.approx(160.21766 * model.left_out_stress_error, rel=5e-3)


def test_the_calculator_gives_the_stress_of_any_cell(finished):
    one = alloy(1, seed=11)[0]
    twice = as_atoms(one) * (2, 1, 1)
    calculator = GPRCalculator.from_file(finished / "gpr.h5")
    single = as_atoms(one)
    single.calc, twice.calc = calculator, GPRCalculator.from_file(finished / "gpr.h5")
    # coefficients of 6e7 round
    assert twice.get_potential_energy() == pytest.approx(2 * single.get_potential_energy(), abs=1e-7)
    np.testing.assert_allclose(twice.get_stress(), single.get_stress(), atol=1e-10)
    assert np.abs(single.get_stress()).max() > 1e-4
    assert single.calc.get_property("energy_std", single) > 0.0


def test_a_collision_is_told_as_such_and_stops_dynamics(finished, tmp_path):
    atoms = read(finished.parent / "train.extxyz", 0)
    atoms.calc = None
    write(tmp_path / "fine.xyz", atoms, format="extxyz")
    atoms.positions[0] = atoms.positions[1] + [0.0, 0.0, 1.6]
    write(tmp_path / "hit.xyz", atoms, format="extxyz")
    inputs = [tmp_path / "fine.xyz", tmp_path / "hit.xyz"]
    summary = predict.run(PredictConfig(), finished / "gpr.h5", inputs, tmp_path / "p.h5", Context())
    (warning,) = (note for note in summary.notes if "outside" in note)
    assert "1 of 2 structures are outside the training data" in warning
    assert "Å apart, nearer than any such pair in training" in warning
    config = MdConfig(ensemble="nve", time_ps=0.01, stop_beyond=0.5)
    with pytest.raises(NumericalError, match=r"outside the training data by .* above stop_beyond"):
        md.run(config, finished / "gpr.h5", tmp_path / "hit.xyz", tmp_path / "md.h5", Context())


def test_a_subset_without_a_full_process_is_no_part(finished, tmp_path):
    names = list(load_split(finished / "split.h5", "train"))
    with pytest.raises(ConfigError, match=r"has no full process.*--part K/N"):
        fit_gpr.run(FitGprConfig(), finished / "split.h5", tmp_path / "g.h5", Context(), names[:1])


def shortest(sets):
    """The shortest distance of two atoms in any structure, Å."""
    every = (s.structure(i) for s in sets for i in range(len(s)))
    return min(
        neighbor_list("d", Atoms(s.species, s.positions, cell=s.cell, pbc=True), 3.0).min() for s in every
    )


def predictions(path):
    """Energies, their σ and forces of structures that nothing was fitted to, by the local process."""
    model, others = load_gps(path)["local"], alloy(3, seed=12)
    assert isinstance(model, LocalModel)
    return [
        np.concatenate([of(one).ravel() for one in others])
        for of in (model.energies, model.energy_sigma, model.force_component_sigma)
    ]


def test_parts_and_interrupted_runs_give_the_process_of_one_run(finished, tmp_path, monkeypatch):
    config = FitGprConfig(local=build_local(), baseline="zbl")
    whole, inputs = tmp_path / "whole.h5", finished / "split.h5"
    fit_gpr.run(config, inputs, whole, Context())
    parts = [tmp_path / f"part_{k}.h5" for k in range(3)]
    for k, path in enumerate(parts):
        fit_gpr.run(config, inputs, path, Context(), share=(k, 3))
    with pytest.raises(InputError, match=r"collect all parts first"):
        load_gps(parts[0])
    with pytest.raises(InputError, match=r"local 2 of 3 missing"):
        collect.run([parts[0], parts[2]], tmp_path / "x.h5", Context())
    other = tmp_path / "half.h5"
    fit_gpr.run(config, inputs, other, Context(), share=(1, 2))
    with pytest.raises(InputError, match="parts of one number of parts"):
        collect.run([parts[0], other], tmp_path / "x.h5", Context())
    joined = tmp_path / "joined.h5"
    collect.run(parts[::-1], joined, Context())
    monkeypatch.setattr(fit_local_stage, "SECONDS_BETWEEN_STATES", 0.0)
    monkeypatch.setattr(accumulation, "ATOMS_PER_BLOCK", 16)
    resumed = tmp_path / "resumed.h5"

    def stop() -> bool:
        return "structures" in seen

    seen = ""

    def look(done, total, message):
        nonlocal seen
        seen = message if done > 10 else ""

    with pytest.raises(InterruptedRun):
        fit_gpr.run(config, inputs, resumed, Context(look, stop=stop))
    chosen = []
    monkeypatch.setattr(fit_local_stage, "choose_design", lambda *_: chosen.append(0))
    fit_gpr.run(config, inputs, resumed, Context())
    assert not chosen  # goes on from the sums

    def walls(path):
        model = load_gps(path)["local"]
        assert isinstance(model, LocalModel)
        assert model.repulsion is not None
        return model.repulsion.outer

    outer = walls(whole)
    near = MARGIN * shortest(load_split(inputs, "train").values())
    assert outer.min() == pytest.approx(near)

    def nearest(path):
        model = load_gps(path)["local"]
        assert isinstance(model, LocalModel)
        assert model.shortest is not None
        return model.shortest

    assert nearest(whole).min() == pytest.approx(shortest(load_split(inputs, "train").values()))
    for path in (joined, resumed):
        np.testing.assert_array_equal(walls(path), outer)
        np.testing.assert_array_equal(nearest(path), nearest(whole))
        energies, sigma, of_forces = zip(predictions(path), predictions(whole), strict=True)
        np.testing.assert_allclose(*energies, atol=2e-6)  # eV
        # their scale comes from small differences between what is left out and what is known of it
        np.testing.assert_allclose(*sigma, rtol=1e-3)
        np.testing.assert_allclose(*of_forces, rtol=1e-3)


def test_why_a_subset_gets_the_local_process_without_a_comparison():
    def cell(size: float, n: int) -> StructureSet:
        rng = np.random.default_rng(0)
        cells = np.tile(size * np.eye(3), (n, 1, 1))
        return StructureSet(
            ("Cu", "Cu"), rng.random((n, 2, 3)), cells, (True,) * 3, np.zeros(n), np.zeros((n, 2, 3))
        )

    config, large = FitGprConfig(), cell(9.0, 6)
    molecule = replace(large, cells=None, pbc=(False,) * 3)
    subsets = {
        "large": large,
        "molecule": molecule,
        "small": cell(4.0, 6),
        "few": cell(9.0, 2),
        "no forces": replace(large, forces=None),
        "strained": replace(large, cells=large.cells * np.linspace(1.0, 1.01, 6)[:, None, None]),
    }
    assert list(full_candidates(config, subsets)) == ["large", "molecule", "small"]  # by soap alone
    assert "cell below 5 Å" in why_local(FitGprConfig(descriptor="inverse_distance"), subsets["small"])
    assert why_local(config, subsets["strained"]) == "the cell varies"
    assert list(full_candidates(FitGprConfig(descriptor="soap"), {"a": subsets["small"]})) == ["a"]
    with pytest.raises(InputError, match="strained: expected one cell for a full process"):
        full_candidates(FitGprConfig(model="full"), subsets)
    del subsets["strained"]
    assert list(full_candidates(FitGprConfig(model="full"), subsets)) == list(subsets)
    assert full_candidates(FitGprConfig(model="local"), subsets) == {}


@pytest.fixture(scope="module")
def molecules_and_alloy(tmp_path_factory):
    """Many structures of a small molecule with a smooth energy, and two-atom cells that vary."""
    path = tmp_path_factory.mktemp("both") / "split.h5"
    molecules = replace(make_set(40, seed=1), names=tuple(f"m{i}" for i in range(40)))
    cells = [replace(s, names=(f"c{i}",)) for i, s in enumerate(alloy(12, seed=5))]
    with publish(path, Job("split", {}, {})) as file:
        write_structures(file.create_group("train/molecule"), molecules)
        kinds = cells[0].species  # the same names everywhere: what matters here is that the cells vary
        structures = StructureSet.from_structures([replace(s.structure(0), species=kinds) for s in cells])
        write_structures(file.create_group("train/strained"), structures)
        file.create_group("test")
    return path


AUTO = {"local": LOCAL, "power": 1.0, "search": {"max_evaluations": 8}}


def test_auto_takes_the_full_process_of_a_molecule_and_the_local_one_of_cells_that_vary(
    molecules_and_alloy, tmp_path
):
    config = build(FitGprConfig, AUTO, "auto")
    output = tmp_path / "gpr.h5"
    table = fit_gpr.run(config, molecules_and_alloy, output, Context())
    processes = load_gps(output)
    assert set(processes) == {"molecule", "local"}
    assert isinstance(processes["molecule"], Surrogate)
    assert isinstance(processes["local"], LocalModel)
    notes = "\n".join(table.notes)
    assert re.search(r"molecule: full \(left-out errors full \S+ meV and \S+ eV/Å, local \S+ meV", notes)
    assert "local for 1 subset: the cell varies" in notes
    # by parts the same
    parts = [tmp_path / f"{k}.h5" for k in range(2)]
    for k, path in enumerate(parts):
        fit_gpr.run(config, molecules_and_alloy, path, Context(), share=(k, 2))
    joined = tmp_path / "joined.h5"
    assert collect.run(parts, joined, Context()).notes[:-1] == table.notes[:-1]
    assert set(load_gps(joined)) == set(processes)


def test_a_full_process_beyond_the_budget_or_the_memory_is_not_fitted(molecules_and_alloy, tmp_path):
    short = build(FitGprConfig, AUTO | {"comparison_minutes": 1e-9}, "auto")
    table = fit_gpr.run(short, molecules_and_alloy, tmp_path / "a.h5", Context())
    assert "molecule: local (a full process is beyond comparison_minutes: 1e-09)" in table.notes
    assert set(load_gps(tmp_path / "a.h5")) == {"local"}
    small = build(
        FitGprConfig,
        AUTO
        | {
            "max_memory_gib": 0.002,
            "solver": "cholesky",
            "local": LOCAL | {"n_inducing": 10, "radial_cutoff": 2.0, "angular_cutoffs": [1.5]},
        },
        "auto",
    )
    table = fit_gpr.run(small, molecules_and_alloy, tmp_path / "b.h5", Context())
    assert "molecule: local (no full process: subset molecule: " in "\n".join(table.notes)


def test_few_structures_decide_where_no_factor_does(molecules_and_alloy, tmp_path, monkeypatch):
    """The matrix-free solver has no closed form; both are compared on a part before it starts."""
    monkeypatch.setattr(descriptor_contest, "SAMPLE_ROWS", 150)
    config = build(FitGprConfig, AUTO | {"solver": "conjugate_gradient"}, "auto")
    table = fit_gpr.run(config, molecules_and_alloy, tmp_path / "a.h5", Context())
    (line,) = [note for note in table.notes if note.startswith("molecule: ")]
    assert "fitted to 11 of its structures" in line
    assert ("molecule" in load_gps(tmp_path / "a.h5")) == line.startswith("molecule: full")


@pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()),
    reason="torch was built without gloo",
)
def test_two_processes_give_what_one_gives(molecules_and_alloy, tmp_path):
    config = build(FitGprConfig, AUTO, "auto")
    (tmp_path / "fit.yaml").write_text(yaml.safe_dump(as_json(config)))
    options = "-c", tmp_path / "fit.yaml", "-o", tmp_path / "two.h5"
    done = torchrun("-m", "aenet_gpr_cli", "fit-gpr", molecules_and_alloy, *options)
    assert done.returncode == 0, done.stderr
    fit_gpr.run(config, molecules_and_alloy, tmp_path / "one.h5", Context())
    one, two = (load_gps(tmp_path / f"{name}.h5") for name in ("one", "two"))
    assert set(one) == set(two) == {"molecule", "local"}
    for s in alloy(3, seed=12):
        np.testing.assert_allclose(two["local"].energies(s), one["local"].energies(s), rtol=1e-6)
    molecule = make_set(3, seed=9)
    np.testing.assert_allclose(
        two["molecule"].energies(molecule), one["molecule"].energies(molecule), rtol=1e-12
    )
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == set()


def test_parts_whose_metrics_differ_by_amplified_rounding_are_refused(finished, tmp_path, monkeypatch):
    """As on processors of two kinds: joined, their rows would disagree by more than noise, and σ grow."""
    config, inputs = FitGprConfig(local=build_local()), finished / "split.h5"
    parts, plain = [tmp_path / f"part_{k}.h5" for k in range(2)], local_fit.learned_metric
    monkeypatch.setattr(local_fit, "FEWEST_OF_METRIC", 1)
    for k, path in enumerate(parts):
        change = 1.0 + 1e-7 * k
        monkeypatch.setattr(local_fit, "learned_metric", lambda *given, c=change: c * plain(*given))
        fit_gpr.run(config, inputs, path, Context(), share=(k, 2))
    with pytest.raises(InputError, match="processors of one kind"):
        collect.run(parts, tmp_path / "joined.h5", Context())


def test_a_process_with_soap_is_named_as_such_and_shown(finished, tmp_path, caplog):
    """And where `auto` leaves settings of SOAP idle, as several elements are there, that is said."""
    soap = {"cutoff": 4.0, "n_max": 3, "l_max": 2}
    keys = {"model": "local", "local": {"n_inducing": 30, "length_scale": 16.0, "soap": soap}}
    keys["local"]["descriptor"] = "soap"
    config = build(FitGprConfig, keys, "fit_gpr")
    summary = fit_gpr.run(config, finished / "split.h5", tmp_path / "gpr.h5", Context())
    assert summary.rows[0][3].startswith("soap, ")
    assert "SOAP up to 4 Å (n_max 3, l_max 2, sigma 0.5 Å)" in str(show(tmp_path / "gpr.h5"))
    assert not [record for record in caplog.records if "local.soap" in record.getMessage()]
    both = {**keys, "local": {"soap": soap}}
    fit_gpr.run(
        build(FitGprConfig, both, "fit_gpr"), finished / "split.h5", tmp_path / "b.h5", Context(dry_run=True)
    )
    (said,) = [record.getMessage() for record in caplog.records if "local.soap" in record.getMessage()]
    assert "several elements (Au, Cu)" in said
