"""Stress from data to training, errors, predictions and elastic constants: copper of a simple potential."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from aenet_gpr_cli.ann.training_settings import LevenbergMarquardt, Loss, Network
from aenet_gpr_cli.calculators.ann_calculator import ANNCalculator
from aenet_gpr_cli.calculators.elasticity import elastic_constants, relax
from aenet_gpr_cli.calculators.gpr_calculator import GPRCalculator
from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.md_config import MdConfig
from aenet_gpr_cli.config.stages.prediction_config import EvaluateConfig, PredictConfig
from aenet_gpr_cli.config.stages.properties_config import PropertiesConfig
from aenet_gpr_cli.config.stages.split_config import SplitConfig
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.errors import ConfigError, InputError, InterruptedRun, NumericalError
from aenet_gpr_cli.stages import kept_relaxations, predict_stage, properties_stage
from aenet_gpr_cli.stages.evaluate import evaluate_stage
from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage
from aenet_gpr_cli.stages.md import md_stage
from aenet_gpr_cli.stages.md.md_summary import error_of_mean
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.split import split_stage
from aenet_gpr_cli.stages.train_ann import train_ann_stage
from aenet_gpr_cli.units import GPA_PER_EV_PER_CUBIC_ANGSTROM as GPA


def settle(atoms):
    """Relax the atoms of a strained cell."""
    relax(atoms, 1e-3, 50, cell=False)


def copper(n, seed=0):
    """Small strained and shaken cells, with the stress of all but the first."""
    rng = np.random.default_rng(seed)
    frames = []
    for i in range(n):
        atoms = bulk("Cu", "fcc", a=3.58, cubic=True)
        atoms.set_cell(atoms.cell @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3))), scale_atoms=True)
        atoms.positions += 0.06 * rng.normal(size=(4, 3))
        atoms.calc = EMT()
        labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        if i:
            labels["stress"] = atoms.get_stress()
        atoms.calc = SinglePointCalculator(atoms, **labels)
        atoms.info["config_type"] = "shaken"
        frames.append(atoms)
    return frames


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Data, split, a potential trained on energies, forces and virials, and its errors."""
    folder = tmp_path_factory.mktemp("copper")
    write(folder / "cu.extxyz", copper(30), format="extxyz")
    division = SplitConfig(inputs=("cu.extxyz",), train=22, check_forces=False)
    split_stage.run(division, folder, folder / "split.h5", Context())
    config = TrainAnnConfig(
        mode="direct",
        network=Network(radial_cutoff=4.5, radial_order=6, angular_cutoff=4.0, angular_order=3, hidden=(6,)),
        n_members=2,
        levenberg_marquardt=LevenbergMarquardt(iterations=25),
        loss=Loss(alpha=0.3),
    )
    train_ann_stage.run(config, folder / "split.h5", None, folder / "ann.h5", Context())
    evaluate_stage.run(
        EvaluateConfig(), folder / "split.h5", {"ann": folder / "ann.h5"}, folder / "metrics.h5", Context()
    )
    return folder


def test_errors_of_stress_are_in_every_output(made):
    metrics = json.loads((made / "metrics.json").read_text())["ann"]
    with h5py.File(made / "metrics.h5") as file:
        (predicted,), (reference,) = file["models/ann"].values(), file["reference"].values()
        error = predicted["predicted_stress"][()].mean(0) - reference["reference_stress"][()]
        columns = json.loads(file.attrs["summary"])["columns"]
    voigt = np.stack([error[:, a, b] for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))], -1)
    voigt = voigt[~np.isnan(voigt).any(1)] * GPA
    total = metrics["total"]
    assert total["stress_mae_gpa"] == pytest.approx(np.abs(voigt).mean())
    assert total["stress_rmse_gpa"] == pytest.approx(np.sqrt((voigt**2).mean()))
    assert total["pressure_mae_gpa"] == pytest.approx(np.abs(voigt[:, :3].mean(1)).mean())
    assert total["pressure_spread_gpa"] > 0
    assert metrics["groups"]["shaken"]["stress_mae_gpa"] == total["stress_mae_gpa"]
    assert len(metrics["members"]) == 2
    assert all("stress_mae_gpa" in member for member in metrics["members"])
    assert any("GPa" in column for column in columns)
    with (made / "metrics.csv").open() as file:
        assert float(next(csv.DictReader(file))["stress_mae_gpa"]) == total["stress_mae_gpa"]
    spread = np.std([a.get_stress() for a in copper(30)[1:]], axis=0).mean() * GPA
    assert total["stress_mae_gpa"] < 0.2 * spread


