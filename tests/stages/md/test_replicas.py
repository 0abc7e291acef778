"""Replicas: each as if it were alone, all of them by one command, a fence stops one, the table is right."""

import contextlib
import csv
import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.data import atomic_masses, atomic_numbers
from ase.io import read, write

from aenet_gpr_cli.calculators.md_potential import load_md_potential
from aenet_gpr_cli.config.stages.md_config import MdConfig
from aenet_gpr_cli.dynamics.evaluation import Evaluation
from aenet_gpr_cli.dynamics.integrator import Bath, Integrator, Motion, thermal_velocities
from aenet_gpr_cli.dynamics.md_record import COLUMNS, temperature_of
from aenet_gpr_cli.errors import ConfigError, InterruptedRun, NumericalError
from aenet_gpr_cli.io.formats.sources import read_sources
from aenet_gpr_cli.stages.md import md_replicas
from aenet_gpr_cli.stages.md import md_stage as stage
from aenet_gpr_cli.stages.md.md_plan import Plan
from aenet_gpr_cli.stages.md.md_replicas import path_of
from aenet_gpr_cli.stages.md.md_single import random_stream, read_stopped
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.units import BOLTZMANN, FS_PER_TIME_UNIT
from tests.cli.conftest import run_cli as run_cli

START = Path(__file__).parents[2] / "data" / "aenet_nn" / "file_0500.xsf"
SHORT = MdConfig(time_ps=0.01, timestep_fs=0.25, store_every=10, table_every=1, temperature=100.0, workers=1)


def run(config, model, folder, context=None, start=START):
    folder.mkdir(exist_ok=True)
    return stage.run(config, model, start, folder / "md.h5", context or Context())


def motion_of(path):
    """Everything that was run, bit by bit."""
    with h5py.File(path) as file:
        names = ("positions", "velocities", "forces", "energies")
        return [file["table"][()], *(file[f"trajectory/{name}"][()] for name in names)]


def is_same(one, other):
    return all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(motion_of(one), motion_of(other), strict=True)
    )


@pytest.fixture(scope="module")
def three(model, tmp_path_factory):
    """The folder of three replicas that were run one after another."""
    folder = tmp_path_factory.mktemp("three")
    run(replace(SHORT, replicas=3), model, folder)
    return folder


def test_a_replica_depends_neither_on_how_many_there_are_nor_on_the_cores(model, three, tmp_path):
    run(replace(SHORT, replicas=2, workers=2), model, tmp_path / "two")
    run(replace(SHORT, replica=2), model, tmp_path / "alone")
    first, second, third = (path_of(three / "md.h5", number) for number in (1, 2, 3))
    assert is_same(path_of(tmp_path / "two" / "md.h5", 1), first)
    assert is_same(path_of(tmp_path / "two" / "md.h5", 2), second)
    assert is_same(tmp_path / "alone" / "md.h5", second)
    assert not is_same(first, second)
    with h5py.File(first) as one, h5py.File(third) as other:
        assert np.array_equal(one["trajectory/positions"][0], other["trajectory/positions"][0])
        assert not np.isclose(one["trajectory/velocities"][0], other["trajectory/velocities"][0]).any()
        seed = json.loads(other.attrs["config"])
    assert (seed["seed"], seed["replica"], seed["replicas"]) == (0, 3, 1)


def test_cells_that_change_are_evaluated_together_as_alone(model, boxed, tmp_path):
    """Also where one is stopped on the way, so that the others go on in another company."""
    config = replace(SHORT, ensemble="npt", time_ps=0.02, store_every=4, barostat_ps=0.1, table_every=5)
    run(replace(config, replicas=3), model, tmp_path / "all", start=boxed)
    volumes = [
        motion_of(path_of(tmp_path / "all" / "md.h5", k))[0][:, COLUMNS.index("volume_A3")] for k in (1, 2)
    ]
    assert np.ptp(volumes[0]) > 0.0
    assert not np.array_equal(*volumes)
    run(replace(config, replica=2), model, tmp_path / "alone", start=boxed)
    assert is_same(tmp_path / "alone" / "md.h5", path_of(tmp_path / "all" / "md.h5", 2))
    hottest = max(
        motion_of(path_of(tmp_path / "all" / "md.h5", k))[0][0, COLUMNS.index("temperature_K")]
        for k in (1, 3)
    )
    fenced = replace(config, stop_temperature=hottest)
    run(replace(fenced, replicas=3), model, tmp_path / "fenced", start=boxed)
    stops = [bool(read_stopped(path_of(tmp_path / "fenced" / "md.h5", k))) for k in (1, 2, 3)]
    assert any(stops)
    with contextlib.suppress(NumericalError):
        run(replace(fenced, replica=2), model, tmp_path / "fenced_alone", start=boxed)
    assert is_same(tmp_path / "fenced_alone" / "md.h5", path_of(tmp_path / "fenced" / "md.h5", 2))


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(model, tmp_path):
    config, dry = replace(SHORT, replicas=3), Context(dry_run=True)
    assert "3 replicas of 40 steps of 0.25 fs, NVT" in run(config, model, tmp_path, dry).notes[0]
    assert "an earlier stage writes it" in run(config, tmp_path / "missing.h5", tmp_path, dry).notes[0]
    assert not list(tmp_path.iterdir())


