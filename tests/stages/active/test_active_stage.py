"""From uncertainty to reference calculations and back: select, label and active on the embedded H2 data."""

import csv
import json
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.io import read

from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.stages.active_config import (
    ActiveConfig,
    CalculatorConfig,
    LabelConfig,
    SelectConfig,
)
from aenet_gpr_cli.errors import ConfigError, InputError, InterruptedRun, NumericalError, ResourceError
from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.io.formats.sources import read_sources
from aenet_gpr_cli.io.formats.xsf import write_xsf
from aenet_gpr_cli.io.hdf5.checksums import seal
from aenet_gpr_cli.reports import figure_files as figures
from aenet_gpr_cli.stages import label_stage as label
from aenet_gpr_cli.stages import select_stage as select
from aenet_gpr_cli.stages.active import active_stage as active
from aenet_gpr_cli.stages.ranking import _spread
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.shared.predictors import Prediction, load_predictor
from aenet_gpr_cli.stages.split import split_stage as split
from aenet_gpr_cli.structures import Structure, StructureSet
from tests.finished_runs import CASE, ROOT
from tests.stages.unfinished import after, signalled

POOL = ROOT / "example_data" / "h2" / "test_set.zip"
LENNARD_JONES = {"name": "lj", "parameters": {"epsilon": 1.0, "sigma": 1.0, "rc": 3.0}}
CALCULATOR = CalculatorConfig(**LENNARD_JONES)


def bond_lengths(structures):
    return np.array([np.linalg.norm(s.positions[1] - s.positions[0]) for s in structures])


@pytest.fixture
def selected(finished, tmp_path):
    output = tmp_path / "selected.h5"
    select.run(SelectConfig(n_select=6), finished / "gpr.h5", [POOL], output, Context())
    return output


def test_the_most_uncertain_are_selected_without_their_labels(finished, tmp_path):
    output = tmp_path / "selected.h5"
    config = SelectConfig(n_select=5, batch="ranked", write=("xsf", "extxyz"))
    table = select.run(config, finished / "gpr.h5", [POOL], output, Context())
    chosen = select.load_selected(output)
    assert len(chosen) == 5
    with h5py.File(output) as file:
        sigma = file["pool/H2/force_sigma"][()]
        assert sorted(file["subsets/H2/force_sigma"][()]) == sorted(sigma)[-5:]
        assert file["pool/H2/force_sigma"].attrs["unit"] == "eV/Å"
    listed = read_sources([tmp_path / "selected_xsf"])
    assert all(s.energy is None and s.forces is None for s in listed)
    np.testing.assert_allclose(bond_lengths(listed), bond_lengths(chosen), rtol=1e-14)
    frames = read(tmp_path / "selected_structures.extxyz", ":")
    assert [a.info["name"] for a in frames] == [s.name for s in chosen]
    assert {a.info["force_std"] for a in frames} == set(sorted(sigma)[-5:])
    assert table.rows[0][1:3] == ["200", "5"]


def test_a_threshold_selects_all_above(finished, tmp_path):
    with_all = SelectConfig(n_select=200, batch="ranked")
    select.run(with_all, finished / "gpr.h5", [POOL], tmp_path / "all.h5", Context())
    with h5py.File(tmp_path / "all.h5") as file:
        sigma = file["pool/H2/force_sigma"][()]
    limit = float(np.median(sigma))
    config = SelectConfig(n_select=None, threshold=limit)
    select.run(config, finished / "gpr.h5", [POOL], tmp_path / "some.h5", Context())
    assert len(select.load_selected(tmp_path / "some.h5")) == (sigma > limit).sum()


def test_diversity_spreads_the_selection(finished, tmp_path):
    spread = []
    for diversity in (1, 20):
        config = SelectConfig(n_select=5, batch="far_apart", diversity=diversity)
        select.run(config, finished / "gpr.h5", [POOL], tmp_path / "s.h5", Context(force=True))
        lengths = np.sort(bond_lengths(select.load_selected(tmp_path / "s.h5")))
        spread.append(np.diff(lengths).min())
    assert spread[1] > 2 * spread[0]