def test_predictions_carry_the_stress_of_the_calculator(made, tmp_path):
    summary = predict_stage.run(
        PredictConfig(), made / "ann.h5", [made / "cu.extxyz"], tmp_path / "p.h5", Context()
    )
    calculator = ANNCalculator.from_file(made / "ann.h5")
    for i, frame in enumerate(read(tmp_path / "p_predictions.extxyz", ":")[:3]):
        moved = Atoms(frame.symbols, frame.positions, cell=frame.cell, pbc=True, calculator=calculator)
        np.testing.assert_allclose(frame.get_stress(), moved.get_stress(), atol=1e-7)
        assert ("reference_stress" in frame.info) == (i > 0)
    assert summary.columns[-2:] == predict_stage.PRESSURE_COLUMNS
    assert summary.rows[0][-1] == "–"
    assert any(line.strip().startswith("stress") for line in summary.closing)


def test_elastic_constants_come_close_to_those_of_the_reference(made, tmp_path):
    atoms = bulk("Cu", "fcc", a=3.6)
    write(tmp_path / "fcc.extxyz", atoms)
    properties_stage.run(
        PropertiesConfig(), made / "ann.h5", tmp_path / "fcc.extxyz", tmp_path / "p.h5", Context()
    )
    found = json.loads((tmp_path / "p.json").read_text())
    atoms.calc = EMT()
    relax(atoms, 1e-5, 50)
    expected = elastic_constants(atoms, 0.005, settle)
    constants = np.array(found["elastic_constants_gpa"])
    assert found["stable"]
    assert found["volume_per_atom"] == pytest.approx(atoms.get_volume(), rel=0.01)
    assert found["bulk_modulus_gpa"] == pytest.approx(found["moduli_gpa"]["bulk_hill"], rel=0.1)
    assert np.abs(constants - expected).max() < 0.15 * expected[0, 0]
    with h5py.File(tmp_path / "p.h5") as file:
        assert file["elastic_constants"].attrs["unit"] == "GPa"
        np.testing.assert_array_equal(file["elastic_constants"], constants)


@pytest.fixture(scope="module")
def process(made):
    """A local process of the same data."""
    fit = build(FitGprConfig, {"model": "local", "local": {"n_inducing": 60, "length_scale": 8.0}}, "fit_gpr")
    fit_gpr_stage.run(fit, made / "split.h5", made / "gpr.h5", Context())
    return made / "gpr.h5"


def test_numbers_of_a_crystal_outside_the_training_data_are_told(made, process, tmp_path):
    keys = PropertiesConfig(eos_points=5)
    for model in (made / "ann.h5", process):
        for lattice, known in (("fcc", True), ("sc", False)):
            write(tmp_path / "c.extxyz", bulk("Cu", lattice, a=3.58 if known else 2.4))
            summary = properties_stage.run(
                keys, model, tmp_path / "c.extxyz", tmp_path / "p.h5", Context(force=True)
            )
            told = "these are numbers of a crystal outside the training data" in "\n".join(summary.notes)
            assert told is not known
            assert json.loads((tmp_path / "p.json").read_text())["outside_training"] is not known


def test_an_interrupted_stage_without_a_checkpoint_says_that_it_keeps_nothing(made, tmp_path):
    write(tmp_path / "c.extxyz", bulk("Cu", "fcc", a=3.58))
    files = PredictConfig(), made / "ann.h5", [tmp_path / "c.extxyz"], tmp_path / "p.h5"
    with pytest.raises(InterruptedRun, match="This stage keeps nothing"):
        predict_stage.run(*files, Context(stop=lambda: True))
    assert not list(tmp_path.glob("*p.*"))