def test_short_runs_begin_no_processes_and_long_ones_use_all_cores(model, monkeypatch):
    monkeypatch.setattr(md_replicas, "available_cores", lambda: 4)
    (structure,) = read_sources([START])
    for n_steps, expected in ((2_000, 1), (1_000_000, 4)):
        plans = [Plan(structure, 0.5, n_steps, "")] * 8
        assert md_replicas.worthwhile(plans, model, SHORT) == expected


def test_one_replica_is_the_run_of_the_seed(model, tmp_path):
    """Bit by bit what a loop with the generator of the seed gives, as before there were replicas."""
    run(replace(SHORT, seed=7), model, tmp_path)
    (structure,) = read_sources([START])
    rng = np.random.default_rng(7)
    masses = atomic_masses[[atomic_numbers[s] for s in structure.species]]
    motion = Motion(structure.positions.copy(), thermal_velocities(masses, 100.0, rng), None, masses)
    bath = Bath(BOLTZMANN * 100.0, 200.0 / FS_PER_TIME_UNIT)
    potential = load_md_potential(model, structure, None, "bound", 7000, False)
    integrator = Integrator(potential, motion, 0.25 / FS_PER_TIME_UNIT, bath, rng)
    for _ in range(40):
        integrator.step(True)
    with h5py.File(tmp_path / "md.h5") as file:
        assert np.array_equal(file["trajectory/positions"][-1], motion.positions)
        assert np.array_equal(file["trajectory/velocities"][-1], motion.velocities / FS_PER_TIME_UNIT)