def test_a_committee_ranks_and_a_single_network_cannot(finished, tmp_path):
    config = SelectConfig(n_select=5)
    table = select.run(config, finished / "ann_gpr.h5", [POOL], tmp_path / "s.h5", Context())
    assert table.rows[0][2] == "5"
    predictor = load_predictor(finished / "ann_gpr.h5", "none", 1, 1.0)
    forces = predictor.predict(StructureSet.from_structures(read_sources([POOL])), None).forces
    spread = (forces.std(axis=0, ddof=1) ** 2).mean(axis=2)
    assert spread.min() > 0.0
    for over, expected in (("mean", spread.mean(axis=1)), ("max", spread.max(axis=1))):
        config = SelectConfig(n_select=5, over_atoms=over)
        select.run(config, finished / "ann_gpr.h5", [POOL], tmp_path / "s.h5", Context())
        with h5py.File(tmp_path / "s.h5") as file:
            np.testing.assert_allclose(file["pool/H2/force_sigma"][()] ** 2, expected, rtol=1e-6)
    with h5py.File(finished / "ann_gpr.h5") as file, h5py.File(tmp_path / "one.h5", "w") as copy:
        for name in file:
            file.copy(name, copy)
        copy.attrs.update(file.attrs)
        copy["model"].pop("sigma", None)
        for network in copy["model/networks"].values():
            for layer in [k for k in network if k.startswith("layer_")]:
                values = network[f"{layer}/layer"][()][:1]
                del network[f"{layer}/layer"]
                network[f"{layer}/layer"] = values
        seal(copy)
    with pytest.raises(ConfigError, match="a single network has no uncertainty"):
        select.run(config, tmp_path / "one.h5", [POOL], tmp_path / "t.h5", Context())
    found = Prediction(np.zeros((1, 3)), np.zeros((1, 3, 2, 3)), np.ones(3))
    with pytest.raises(ConfigError, match="have no uncertainty; expected energies, whose σ it has"):
        _spread(config, tmp_path / "one.h5", found)


def test_exact_and_bound_agree_where_all_rows_are_used_and_energies_rank_too(finished, tmp_path):
    found = {}
    for sigma in ("bound", "exact"):
        for by, name in (("forces", "force_sigma"), ("energies", "sigma")):
            config = SelectConfig(n_select=5, sigma=sigma, rank_by=by)
            select.run(config, finished / "gpr.h5", [POOL], tmp_path / "s.h5", Context())
            with h5py.File(tmp_path / "s.h5") as file:
                found[by, sigma] = file[f"pool/H2/{name}"][()]
    for by in ("forces", "energies"):
        np.testing.assert_allclose(found[by, "bound"], found[by, "exact"], rtol=1e-6)
    predictor = load_predictor(finished / "gpr.h5", "exact", 1, 16.0)
    expected = predictor.predict(StructureSet.from_structures(read_sources([POOL])), None).sigma
    # rounding: the noise is 1e-6 of the signal, variances are differences of numbers 1e6 times as large
    np.testing.assert_allclose(found["energies", "exact"], expected, rtol=1e-2)


def test_a_batch_does_not_crowd(finished, tmp_path):
    """The pool three times over: one after another takes no structure twice, a plain ranking does."""
    lengths = {}
    for copy in range(3):
        folder = tmp_path / "p" / str(copy)
        folder.mkdir(parents=True)
        for s in read_sources([POOL])[::10]:
            write_xsf(Structure(s.species, s.positions), folder / Path(s.name).name)
    for batch in ("ranked", "conditioned", "variance_reduction"):
        config = SelectConfig(n_select=4, batch=batch)
        select.run(config, finished / "gpr.h5", [tmp_path / "p"], tmp_path / "s.h5", Context())
        lengths[batch] = np.unique(bond_lengths(select.load_selected(tmp_path / "s.h5")).round(9))
    assert len(lengths["variance_reduction"]) == 4
    # in one dimension all is known after a few, to the rounding of a noise of 1e-6
    assert len(lengths["conditioned"]) >= 3 > len(lengths["ranked"])


def test_what_a_process_cannot_give_is_told(finished, tmp_path):
    for config, error, said in (
        (SelectConfig(over_atoms="max"), ConfigError, "over_atoms: max needs a committee"),
        (SelectConfig(sigma="exact", max_memory_gib=1e-9), ResourceError, "use sigma: bound"),
    ):
        with pytest.raises(error, match=said):
            select.run(config, finished / "gpr.h5", [POOL], tmp_path / "s.h5", Context())
    with pytest.raises(ConfigError, match="expected a model"):
        select.run(SelectConfig(), None, [POOL], tmp_path / "s.h5", Context())


def test_a_large_pool_is_compared_in_part_and_memory_bounds_it(finished, tmp_path):
    chosen = []
    for keys in ({"candidates": 10}, {"candidates": 10, "block_size": 7}, {"max_memory_gib": 1e-4}):
        config = SelectConfig(n_select=4, **keys)
        select.run(config, finished / "gpr.h5", [POOL], tmp_path / "s.h5", Context())
        chosen.append({s.name for s in select.load_selected(tmp_path / "s.h5")})
        assert len(chosen[-1]) == 4
    assert chosen[0] == chosen[1]


