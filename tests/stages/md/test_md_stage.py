"""`md`: conserves energy, goes on along the same path, stops at fences, checks against a calculator."""

import csv
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase.io import read, write

from aenet_gpr_cli.ann.potential.extrapolation import WARN_BEYOND
from aenet_gpr_cli.calculators.ann_calculator import ANNCalculator
from aenet_gpr_cli.calculators.gpr_calculator import GPRCalculator
from aenet_gpr_cli.config.stages.active_config import CalculatorConfig
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.md_config import MdConfig
from aenet_gpr_cli.dynamics.md_record import COLUMNS
from aenet_gpr_cli.errors import ConfigError, InputError, InterruptedRun, NumericalError
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.structure_sets import write_structures
from aenet_gpr_cli.io.formats.sources import read_sources
from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage as fit_gpr
from aenet_gpr_cli.stages.md import md_stage as stage
from aenet_gpr_cli.stages.md.md_plan import make_plan
from aenet_gpr_cli.stages.md.md_single import read_stopped
from aenet_gpr_cli.stages.md.md_summary import FAR, SELDOM, _left
from aenet_gpr_cli.stages.shared.context import Context
from tests.gpr.small_molecule import make_set

DATA = Path(__file__).parents[2] / "data"
START = DATA / "aenet_nn" / "file_0500.xsf"
SHORT = MdConfig(
    ensemble="nve", time_ps=0.05, timestep_fs=0.25, store_every=50, table_every=10, temperature=100.0
)


def run(config, model, folder, context=None, start=START):
    return stage.run(config, model, start, folder / "md.h5", context or Context())


def asked_after(steps):
    """A request to stop that comes after so many looks at it."""
    looks = iter(range(steps))
    return lambda: next(looks, None) is None