def test_interrupted_properties_go_on_with_the_same_numbers(made, tmp_path, monkeypatch):
    """Each relaxation is done once, however often the run is cut short."""
    atoms = bulk("Cu", "fcc", a=3.56, cubic=True)
    atoms.positions[0, 0] += 0.05
    write(tmp_path / "c.extxyz", atoms)
    config, done = PropertiesConfig(eos_points=5), []
    files = made / "ann.h5", tmp_path / "c.extxyz"
    whole = properties_stage.run(config, *files, tmp_path / "whole.h5", Context())

    def counted(*arguments):
        done.append(arguments)
        relax(*arguments)

    def stop_at(number: int) -> Callable[[], bool]:
        return lambda: len(done) >= number

    monkeypatch.setattr(properties_stage, "relax", counted)
    monkeypatch.setattr(kept_relaxations, "EVERY", 0.0)
    output, folder = tmp_path / "p.h5", tmp_path / ".p.h5.checkpoint"
    for calls in (3, 7, 6):
        context = Context(stop=stop_at(len(done) + calls))
        with pytest.raises(InterruptedRun, match=r"\(\d+ of 18\)\. What was finished before is kept"):
            properties_stage.run(config, *files, output, context)
        assert folder.is_dir()
        assert not output.exists()
    with pytest.raises(ConfigError, match=r"holds unfinished work of another run .*eos_points"):
        properties_stage.run(PropertiesConfig(eos_points=7), *files, output, Context())
    summary = properties_stage.run(config, *files, output, Context())
    assert len(done) == 1 + 5 + 12
    assert not folder.exists()
    assert summary.rows == whole.rows
    first, second = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("whole", "p"))
    for key in ("eos_energies", "eos_volumes", "elastic_constants_gpa", "cell"):
        np.testing.assert_allclose(second[key], first[key], rtol=1e-9, atol=1e-9)
    # what cannot be found is no unfinished work: other settings are free
    with pytest.raises(NumericalError, match="increase eos_strain"):
        properties_stage.run(
            PropertiesConfig(relax=False, eos_strain=1e-4), *files, tmp_path / "q.h5", Context()
        )
    assert not list(tmp_path.glob(".q.h5*"))


def test_constants_stand_beside_those_of_labelled_strained_cells(made, tmp_path):
    frames, crystal = [], bulk("Cu", "fcc", a=3.59, cubic=True)
    for k, sizes in enumerate([(0.01, -0.01, 0.0)] + 5 * [(0.01, -0.01)]):
        for size in sizes:
            strain = np.eye(3)
            strain.flat[(0, 4, 8, 5, 2, 1)[k]] += size
            atoms = crystal.copy()
            atoms.set_cell(crystal.cell.array @ strain, scale_atoms=True)
            atoms.calc = EMT()
            labels = {"energy": atoms.get_potential_energy(), "stress": atoms.get_stress()}
            atoms.calc = SinglePointCalculator(atoms, forces=atoms.get_forces(), **labels)
            frames.append(atoms)
    write(tmp_path / "fcc.extxyz", crystal)
    write(tmp_path / "strained.extxyz", frames, format="extxyz")
    out, keys = tmp_path / "p.h5", PropertiesConfig(eos_points=5)
    summary = properties_stage.run(
        keys, made / "ann.h5", tmp_path / "fcc.extxyz", out, Context(), tmp_path / "strained.extxyz"
    )
    assert summary.columns == ("property", "value", "same cells", "data: stresses", "data: energies", "unit")
    rows = {row[0]: row[1:] for row in summary.rows}
    crystal.calc = EMT()
    relax(crystal, 1e-5, 50)
    expected = elastic_constants(crystal, 0.005, settle)
    for name, value in (("C11", expected[0, 0]), ("C44", expected[3, 3])):
        cells = [float(x.split(" ± ")[0]) for x in rows[f"{name} (mean over axes)"][:-1]]
        np.testing.assert_allclose(cells[2:], value, rtol=0.05)  # those of the data, at ±1 %
        np.testing.assert_allclose(cells[:2], value, rtol=0.2)
    assert rows["C12 (mean over axes)"][3] == "–"
    assert float(rows["volume"][2]) == pytest.approx(crystal.get_volume() / 4, rel=1e-3)
    assert " ± " in rows["C11 (mean over axes)"][2]
    told = json.loads((tmp_path / "p.json").read_text())["reference"]
    assert told["n_cells"] == 13
    assert told["data: stresses"]["mean_constants_error_gpa"]["C11"] > 0.0
    assert told["data: energies"]["mean_constants_gpa"]["C12"] is None
    assert told["data: energies"]["elastic_constants_gpa"][0][1] is None
    with pytest.raises(InputError, match="strained cells with labels determine no elastic constant"):
        properties_stage.run(
            keys, made / "ann.h5", tmp_path / "fcc.extxyz", tmp_path / "q.h5", Context(), made / "cu.extxyz"
        )


