"""`md`: gpr.h5 or ann.h5 and one structure → md.h5, with the trajectory and a table beside it."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from ase.data import atomic_masses, atomic_numbers

from aenet_gpr_cli.calculators.md_potential import load_md_potential
from aenet_gpr_cli.calculators.named_calculators import calculator_class
from aenet_gpr_cli.config.stages.md_config import MOST_STEPS, MdConfig
from aenet_gpr_cli.dynamics.integrator import Bath, Integrator, Motion, thermal_velocities
from aenet_gpr_cli.dynamics.md_record import COLUMNS, Fences
from aenet_gpr_cli.errors import ConfigError, InputError, NumericalError
from aenet_gpr_cli.io.artefacts.artefact import open_artefact, publish_with_files
from aenet_gpr_cli.io.artefacts.checkpoint import Checkpoint
from aenet_gpr_cli.io.artefacts.side_files import beside
from aenet_gpr_cli.io.artefacts.structure_sets import read_structures
from aenet_gpr_cli.io.formats.prediction_files import read_velocities, write_trajectory
from aenet_gpr_cli.io.formats.source_files import source_hashes
from aenet_gpr_cli.io.formats.sources import read_sources
from aenet_gpr_cli.stages.label_stage import say_doubts
from aenet_gpr_cli.stages.md.md_run import KIND, Record, run_steps
from aenet_gpr_cli.stages.md.md_summary import summarise
from aenet_gpr_cli.stages.shared.bulk import require_bulk
from aenet_gpr_cli.stages.shared.context import (
    Context,
    Summary,
    by_name,
    log,
    make_job,
    nothing_to_do,
    planned,
)
from aenet_gpr_cli.stages.shared.model_keys import refuse_idle
from aenet_gpr_cli.stages.shared.outputs import claim
from aenet_gpr_cli.structures import FloatArray, Structure, StructureSet
from aenet_gpr_cli.subsystems.contacts import close_contacts
from aenet_gpr_cli.units import BOLTZMANN, FS_PER_TIME_UNIT, GPA_PER_EV_PER_CUBIC_ANGSTROM

TRAJECTORY, TABLE = "_trajectory.extxyz", "_table.csv"
FRAMES_AT_A_TIME = 500
COLLAPSED = 0.1  # of the volume at the start; no condensed matter is compressed so far
HOT, HOTTEST_BY_DEFAULT = 10.0, 3000.0  # times the temperature; K
STEP_WITH_HYDROGEN, STEP_WITH_LIGHT, STEP = 0.5, 1.0, 2.0  # fs; light: up to neon
NEON = 10
TOO_CLOSE = 0.3  # Å; the shortest bond, that of H2, has 0.74


def run(config: MdConfig, model: Path, start: Path, output: Path, context: Context) -> Summary:
    """Run molecular dynamics.

    Parameters
    ----------
    model : Path
        Output of `fit-gpr`, `train-ann` or `import`.
    start : Path
        A file of structures, of which one is used (key frame).
    output : Path
        ``NAME_trajectory.extxyz`` and ``NAME_table.csv`` are written beside it.

    Raises
    ------
    InputError
        If the model does not fit the structure, or an input would be overwritten.
    NumericalError
        If a fence stopped the run; what was run is published first.
    InterruptedRun
        If the context asked to stop; the same command goes on.
    """
    if config.reference is not None:
        calculator_class(config.reference.name, "reference.name")  # before anything else: is it there?
    endings = [TRAJECTORY, TABLE]
    claim(KIND, output, [model, start], endings)
    job = make_job(KIND, config, {"model": model}, context, by_name(source_hashes([start])))

    def write(file: h5py.File, folder: Path) -> None:
        write_trajectory(folder / f"{output.stem}{TRAJECTORY}", _frames(file))
        _write_table(folder / f"{output.stem}{TABLE}", file["table"][()])

    if (done := nothing_to_do(output, job, context, write)) is not None:
        _refuse_stopped(output, context)
        return done
    refuse_idle(KIND, config, model)
    structure = _choose(read_sources([start], context.report), config.frame, start)
    if config.reference is not None:
        say_doubts("reference", config.reference, [structure])
    time_step = config.timestep_fs or default_time_step(structure.species)
    n_steps = max(1, round(config.time_ps * 1e3 / time_step))
    if n_steps > MOST_STEPS:
        raise ConfigError(f"time_ps: expected at most {MOST_STEPS:,} steps, got {n_steps:,}")
    what = f"{n_steps:,} steps of {time_step:g} fs, {config.ensemble.upper()}, {structure.formula}"
    if context.dry_run:
        return planned(KIND, output, [f"{what}, from {structure.name}, with {model}"])
    bath = _bath(config, structure)
    potential = load_md_potential(
        model, structure, config.members, config.sigma, config.sigma_max_rows, config.ensemble == "npt"
    )
    known = potential(structure.positions, structure.cell, False, True)
    if config.stop_beyond and known.beyond is None:
        raise ConfigError(
            f"stop_beyond: {model} does not say which atoms are outside its training data, so that nothing "
            "would stop; expected networks, or model: local, or leave stop_beyond out"
        )
    if config.stop_sigma and known.sigma is None:
        raise ConfigError(
            f"stop_sigma: {model} has no σ of the energy, so that nothing would stop; expected a committee, "
            "network_sigma: laplace, or a Gaussian process, or leave stop_sigma out"
        )
    checkpoint = Checkpoint(output, job)
    with publish_with_files(output, job) as (file, folder):
        checkpoint.prepare(context.resume, context.restart)
        record = Record(checkpoint, structure, config.reference is not None)
        rng = np.random.default_rng(config.seed)
        motion = record.load(rng) or _at_rest_or_not(config, structure, start, rng)
        integrator = Integrator(potential, motion, time_step / FS_PER_TIME_UNIT, bath, rng)
        stopped = run_steps(config, integrator, _fences(config, structure), n_steps, record, context)
        record.write(file)
        file.attrs["stopped"] = stopped
        file.attrs["held_steps"] = motion.held
        write(file, folder)
        notes = [f"wrote {path}" for path in (output, *(beside(output, ending) for ending in endings))]
        title, unit, seconds = f"{model.name}, {what}", integrator.found.beyond_unit, record.seconds_a_step()
        summary = summarise(file, structure, title, unit, seconds, stopped, notes)
        file.attrs["summary"] = summary.to_json()
        file.attrs["wall_time_s"] = record.seconds_before
    checkpoint.discard()
    _refuse_stopped(output, context)
    return summary


def default_time_step(species: tuple[str, ...]) -> float:
    """Return the time step for the lightest element, fs."""
    lightest = min(atomic_numbers[s] for s in species)
    return STEP_WITH_HYDROGEN if lightest == 1 else STEP_WITH_LIGHT if lightest <= NEON else STEP


def read_stopped(output: Path) -> str:
    """Return when and why the run of an artefact was stopped; empty where it reached its end."""
    with open_artefact(output, KIND) as file:
        return str(file.attrs.get("stopped", ""))


def _refuse_stopped(output: Path, context: Context) -> None:
    """End with the exit code of a run that a fence stopped, also where it was finished before."""
    if not context.dry_run and (stopped := read_stopped(output)):
        with open_artefact(output, KIND) as file:
            for line in json.loads(file.attrs["summary"])["closing"]:
                log.warning("%s", line)
        raise NumericalError(
            f"stopped {stopped}. What was run is kept in {output} and {beside(output, TRAJECTORY)}; "
            "structures like its last ones belong into the training data (select, label)"
        )


def _choose(structures: list[Structure], frame: int, start: Path) -> Structure:
    if not -len(structures) <= frame < len(structures):
        raise ConfigError(f"frame: {start} has {len(structures)} structures, counted from 0; got {frame}")
    structure = structures[frame]
    for _, i, j, distance in close_contacts(StructureSet.from_structures([structure]), TOO_CLOSE):
        raise InputError(
            f"{structure.name}: expected atoms at least {TOO_CLOSE:g} Å apart, got atoms {i} and {j} at "
            f"{distance:.3g} Å; no model knows such forces, start from another structure"
        )
    if len(structures) > 1:
        log.info("%s: structure %d of %d (key frame)", start, frame % len(structures), len(structures))
    return structure


def _bath(config: MdConfig, structure: Structure) -> Bath | None:
    if config.ensemble == "nve":
        return None
    thermal = BOLTZMANN * config.temperature
    thermostat = config.thermostat_ps * 1e3 / FS_PER_TIME_UNIT
    if config.ensemble == "nvt":
        return Bath(thermal, thermostat)
    require_bulk(structure, "npt", config.largest_gap, "use ensemble: nvt")
    return Bath(
        thermal,
        thermostat,
        config.pressure_gpa / GPA_PER_EV_PER_CUBIC_ANGSTROM,
        config.barostat_ps * 1e3 / FS_PER_TIME_UNIT,
        config.compressibility * GPA_PER_EV_PER_CUBIC_ANGSTROM,
    )


def _fences(config: MdConfig, structure: Structure) -> Fences:
    hottest = config.stop_temperature or max(HOT * config.temperature, HOTTEST_BY_DEFAULT)
    volume = 0.0 if structure.cell is None else abs(float(np.linalg.det(structure.cell)))
    return Fences(hottest, config.stop_sigma, config.stop_beyond, COLLAPSED * volume)


def _at_rest_or_not(config: MdConfig, structure: Structure, start: Path, rng: np.random.Generator) -> Motion:
    """Return the state at the start, with the velocities of the file or those of the temperature."""
    masses = atomic_masses[[atomic_numbers[s] for s in structure.species]]
    given = read_velocities(start, config.frame, structure.n_atoms)
    if given is not None and not np.isfinite(given).all():
        raise InputError(f"{structure.name}: expected finite numbers, got NaN or infinity in momenta")
    log.info(
        "%s: velocities %s",
        structure.name,
        f"drawn at {config.temperature:g} K" if given is None else "of the file (its momenta)",
    )
    velocities = (
        thermal_velocities(masses, config.temperature, rng) if given is None else given * FS_PER_TIME_UNIT
    )
    return Motion(structure.positions.copy(), velocities, structure.cell, masses)


def _frames(file: h5py.File) -> Iterator[tuple[StructureSet, FloatArray, FloatArray]]:
    group = file["trajectory"]
    for first in range(0, len(group["times"]), FRAMES_AT_A_TIME):
        rows = slice(first, first + FRAMES_AT_A_TIME)
        yield read_structures(group, rows), group["velocities"][rows], group["times"][rows]


def _write_table(path: Path, table: FloatArray) -> None:
    text = io.StringIO()
    text.write(",".join(COLUMNS) + "\n")
    for row in table:
        text.write(",".join("" if math.isnan(value) else f"{value:.10g}" for value in row) + "\n")
    path.write_text(text.getvalue(), encoding="utf-8")