def table(folder):
    with (folder / "md_table.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key] or "nan") for row in rows]) for key in rows[0]}


def test_energy_is_conserved_and_everything_is_written(model, tmp_path):
    summary = run(SHORT, model, tmp_path)
    found, frames = table(tmp_path), read(tmp_path / "md_trajectory.extxyz", ":")
    assert list(found["step"]) == list(range(0, 201, 10))
    assert np.ptp(found["total_energy_eV"]) < 0.01 * np.ptp(found["kinetic_energy_eV"])
    stored = found["step"] % 50 == 0  # σ is asked for where a frame is stored
    assert (found["energy_std_eV"][stored] > 0).all()
    assert np.isnan(found["energy_std_eV"][~stored]).all()
    assert np.isnan(found["largest_beyond"][~stored]).all()
    assert [frame.info["time_fs"] for frame in frames] == [0, 12.5, 25, 37.5, 50]
    assert frames[-1].get_potential_energy() == pytest.approx(found["potential_energy_eV"][-1])
    assert frames[-1].get_kinetic_energy() == pytest.approx(found["kinetic_energy_eV"][-1], rel=1e-6)
    assert any("drift" in row[0] for row in summary.rows)
    found = {name: values[stored] for name, values in found.items()}
    outside = found["largest_beyond"] > WARN_BEYOND
    if outside.any() and outside.mean() < SELDOM and found["largest_beyond"].max() < FAR:
        said = f"near the training data: in {outside.mean():.0%} of the frames"
    elif outside.any():
        first = found["time_ps"][outside.argmax()]
        said = f"in {outside.mean():.0%} of the frames an atom is outside the training data by more than 0.2 "
        said += "of the range of a feature, first at "
        said += f"{first:.3g}"
    else:
        said = f"stayed within the training data, up to {WARN_BEYOND} of the range of a feature"
    cells, notes = " ".join(row[1] for row in summary.rows), " ".join(summary.notes)
    for sign in ("mean ±", "or more"):  # explained where it stands, and nowhere else
        assert (sign in cells) == (sign in notes)
    assert said in summary.closing[0]
    assert not list(tmp_path.glob(".md*"))
    assert "up to date" in run(SHORT, model, tmp_path).title


def test_a_fence_of_sigma_is_looked_at_in_every_row(model, tmp_path):
    run(replace(SHORT, stop_sigma=1e3, time_ps=0.01), model, tmp_path)
    found = table(tmp_path)
    assert len(found["step"]) > 4
    assert (found["energy_std_eV"] > 0).all()


@pytest.mark.parametrize("ensemble", ["nve", "nvt", "npt"])
def test_an_interrupted_run_goes_on_along_the_same_path(model, boxed, tmp_path, ensemble):
    config, start = replace(SHORT, ensemble=ensemble), boxed if ensemble == "npt" else START
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    run(config, model, whole, start=start)
    for after in (33, 70):
        with pytest.raises(InterruptedRun, match="at step"):
            run(config, model, parts, Context(stop=asked_after(after)), start=start)
    run(config, model, parts, Context(resume=True), start=start)
    one, other = (h5py.File(folder / "md.h5") for folder in (whole, parts))
    with one, other:
        assert np.array_equal(other["table"][()], one["table"][()], equal_nan=True)
        for name in ("positions", "velocities", "times", "forces"):
            assert np.array_equal(one[f"trajectory/{name}"][()], other[f"trajectory/{name}"][()])


def test_a_barostat_that_is_too_fast_and_a_cell_that_bursts_are_told(model, boxed, tmp_path):
    fast = replace(SHORT, ensemble="npt", pressure_gpa=-50.0, barostat_ps=1e-4)
    with pytest.raises(InterruptedRun):
        run(fast, model, tmp_path, Context(stop=asked_after(50)), start=boxed)
    said = "\n".join(run(fast, model, tmp_path, start=boxed).notes)
    assert "changed the volume by more than 3% in 200 of 200 steps and was held back" in said
    assert "the volume was 1 to 400 times that of the start" in said  # exp(200 · 0.03)
    crushed = replace(fast, pressure_gpa=1e6, stop_temperature=1e9)
    with pytest.raises(NumericalError, match=r"the cell collapses, its volume is .* a lower pressure_gpa"):
        run(crushed, model, tmp_path, Context(force=True), start=boxed)
    slow = run(replace(SHORT, ensemble="npt"), model, tmp_path, Context(force=True), start=boxed)
    assert "the volume was" not in "\n".join(slow.notes)
    assert "images move alike" not in "\n".join(slow.notes)  # twenty atoms
    assert "held back" not in "\n".join(slow.notes)


@pytest.mark.parametrize(
    ("fence", "value"), [("stop_sigma", 1e-6), ("stop_temperature", 20.0), ("stop_beyond", 1e-9)]
)
def test_a_fence_stops_and_keeps_what_was_run(model, tmp_path, caplog, fence, value):
    config = replace(SHORT, **{fence: value})
    for _ in range(2):  # a finished one says it again
        with pytest.raises(NumericalError, match=f"stopped at .* above {fence}.*kept in") as error:
            run(config, model, tmp_path)
        assert "Verdict" not in caplog.text
        assert str(error.value).count("Verdict: ") == (fence != "stop_beyond")  # which says the same
        assert "Calculate such frames" not in str(error.value)  # said once
        assert len(read(tmp_path / "md_trajectory.extxyz", ":")) >= 1
    assert "ps: " in read_stopped(tmp_path / "md.h5")


def test_velocities_of_the_file_are_used(model, tmp_path):
    first, second, whole = (tmp_path / name for name in ("first", "second", "whole"))
    for folder in (first, second, whole):
        folder.mkdir()
    run(replace(SHORT, time_ps=0.025), model, first)
    run(replace(SHORT, time_ps=0.025, frame=-1), model, second, start=first / "md_trajectory.extxyz")
    run(SHORT, model, whole)
    found, expected = (read(f / "md_trajectory.extxyz", "-1") for f in (second, whole))
    np.testing.assert_allclose(found.positions, expected.positions, atol=1e-6)  # digits of the file


def test_frames_are_checked_against_a_calculator(model, tmp_path):
    config = replace(SHORT, time_ps=0.01, store_every=10, reference_every=2)
    config = replace(config, reference=CalculatorConfig(name="lj"))
    rows = {row[0]: row[1] for row in run(config, model, tmp_path).rows}
    assert rows["checked against the reference"] == "3 frames"
    with h5py.File(tmp_path / "md.h5") as file:
        reference = file["trajectory/reference_energies"][()]
    assert list(np.isfinite(reference)) == [True, False, True, False, True]
    assert "mean error of the pressure" not in rows


@pytest.mark.parametrize("ensemble", ["nvt", "npt"])
def test_pressures_of_cells_are_checked_too(model, boxed, tmp_path, ensemble):
    config = replace(SHORT, ensemble=ensemble, time_ps=0.01, store_every=10, reference_every=2)
    config = replace(config, reference=CalculatorConfig(name="lj"))
    rows = {row[0]: row[1] for row in run(config, model, tmp_path, start=boxed).rows}
    errors = []
    for atoms in read(tmp_path / "md_trajectory.extxyz", "::2"):
        own, other = atoms.copy(), atoms.copy()
        own.calc, other.calc = ANNCalculator.from_file(model), LennardJones()
        errors.append(-(own.get_stress()[:3].mean() - other.get_stress()[:3].mean()) * 160.21766)
    told = rows["mean error of the pressure"].split()
    assert float(told[0]) == pytest.approx(np.mean(errors), rel=0.01)
    assert float(told[-1][:-1]) == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=0.01)


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    """A full process of a small molecule, with the first of its structures."""
    folder = tmp_path_factory.mktemp("process")
    structures = replace(make_set(20, 1), names=tuple(f"s{i}" for i in range(20)))
    with publish(folder / "split.h5", Job("split", {}, {})) as file:
        write_structures(file.create_group("train/a"), structures)
        file.create_group("test")
    config = FitGprConfig(model="full", descriptor="inverse_distance", length_scale=1.0, noise_std_force=1e-5)
    fit_gpr.run(config, folder / "split.h5", folder / "gpr.h5", Context())
    return folder / "gpr.h5", structures