def test_a_cell_is_told_and_what_is_not_relaxed_says_so(made, tmp_path):
    write(tmp_path / "fcc.extxyz", bulk("Cu", "fcc", a=3.56, cubic=True))
    notes = []
    for relaxed in (True, False):
        keys = PropertiesConfig(eos_points=5, relax=relaxed)
        summary = properties_stage.run(
            keys, made / "ann.h5", tmp_path / "fcc.extxyz", tmp_path / f"{relaxed}.h5", Context()
        )
        notes.append("\n".join(summary.notes))
    a = float(np.cbrt(4 * float(summary.rows[1][1])))
    assert float(notes[0].split()[2].rstrip(",")) == pytest.approx(a, abs=2e-3)
    assert "not relaxed" not in notes[0]
    assert notes[1].startswith("cell: a 3.5600, b 3.5600, c 3.5600 Å; α 90.00°, β 90.00°, γ 90.00°")
    pressure = float(notes[1].split("pressure ")[1].split()[0])
    crystal = bulk("Cu", "fcc", a=3.56, cubic=True)
    crystal.calc = ANNCalculator.from_file(made / "ann.h5")
    assert pressure == pytest.approx(-crystal.get_stress()[:3].mean() * GPA, rel=0.01)


def test_what_is_no_crystal_of_the_model_is_one_message(made, tmp_path):
    def refused(atoms, error, message, **keys):
        write(tmp_path / "x.extxyz", atoms, format="extxyz")
        with pytest.raises(error, match=message):
            properties_stage.run(
                PropertiesConfig(**keys), made / "ann.h5", tmp_path / "x.extxyz", tmp_path / "p.h5", Context()
            )
        assert not (tmp_path / "p.h5").exists()

    refused(Atoms("Cu2", [[0, 0, 0], [0, 0, 2.5]]), InputError, "three periodic directions, got .* with 0")
    slab = fcc111("Cu", (1, 1, 3), vacuum=6.0, periodic=True)
    refused(slab, InputError, r"got x.extxyz#0 with 12.0 Å of vacuum across lattice vector c")
    refused(bulk("Cu"), ConfigError, "frame: .* has 1 structures", frame=1)
    refused(bulk("Al"), InputError, "species")
    shaken = copper(1, seed=4)[0]
    refused(shaken, NumericalError, "relaxing atoms and cell of Cu4: expected forces below", steps=1)


def test_a_stress_that_does_not_fit_is_told_again_where_it_is_trained_on(tmp_path, caplog):
    frames = copper(30)
    for atoms in frames[1:]:
        atoms.calc.results["stress"] *= -1.0
    write(tmp_path / "cu.extxyz", frames, format="extxyz")
    keys = SplitConfig(inputs=("cu.extxyz",), train=22)

    def told(**more):
        split_stage.run(replace(keys, **more), tmp_path, tmp_path / "split.h5", Context(force=True))
        said = []
        for virials in (True, False):
            caplog.clear()
            small = {"n_inducing": 20, "length_scale": 8.0, "virials": virials}
            config = build(FitGprConfig, {"model": "local", "local": small}, "fit_gpr")
            fit_gpr_stage.run(config, tmp_path / "split.h5", tmp_path / "gpr.h5", Context(force=True))
            said.append(caplog.text)
        for beta in (0.003, 0.0):
            caplog.clear()
            training = TrainAnnConfig(mode="direct", loss=Loss(beta=beta))
            dry = Context(dry_run=True)
            train_ann_stage.run(training, tmp_path / "split.h5", None, tmp_path / "ann.h5", dry)
            said.append(caplog.text)
        return ["split.stress_factor: -1 does it" in text for text in said]

    assert told() == [True, False, True, False]
    assert told(stress_factor=-1.0) == [False] * 4