def test_the_table_has_means_of_second_halves_and_their_standard_error(three):
    with (three / "md_replicas.csv").open() as file:
        rows = {row["replica"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["1", "2", "3", "mean", "standard_error"]
    for name in ("temperature_K", "potential_energy_eV"):
        tables = [motion_of(path_of(three / "md.h5", number))[0] for number in (1, 2, 3)]
        means = [table[len(table) // 2 :, COLUMNS.index(name)].mean() for table in tables]
        assert [float(rows[k][name]) for k in "123"] == pytest.approx(means, rel=1e-8)
        assert float(rows["mean"][name]) == pytest.approx(np.mean(means), rel=1e-8)
        assert float(rows["standard_error"][name]) == pytest.approx(np.std(means, ddof=1) / 3**0.5, rel=1e-6)
    assert [float(rows[k]["time_ps"]) for k in "123"] == pytest.approx([0.01] * 3)
    assert {rows[k]["pressure_GPa"] for k in rows} == {""}  # without a cell


def test_an_interrupted_command_goes_on_with_those_that_are_not_finished(model, three, tmp_path, monkeypatch):
    monkeypatch.setattr(md_replicas, "BETWEEN", 0.0)
    config, looks, output = replace(SHORT, replicas=3), iter(range(60)), tmp_path / "md.h5"
    done = path_of(output, 1)
    stage.run(replace(SHORT, replica=1), model, START, done, Context())
    before = done.stat().st_mtime_ns
    with pytest.raises(InterruptedRun, match=r"md at step \d+ of 40"):
        run(config, model, tmp_path, Context(stop=lambda: next(looks, None) is None))
    assert not path_of(output, 2).exists()
    assert sum(path.name.endswith(".checkpoint") for path in tmp_path.iterdir()) == 2
    run(config, model, tmp_path)
    assert done.stat().st_mtime_ns == before
    assert is_same(done, path_of(three / "md.h5", 1))
    for number in (2, 3):
        found, expected = (motion_of(path_of(folder / "md.h5", number)) for folder in (tmp_path, three))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
    assert "up to date" in run(config, model, tmp_path).title
    table = (tmp_path / "md_replicas.csv").read_bytes()
    (tmp_path / "md_replicas.csv").unlink()
    run(config, model, tmp_path)
    assert (tmp_path / "md_replicas.csv").read_bytes() == table
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_more_replicas_leave_those_that_are_there(model, tmp_path):
    run(replace(SHORT, replicas=2), model, tmp_path)
    before = path_of(tmp_path / "md.h5", 2).stat().st_mtime_ns
    run(replace(SHORT, replicas=3), model, tmp_path)
    assert path_of(tmp_path / "md.h5", 2).stat().st_mtime_ns == before
    with h5py.File(tmp_path / "md.h5") as file:
        assert len(file["table"]) == 3


def test_a_fence_stops_one_and_not_the_others(model, three, tmp_path, run_cli):
    hottest = [
        motion_of(path_of(three / "md.h5", k))[0][:, COLUMNS.index("temperature_K")].max() for k in (1, 2, 3)
    ]
    fence = float(np.mean(sorted(hottest)[1:]))
    which = int(np.argmax(hottest)) + 1
    keys = [
        f"--set={key}={getattr(SHORT, key)}"
        for key in ("timestep_fs", "table_every", "store_every", "workers")
    ]
    command = ("md", model, START, "--replicas", "3", "--time", "10fs", "--temperature", "100", *keys)
    output = tmp_path / "md.h5"
    for _ in range(2):  # a finished one says it again
        code, said, error = run_cli(*command, f"--set=stop_temperature={fence}", "-o", output)
        assert code == 3
        assert f"1 of 3 replicas stopped: {which} (replica {which} at" in " ".join(error.split())
        assert "mean of 2" in said
    stops = [read_stopped(path_of(output, number)) for number in (1, 2, 3)]
    assert [bool(why) for why in stops] == [number == which for number in (1, 2, 3)]
    with (tmp_path / "md_replicas.csv").open() as file:
        rows = list(csv.DictReader(file))
    whole = [float(row["temperature_K"]) for row in rows[:3] if not row["stopped"]]
    assert float(rows[3]["temperature_K"]) == pytest.approx(np.mean(whole))
    with pytest.raises(NumericalError, match="1 of 3 replicas stopped"):
        stage.refuse_stopped_replicas(output)


def test_each_frame_starts_a_replica_with_its_velocities(model, tmp_path):
    frames = []
    for shift in (0.0, 0.01, 0.02):
        atoms = read(START)
        atoms.positions[0, 0] += shift
        atoms.set_velocities(np.full((len(atoms), 3), shift))
        frames.append(atoms)
    start = tmp_path / "frames.xyz"
    write(start, frames, format="extxyz")
    config = replace(SHORT, replicas=2, each_frame=True, frame=1)
    run(config, model, tmp_path / "each", start=start)
    run(replace(SHORT, replicas=2, frame=1), model, tmp_path / "one", start=start)
    for number in (1, 2):
        with h5py.File(path_of(tmp_path / "each" / "md.h5", number)) as file:
            group = file["trajectory"]
            np.testing.assert_allclose(group["positions"][0], frames[number].positions, atol=1e-7)
            expected = frames[number].get_velocities() / FS_PER_TIME_UNIT
            np.testing.assert_allclose(group["velocities"][0], expected, rtol=1e-6)
        with h5py.File(path_of(tmp_path / "one" / "md.h5", number)) as file:
            np.testing.assert_allclose(file["trajectory/positions"][0], frames[1].positions, atol=1e-7)
            assert np.ptp(file["trajectory/velocities"][0]) > 0.0  # drawn, not those of the file
    with pytest.raises(ConfigError, match=r"frame of replica 3: .* has 3 structures.* got 3"):
        run(replace(config, replicas=3), model, tmp_path / "few", start=start)
    with pytest.raises(ConfigError, match="frame of replica 2"):
        run(replace(config, frame=-1), model, tmp_path / "few", start=start)
    with pytest.raises(ValueError, match="one of them runs alone"):
        replace(config, replica=1)


def test_the_mean_temperature_of_harmonic_replicas_is_that_of_the_bath():
    """Within the errors of replicas that are independent: T √(2/3N) / √n at one time."""
    n_replicas, n_atoms, kelvin = 200, 8, 300.0
    masses = np.linspace(1.0, 40.0, n_atoms)
    bath, found = Bath(BOLTZMANN * kelvin, 20.0 / FS_PER_TIME_UNIT), []

    def spring(positions, cell, strain, look, listed=None):
        return Evaluation(float(0.5 * (positions**2).sum()), -positions)

    for number in range(1, n_replicas + 1):
        rng = random_stream(MdConfig(replica=number))
        motion = Motion(np.zeros((n_atoms, 3)), thermal_velocities(masses, kelvin, rng), None, masses)
        integrator = Integrator(spring, motion, 0.5 / FS_PER_TIME_UNIT, bath, rng)
        for _ in range(200):
            integrator.step()
        found.append(temperature_of(motion, bath))
    spread = kelvin * np.sqrt(2.0 / (3 * n_atoms))
    assert abs(np.mean(found) - kelvin) < 4.0 * spread / np.sqrt(n_replicas)
    assert np.std(found, ddof=1) == pytest.approx(spread, rel=4.0 / np.sqrt(2 * n_replicas))