def test_what_is_excluded_is_not_selected(finished, selected, tmp_path):
    first = {s.name for s in select.load_selected(selected)}
    config = SelectConfig(n_select=6)
    select.run(config, finished / "gpr.h5", [POOL], tmp_path / "t.h5", Context(), first)
    second = {s.name for s in select.load_selected(tmp_path / "t.h5")}
    assert len(second) == 6
    assert not first & second


def test_labels_are_those_of_the_calculator_and_split_takes_them(finished, selected, tmp_path):
    config = LabelConfig(calculator=CALCULATOR, workers=2)
    label.run(config, [selected], tmp_path / "labelled.h5", Context())
    stored = {s.name: s for s in read_sources([POOL])}
    with h5py.File(tmp_path / "labelled.h5") as file:
        names = file["subsets/H2/names"].asstr()[()]
        for name, energy, forces in zip(
            names, file["subsets/H2/energies"][()], file["subsets/H2/forces"][()], strict=True
        ):
            assert energy == pytest.approx(stored[name].energy, abs=1e-12)
            np.testing.assert_allclose(forces, stored[name].forces, atol=1e-10)
    given = {"inputs": [str(ROOT / "example_data/h2/train_set.zip")], "train": 4}
    plain = build(split.SplitConfig, given, "test")
    more = build(split.SplitConfig, given | {"train_inputs": [str(tmp_path / "labelled_xsf")]}, "test")
    split.run(plain, tmp_path, tmp_path / "plain.h5", Context())
    split.run(more, tmp_path, tmp_path / "more.h5", Context())
    before, after_ = (load_split(tmp_path / f"{n}.h5", "train")["H2"].names for n in ("plain", "more"))
    assert set(before) <= set(after_)  # the division stays
    assert len(after_) == len(before) + 6
    tests = [load_split(tmp_path / f"{n}.h5", "test")["H2"].names for n in ("plain", "more")]
    assert tests[0] == tests[1]


def test_what_fails_is_recorded_and_left_out(selected, tmp_path, monkeypatch):
    calculate = label.calculate

    def fragile(calculator, structure, *rest):
        if structure.name == select.load_selected(selected)[2].name:
            raise NumericalError("SCF not converged")
        return calculate(calculator, structure, *rest)

    monkeypatch.setattr(label, "calculate", fragile)
    table = label.run(LabelConfig(calculator=CALCULATOR), [selected], tmp_path / "l.h5", Context())
    assert table.rows[0][1] == "5"
    assert any("1 of 6 calculations failed" in note for note in table.notes)
    with h5py.File(tmp_path / "l.h5") as file:
        assert list(json.loads(file.attrs["failures"]).values()) == ["SCF not converged"]
    monkeypatch.setattr(label, "calculate", lambda *a: (_ for _ in ()).throw(NumericalError("no")))
    with pytest.raises(NumericalError, match="every calculation failed"):
        label.run(
            LabelConfig(calculator=CALCULATOR),
            [selected],
            tmp_path / "m.h5",
            Context(),
        )


def test_an_interrupted_work_list_goes_on(selected, tmp_path, monkeypatch):
    done, calculate = [], label.calculate
    monkeypatch.setattr(label, "calculate", lambda *a: (done.append(a[1].name), calculate(*a))[1])
    config, output = LabelConfig(calculator=CALCULATOR), tmp_path / "l.h5"
    with pytest.raises(InterruptedRun):
        label.run(config, [selected], output, Context(stop=after(3)))
    assert 0 < len(done) < 6
    label.run(config, [selected], output, Context())
    assert len(done) == len(set(done)) == 6