def test_constant_pressure_goes_on_along_the_same_path_and_tells_the_density(made, tmp_path):
    write(tmp_path / "fcc.extxyz", bulk("Cu", "fcc", a=3.62, cubic=True) * (2, 1, 1))
    config = MdConfig(ensemble="npt", temperature=100.0, time_ps=0.4, timestep_fs=2.0, table_every=2)
    looks = iter(range(60))

    def run(name, context=None):
        return md_stage.run(
            config, made / "ann.h5", tmp_path / "fcc.extxyz", tmp_path / name, context or Context()
        )

    summary = run("whole.h5")
    with pytest.raises(InterruptedRun, match="at step"):
        run("parts.h5", Context(stop=lambda: next(looks, None) is None))
    run("parts.h5", Context(resume=True))
    whole, parts = (
        np.genfromtxt(tmp_path / f"{name}_table.csv", delimiter=",", names=True)
        for name in ("whole", "parts")
    )
    assert np.ptp(whole["volume_A3"]) > 0.1
    for name in whole.dtype.names:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-9, atol=1e-9)
    told = dict(summary.rows)["density, second half"]
    later = whole["volume_A3"][len(whole) // 2 :]
    expected = 8 * 63.546 * 1.66053907 / later
    assert float(told.split()[0]) == pytest.approx(expected.mean(), rel=1e-3)
    assert told.endswith(f"(mean ± {error_of_mean(expected)[0]:.2g} or more)")
    assert "or more: the second half is worth fewer than 30" in "\n".join(summary.notes)
    assert "the volume is that of 8 atoms whose images move alike" in "\n".join(summary.notes)


def test_dynamics_with_a_process_says_where_it_leaves_the_training_data(process, tmp_path, caplog):
    known = bulk("Cu", "fcc", a=3.58, cubic=True)
    config = MdConfig(temperature=100.0, time_ps=0.02, timestep_fs=2.0, table_every=2, store_every=2, seed=1)

    def run(atoms, **keys):
        write(tmp_path / "start.extxyz", atoms)
        files = process, tmp_path / "start.extxyz", tmp_path / "md.h5"
        summary = md_stage.run(replace(config, **keys), *files, Context(force=True))
        return summary, np.genfromtxt(tmp_path / "md_table.csv", delimiter=",", names=True)

    summary, inside = run(known)
    assert "stayed within the training data" in summary.closing[0]
    assert (inside["atoms_outside"] == 0).all()
    known.positions[0] += 0.8
    summary, outside = run(known, stop_temperature=1e9)
    assert "an atom is outside the training data by more than 0.2" in summary.closing[0]
    assert "first at 0 ps" in summary.closing[0]
    calculator = GPRCalculator.from_file(process)
    assert outside["largest_beyond"][0] == pytest.approx(calculator.domain_distance(known) - 1.0, rel=1e-6)
    assert (outside["atoms_outside"] > 0).all()
    with pytest.raises(
        NumericalError, match=r"at 0 of 0.02 ps: .* inducing environment .* stop_beyond = 0.1"
    ):
        run(known, stop_beyond=0.1)
    assert "Verdict" not in caplog.text  # which the error has said


def test_the_error_of_a_mean_is_that_of_many_series():
    rng = np.random.default_rng(0)
    series = np.cumsum(rng.standard_normal((400, 2020)), axis=1)
    series = series[:, 20:] - series[:, :-20]  # a memory of twenty values
    errors, settled = np.array([error_of_mean(one) for one in series]).T
    off = np.abs(series.mean(axis=1))
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(np.sqrt(np.mean(off**2)), rel=0.25)
    assert np.mean(off < 2.0 * errors) > 0.93
    assert settled.mean() > 0.9
    short, settled = np.array([error_of_mean(one[:200]) for one in series]).T  # ten times the memory
    assert np.mean(np.abs(series[:, :200].mean(axis=1)) < 2.0 * short) < 0.93
    assert settled.mean() < 0.1
    assert np.isnan(error_of_mean(series[0, :24])[0])
    assert error_of_mean(np.ones(100)) == (0.0, True)


@pytest.mark.parametrize("pbc", [(True, True, False), (True, True, True)])
def test_a_slab_has_no_constant_pressure(made, tmp_path, pbc):
    slab = fcc111("Cu", (1, 1, 3), vacuum=6.0, periodic=True)
    slab.pbc = pbc
    write(tmp_path / "slab.extxyz", slab, format="extxyz")
    said = "12.0 Å of vacuum across lattice vector c" if pbc[2] else "slab.extxyz#0 with 2"
    files = made / "ann.h5", tmp_path / "slab.extxyz", tmp_path / "md.h5", Context()
    with pytest.raises(InputError, match=rf"^npt: .*{said}.*; use ensemble: nvt"):
        md_stage.run(MdConfig(ensemble="npt"), *files)
    if pbc[2]:
        md_stage.run(MdConfig(ensemble="npt", largest_gap=12.1, time_ps=0.004), *files)
