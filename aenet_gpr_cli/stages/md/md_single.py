"""One run: gpr.h5 or ann.h5 and one structure → md.h5, with the trajectory and a table beside it."""

from __future__ import annotations

import io
import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from ase.data import atomic_masses, atomic_numbers

from aenet_gpr_cli.ann.potential.compositions import describe_open
from aenet_gpr_cli.calculators.md_potential import load_md_potentials
from aenet_gpr_cli.config.stages.md_config import MOST_STEPS, MdConfig
from aenet_gpr_cli.dynamics.asking import Ask, Asking, Potentials
from aenet_gpr_cli.dynamics.integrator import Bath, Integrator, Motion, thermal_velocities
from aenet_gpr_cli.dynamics.md_record import COLUMNS, Fences
from aenet_gpr_cli.errors import ConfigError, InputError, NumericalError
from aenet_gpr_cli.io.artefacts.artefact import Job, open_artefact, publish_with_files
from aenet_gpr_cli.io.artefacts.checkpoint import Checkpoint
from aenet_gpr_cli.io.artefacts.side_files import beside
from aenet_gpr_cli.io.artefacts.stored_anns import load_compositions
from aenet_gpr_cli.io.artefacts.structure_sets import read_structures
from aenet_gpr_cli.io.formats.prediction_files import read_velocities, write_trajectory
from aenet_gpr_cli.stages.md.md_run import KIND, Record, run_steps
from aenet_gpr_cli.stages.md.md_summary import summarise
from aenet_gpr_cli.stages.shared.bulk import require_bulk
from aenet_gpr_cli.stages.shared.context import Context, Summary, log
from aenet_gpr_cli.structures import FloatArray, Structure, StructureSet
from aenet_gpr_cli.subsystems.contacts import close_contacts
from aenet_gpr_cli.units import BOLTZMANN, FS_PER_TIME_UNIT, GPA_PER_EV_PER_CUBIC_ANGSTROM