@pytest.mark.parametrize("dry_run", [False, True])
def test_the_method_of_the_labels_is_asked_for(tmp_path, dry_run):
    with pytest.raises(ConfigError, match=r"^calculator\.name: expected .* got none; set it"):
        label.run(LabelConfig(), [POOL], tmp_path / "l.h5", Context(dry_run=dry_run))
    config = active_config(label={"calculator": {"parameters": {"method": "GFN1-xTB"}}})
    with pytest.raises(ConfigError, match=r"^label\.calculator\.name: expected .* got none; set it"):
        active.run(config, tmp_path, tmp_path / "run", Context(dry_run=dry_run))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("calculator", "said"),
    [
        (CALCULATOR, "energies and forces by lj, epsilon: 1.0"),
        (CalculatorConfig(name="emt"), "energies and forces by emt, no parameters given: its own defaults"),
        (CalculatorConfig(name="stored"), "energies and forces: those that the files hold"),
    ],
)
def test_the_method_of_the_labels_is_named(tmp_path, calculator, said):
    (tmp_path / "h2.xyz").write_text("2\nenergy=1\nH 0 0 0\nH 0 0 0.8\n")
    config, work_list = LabelConfig(calculator=calculator), [tmp_path / "h2.xyz"]
    table = label.run(config, work_list, tmp_path / "l.h5", Context(dry_run=True))
    assert said in " ".join(table.notes)
    if calculator.name != "stored":
        table = label.run(config, work_list, tmp_path / "l.h5", Context())
        assert said in " ".join(table.notes)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nonsense", "expected a calculator of ASE"),
        ("os.system", "not one of ASE's own"),
        ("subprocess.Popen", "not one of ASE's own"),
        ("no.such.module.Class", "not one of ASE's own"),
    ],
)
def test_only_ase_calculators_are_made(selected, tmp_path, name, said):
    with pytest.raises(ConfigError, match=said):
        label.run(
            LabelConfig(calculator=CalculatorConfig(name=name)),
            [selected],
            tmp_path / "l.h5",
            Context(),
        )


def test_a_wrong_work_list_is_told(selected, finished, tmp_path):
    config = LabelConfig(calculator=CalculatorConfig(name="stored"))
    write_xsf(Structure(("H", "H"), np.array([[0.0, 0, 0], [0, 0, 1.0]])), tmp_path / "bare.xsf")
    with pytest.raises(NumericalError, match="expected stored energy and forces"):
        label.run(config, [tmp_path / "bare.xsf"], tmp_path / "l.h5", Context())
    with pytest.raises(InputError, match="expected the output of select"):
        label.run(config, [finished / "split.h5"], tmp_path / "m.h5", Context())


def active_config(**changes) -> ActiveConfig:
    h2 = str(ROOT / "example_data" / "h2")
    keys = {
        "name": "h2",
        "seed": 1,
        "pool": [str(POOL)],
        "rounds": 2,
        "split": {"inputs": [f"{h2}/train_set.zip"], "test_inputs": [f"{h2}/test_set.zip"]},
        "fit_gpr": {
            "model": "full",
            "power": 2.0,
            "length_scale": 0.5,
            "noise_std_energy": 1e-6,
            "noise_std_force": 1e-6,
        },
        "augment": {"mode": "along_bond", "n_copies": 2},
        "train_ann": {
            "network": {"radial_cutoff": 8.0, "radial_order": 6, "angular_order": -1, "hidden": [4]},
            "levenberg_marquardt": {"iterations": 10},
        },
        "select": {"n_select": 2},
        "label": {"calculator": LENNARD_JONES},
    }
    return build(ActiveConfig, keys | changes, "test")


@pytest.fixture
def pool(tmp_path):
    """The pool without the test structures' archive being given twice."""
    folder = tmp_path / "pool"
    folder.mkdir()
    for s in read_sources([POOL])[::10]:
        write_xsf(Structure(s.species, s.positions), folder / s.name.rpartition("/")[2])
    return str(folder)


def test_rounds_add_structures_and_lower_sigma(tmp_path, pool):
    table = active.run(active_config(pool=[pool]), CASE, tmp_path / "work", Context())
    rows = list(csv.DictReader((tmp_path / "work" / "active.csv").open()))
    by_round = {int(r["round"]): r for r in rows if r["model"] == "gpr"}
    assert [int(by_round[n]["n_training"]) for n in range(3)] == [7, 9, 11]
    assert float(by_round[2]["largest_sigma"]) < float(by_round[0]["largest_sigma"])
    assert {r["model"] for r in rows} == {"gpr", "ann_gpr"}
    assert (tmp_path / "work" / "active.png").stat().st_size > 10_000
    assert len(table.rows) == 6
    names = [
        s.name for n in range(3) for s in select.load_selected(tmp_path / f"work/round_0{n}/selected.h5")
    ]
    assert len(names) == len(set(names))  # nothing is calculated twice


def test_the_budget_and_the_target_end_it(tmp_path, pool):
    spent = active.run(active_config(pool=[pool], budget=9), CASE, tmp_path / "a", Context())
    assert "budget of 9" in spent.notes[0]
    assert max(int(row[3]) for row in spent.rows) == 9
    reached = active.run(active_config(pool=[pool], target_sigma=100.0), CASE, tmp_path / "b", Context())
    assert "no structure of the pool" in reached.notes[0]
    assert {row[2] for row in reached.rows} == {"0"}