def test_a_process_moves_atoms_in_the_order_of_the_file(process, tmp_path):
    gpr, structures = process
    order = np.random.default_rng(3).permutation(structures.n_atoms)
    shuffled = Atoms([structures.species[i] for i in order], structures.positions[0][order])
    write(tmp_path / "start.xyz", shuffled, format="extxyz")
    run(replace(SHORT, time_ps=0.01, timestep_fs=0.1), gpr, tmp_path, start=tmp_path / "start.xyz")
    with h5py.File(tmp_path / "md.h5") as file:
        forces, found = file["trajectory/forces"][0], file["table"][()]
    np.testing.assert_allclose(forces, structures.forces[0][order], atol=0.02)
    column = dict(zip(COLUMNS, found.T, strict=True))
    assert np.ptp(column["total_energy_eV"]) < 0.02 * np.ptp(column["kinetic_energy_eV"])
    assert (column["energy_std_eV"][column["step"] % SHORT.store_every == 0] >= 0).all()


def test_a_full_process_says_where_the_structure_leaves_the_training_data(process, tmp_path):
    gpr, structures = process
    calculator, short = (
        GPRCalculator.from_file(gpr),
        replace(SHORT, time_ps=0.0005, store_every=1, table_every=1),
    )
    known = Atoms(structures.species, structures.positions[0])
    write(tmp_path / "known.xyz", known, format="extxyz")
    summary = run(replace(short, temperature=1.0), gpr, tmp_path, start=tmp_path / "known.xyz")
    assert summary.closing[0].startswith("Verdict: the run stayed within the training data")
    assert np.nanmax(table(tmp_path)["largest_beyond"]) == 0.0
    assert np.isnan(table(tmp_path)["atoms_outside"]).all()
    known.positions[0] += 0.4
    write(tmp_path / "far.xyz", known, format="extxyz")
    away, far = replace(short, stop_temperature=1e9), tmp_path / "far.xyz"
    summary = run(away, gpr, tmp_path, Context(force=True), start=far)
    expected = calculator.domain_distance(known) - 1.0
    assert expected > 0.5
    assert table(tmp_path)["largest_beyond"][0] == pytest.approx(expected, rel=1e-6)
    assert "of the frames the structure is outside the training data by more than 0.2" in summary.closing[0]
    assert "first at 0 ps" in summary.closing[0]
    with pytest.raises(
        NumericalError, match=r"the structure is outside .* neighbouring .* stop_beyond = 0.5"
    ):
        run(replace(away, stop_beyond=0.5), gpr, tmp_path, Context(force=True), start=far)