ENDINGS = TRAJECTORY, TABLE = "_trajectory.extxyz", "_table.csv"
FRAMES_AT_A_TIME = 500
COLLAPSED = 0.1  # of the volume at the start; no condensed matter is compressed so far
HOT, HOTTEST_BY_DEFAULT = 10.0, 3000.0  # times the temperature; K
STEP_WITH_HYDROGEN, STEP_WITH_LIGHT, STEP = 0.5, 1.0, 2.0  # fs; light: up to neon
NEON = 10
ROUNDING = 1e-9  # of a time in ps
TOO_CLOSE = 0.3  # Å; the shortest bond, that of H2, has 0.74


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run starts from, and how far it goes.

    Attributes
    ----------
    structure : Structure
    time_step : float, fs
    n_steps : int
    what : str
        All of it in words.
    """

    structure: Structure
    time_step: float
    n_steps: int
    what: str


def make_plan(config: MdConfig, structures: list[Structure], start: Path) -> Plan:
    """Choose the structure, the time step and the number of steps of a run.

    Parameters
    ----------
    structures : list of Structure
        All of the file ``start``.

    Raises
    ------
    ConfigError
        If there is no such structure, or there would be no step or too many.
    InputError
        If atoms are at one place, or the structure does not fill its cell where that is to change.
    """
    structure = _choose(structures, config, start)
    if config.ensemble == "npt":
        require_bulk(structure, "npt", config.largest_gap, "use ensemble: nvt")
    time_step = config.timestep_fs or default_time_step(structure.species)
    n_steps = round(config.time_ps * 1e3 / time_step)
    if config.time_ps * 1e3 * (1.0 + ROUNDING) < time_step:
        raise ConfigError(
            f"time_ps: expected at least one step, {time_step:g} fs, got {config.time_ps * 1e3:g} fs; give a "
            "longer time, or a shorter timestep_fs"
        )
    if n_steps > MOST_STEPS:
        raise ConfigError(f"time_ps: expected at most {MOST_STEPS:,} steps, got {n_steps:,}")
    steps = f"{n_steps:,} step{'s' * (n_steps != 1)}"
    what = f"{steps} of {time_step:g} fs, {config.ensemble.upper()}, {structure.formula}"
    return Plan(structure, time_step, n_steps, what)


def write_files(output: Path) -> Callable[[h5py.File, Path], None]:
    """Return what writes trajectory and table of an artefact into a folder."""

    def write(file: h5py.File, folder: Path) -> None:
        write_trajectory(folder / f"{output.stem}{TRAJECTORY}", _frames(file))
        _write_table(folder / f"{output.stem}{TABLE}", file["table"][()])

    return write


def load_potentials(config: MdConfig, model: Path, structures: Sequence[Structure]) -> Potentials:
    """Return what answers runs from these structures."""
    strained = config.ensemble == "npt"
    return load_md_potentials(
        model, structures, config.members, config.sigma, config.sigma_max_rows, strained
    )


def say_open(model: Path, structures: Sequence[Structure]) -> None:
    """Warn where training left the energies of the compositions open that will move."""
    known = load_compositions(model)
    found = [] if known is None else [s.species for s in structures if known.lack(s.species)]
    if found:
        log.warning("%s", describe_open(found))


def run_plan(
    config: MdConfig,
    plan: Plan,
    model: Path,
    start: Path,
    output: Path,
    job: Job,
    context: Context,
    n_together: int = 1,
) -> Asking[Summary]:
    """Run and publish one trajectory; ``stopped`` of the artefact says whether a fence ended it.

    Parameters
    ----------
    start : Path
        Whose momenta are the velocities, where they are wanted.
    job : Job
        Of the artefact.
    n_together : int
        How many runs share the time of this process.

    Raises
    ------
    ConfigError, InputError
        If the model does not fit the structure or the fences.
    InterruptedRun
        If the context asked to stop; the same job goes on.
    """
    structure = plan.structure
    bath = _bath(config, structure)
    known = yield Ask(structure.positions, structure.cell, False, True)
    if config.stop_beyond and known.largest_beyond is None:
        raise ConfigError(
            f"stop_beyond: {model} does not say what is outside its training data, so that nothing "
            "would stop; leave stop_beyond out"
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
        rng = random_stream(config)
        motion = record.load(rng) or _at_rest_or_not(config, structure, start, rng)
        integrator = Integrator(None, motion, plan.time_step / FS_PER_TIME_UNIT, bath, rng)
        yield from integrator.begin()
        fences = _fences(config, structure)
        stopped = yield from run_steps(config, integrator, fences, plan.n_steps, record, context)
        record.write(file)
        file.attrs["stopped"] = stopped
        file.attrs["held_steps"] = motion.held
        write_files(output)(file, folder)
        notes = [f"wrote {path}" for path in (output, *(beside(output, ending) for ending in ENDINGS))]
        title, unit, seconds = (
            f"{model.name}, {plan.what}",
            integrator.found.beyond_unit,
            record.seconds_a_step(),
        )
        summary = summarise(file, structure, title, unit, seconds, stopped, notes)
        file.attrs["summary"] = summary.to_json()
        file.attrs["wall_time_s"] = record.seconds_before
    checkpoint.discard()
    return summary


def random_stream(config: MdConfig) -> np.random.Generator:
    """Return the random numbers of a run: replicas have streams of their own, whatever their number."""
    return np.random.default_rng([config.seed, config.replica] if config.replica else config.seed)


def default_time_step(species: tuple[str, ...]) -> float:
    """Return the time step for the lightest element, fs."""
    lightest = min(atomic_numbers[s] for s in species)
    return STEP_WITH_HYDROGEN if lightest == 1 else STEP_WITH_LIGHT if lightest <= NEON else STEP


def read_stopped(output: Path) -> str:
    """Return when and why the run of an artefact was stopped; empty where it reached its end."""
    with open_artefact(output, KIND) as file:
        return str(file.attrs.get("stopped", ""))


def refuse_stopped(output: Path, context: Context) -> None:
    """End with the exit code of a run that a fence stopped, also where it was finished before."""
    if not context.dry_run and (stopped := read_stopped(output)):
        with open_artefact(output, KIND) as file:
            verdict = "".join(f"{line} " for line in json.loads(file.attrs["summary"])["closing"])
        raise NumericalError(
            f"stopped {stopped}. {verdict}What was run is kept in {output} and {beside(output, TRAJECTORY)}; "
            "structures like its last ones belong into the training data (select, label)"
        )


def _choose(structures: list[Structure], config: MdConfig, start: Path) -> Structure:
    n, number = len(structures), frame_of(config)
    if not -n <= number < n or (config.frame < 0 <= number):
        key = f"frame of replica {config.replica}" if number != config.frame else "frame"
        raise ConfigError(f"{key}: {start} has {n} structures, counted from 0; got {number}")
    structure = structures[number]
    for _, i, j, distance in close_contacts(StructureSet.from_structures([structure]), TOO_CLOSE):
        raise InputError(
            f"{structure.name}: expected atoms at least {TOO_CLOSE:g} Å apart, got atoms {i} and {j} at "
            f"{distance:.3g} Å; no model knows such forces, start from another structure"
        )
    if n > 1:
        log.log(_level(config), "%s: structure %d of %d (key frame)", start, number % n, n)
    return structure


def frame_of(config: MdConfig) -> int:
    """Return which structure of the file a run starts from."""
    return config.frame + (config.replica - 1 if config.replica and config.each_frame else 0)


def has_given_velocities(config: MdConfig) -> bool:
    """Whether velocities of the file are used: replicas of one structure draw theirs."""
    return config.each_frame or not config.replica


def _level(config: MdConfig) -> int:
    """Return the level of what is said of a run: of many replicas it is too much."""
    return logging.DEBUG if config.replica else logging.INFO


def _bath(config: MdConfig, structure: Structure) -> Bath | None:
    if config.ensemble == "nve":
        return None
    thermal = BOLTZMANN * config.temperature
    thermostat = config.thermostat_ps * 1e3 / FS_PER_TIME_UNIT
    if config.ensemble == "nvt":
        return Bath(thermal, thermostat)
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
    given = (
        read_velocities(start, frame_of(config), structure.n_atoms) if has_given_velocities(config) else None
    )
    if given is not None and not np.isfinite(given).all():
        raise InputError(f"{structure.name}: expected finite numbers, got NaN or infinity in momenta")
    log.log(
        _level(config),
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