def test_an_interrupted_loop_goes_on_to_the_same_result(tmp_path, pool):
    config = active_config(pool=[pool], augment=None, train_ann=None)
    active.run(config, CASE, tmp_path / "whole", Context())
    with pytest.raises(InterruptedRun):
        active.run(config, CASE, tmp_path / "work", Context(stop=after(25)))
    assert not (tmp_path / "work" / "active.csv").exists()
    active.run(config, CASE, tmp_path / "work", Context())
    ours, theirs = ((tmp_path / name / "active.csv").read_text() for name in ("work", "whole"))
    assert ours == theirs


def test_a_start_drawn_from_the_pool_compared_with_chance(tmp_path, pool):
    split_ = {"test_inputs": [str(ROOT / "example_data/h2/test_set.zip")]}
    keys = {"augment": None, "train_ann": None, "pool": [pool], "split": split_, "goal": 1e-9}
    config = active_config(start=3, rounds=1, compare="random", repeats=2, **keys)
    table = active.run(config, CASE, tmp_path / "work", Context())
    rows = list(csv.DictReader((tmp_path / "work" / "active.csv").open()))
    series = {(r["strategy"], r["seed"]) for r in rows}
    assert series == {(s, n) for s in ("uncertainty", "random") for n in ("1", "2")}
    assert [int(r["n_training"]) for r in rows] == [3, 5] * 4

    def names(folder):
        return {s.name for s in select.load_selected(tmp_path / "work" / folder / "selected.h5")}

    assert names("uncertainty_1/start") == names("random_1/start") != names("random_2/start")
    assert names("uncertainty_1/round_00") != names("random_1/round_00")
    assert not names("random_1/start") & names("random_1/round_00")
    assert len([note for note in table.notes if "‖F‖ ≤ 1e-09 eV/Å after more than 5" in note]) == 4
    assert {r["largest_sigma"] for r in rows if r["strategy"] == "random"} == {""}  # nothing asks for it
    figures.run(tmp_path / "work", tmp_path / "out", Context())
    assert (tmp_path / "out" / "active_learning.pdf").read_bytes().startswith(b"%PDF")


def test_a_reached_goal_ends_it(tmp_path, pool):
    table = active.run(active_config(pool=[pool], goal=100.0), CASE, tmp_path / "work", Context())
    assert "the error of ‖F‖ on the test structures is 100.0 eV/Å or less (ann_gpr)" in table.notes[0]
    assert {row[2] for row in table.rows} == {"0"}
    assert any("gpr, uncertainty, seed 1: ‖F‖ ≤ 100 eV/Å after 7 structures" in n for n in table.notes)


def test_a_committee_may_rank_the_pool(tmp_path, pool):
    training = {
        "network": {"radial_cutoff": 8.0, "radial_order": 6, "angular_order": -1, "hidden": [4]},
        "levenberg_marquardt": {"iterations": 5},
    }
    with pytest.raises(ConfigError, match="n_members >= 2"):
        active_config(rank="committee")
    config = active_config(pool=[pool], rounds=1, rank="committee", train_ann=training | {"n_members": 2})
    active.run(config, CASE, tmp_path / "work", Context())
    with h5py.File(tmp_path / "work/round_00/selected.h5") as file:
        found = file["pool/H2/force_sigma"][()]
    predictor = load_predictor(tmp_path / "work/round_00/ann_gpr.h5", "none", 1, 1.0)
    structures = StructureSet.from_structures(read_sources([Path(pool)]))
    spread = predictor.predict(structures, None).forces.std(axis=0, ddof=1)
    np.testing.assert_allclose(found, np.sqrt((spread**2).mean(axis=(1, 2))), rtol=1e-6)


def test_there_must_be_something_to_start_from():
    with pytest.raises(ConfigError, match="structures to start from"):
        active_config(split={"test_inputs": ["t.zip"]})


def test_networks_need_copies(tmp_path):
    with pytest.raises(ConfigError, match="expected augment and train_ann together"):
        active_config(augment=None)
    with pytest.raises(ConfigError, match="expected gpr"):
        active_config(train_ann={"mode": "taylor"})


def test_a_killed_labelling_goes_on(selected, tmp_path):
    output = tmp_path / "l.h5"
    options = ["calculator.name=lj", "calculator.parameters={epsilon: 1.0, sigma: 1.0, rc: 3.0}"]
    command = ["label", selected, "-o", output, *(t for option in options for t in ("--set", option))]
    killed = signalled(signal.SIGKILL, "finished_0000002.h5", 1, "after", *command)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    table = label.run(LabelConfig(calculator=CALCULATOR), [selected], output, Context())
    assert table.rows[0][1] == "6"