def test_a_time_below_one_step_is_refused(tmp_path):
    config, structures = replace(SHORT, time_ps=2e-4), read_sources([START])
    with pytest.raises(ConfigError, match=r"time_ps: expected at least one step, 0\.25 fs, got 0\.2 fs"):
        make_plan(config, structures, START)
    plan = make_plan(replace(SHORT, time_ps=2.5e-4), structures, START)
    assert plan.what.startswith("1 step of 0.25 fs")
    assert make_plan(replace(SHORT, time_ps=0.05), structures, START).n_steps == 200


def test_what_is_no_bulk_is_told_whatever_the_model(process, tmp_path):
    gpr, structures = process
    write(tmp_path / "start.xyz", Atoms(structures.species, structures.positions[0]), format="extxyz")
    for dry_run in (True, False):
        with pytest.raises(InputError, match="npt: expected a cell with three periodic directions, got"):
            run(
                *(replace(SHORT, ensemble="npt"), gpr, tmp_path, Context(dry_run=dry_run)),
                start=tmp_path / "start.xyz",
            )


def test_what_cannot_be_is_one_message(model, tmp_path):
    with pytest.raises(ConfigError, match=r"frame: .* has 1 structures"):
        run(replace(SHORT, frame=1), model, tmp_path)
    with pytest.raises(InputError, match="npt: expected a cell"):
        run(replace(SHORT, ensemble="npt"), model, tmp_path)
    with pytest.raises(InputError, match="which md would write, is its input"):
        stage.run(SHORT, model, START, model, Context())
    with pytest.raises(ConfigError, match="nonsense"):
        run(replace(SHORT, reference=CalculatorConfig(name="nonsense")), model, tmp_path)


@pytest.mark.parametrize(
    ("column", "atoms", "said"),
    [
        (":momenta:R:3", ("O 0 0 0 nan 0 0", "H 0 0 1 0 0 0"), "got NaN or infinity in momenta"),
        ("", ("O 0 0 0", "H 0 0 0.1"), "expected atoms at least 0.3 Å apart, got atoms 0 and 1 at 0.1 Å"),
        ("", ("O 0 0 0", "H 0 0 1e200"), "expected lengths of at most"),
    ],
)
def test_a_start_that_no_model_knows_is_refused(model, tmp_path, column, atoms, said):
    start = tmp_path / "start.xyz"
    start.write_text("\n".join(["2", f"Properties=species:S:1:pos:R:3{column}", *atoms, ""]))
    with pytest.raises(InputError, match=said):
        run(SHORT, model, tmp_path, start=start)


def test_where_velocities_come_from_is_said(model, tmp_path, caplog):
    caplog.set_level("INFO", "aenet_gpr_cli")
    run(SHORT, model, tmp_path)
    assert f"velocities drawn at {SHORT.temperature:g} K" in caplog.text


@pytest.mark.parametrize(("farthest", "stopped"), [(0.3, ""), (2.0, ""), (2.0, "at 3 ps")])
def test_the_verdict_names_the_share_from_which_an_atom_counts(farthest, stopped):
    """The table counts atoms from 0 on, the verdict frames from 0.2 on."""
    times, beyond = np.arange(30.0), np.where(np.arange(30) == 20, farthest, 0.1)
    (said,) = _left(times, beyond, "the range of a feature", stopped, "an atom")
    assert "in 3% of the frames an atom is outside the training data by more than 0.2 of the range of" in said
