"""One run: gpr.h5 or ann.h5 and one structure → md.h5, with the trajectory and a table beside it."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
from ase.data import atomic_masses, atomic_numbers

from aenet_gpr_cli.ann.potential.compositions import describe_open
from aenet_gpr_cli.calculators.md_potential import load_md_potentials
from aenet_gpr_cli.config.stages.md_config import MdConfig
from aenet_gpr_cli.dynamics.asking import Ask, Asking, Potentials
from aenet_gpr_cli.dynamics.integrator import Bath, Integrator, Motion, of_free, thermal_velocities
from aenet_gpr_cli.dynamics.md_record import COLUMNS, Fences
from aenet_gpr_cli.errors import ConfigError, InputError, NumericalError
from aenet_gpr_cli.io.artefacts.artefact import Job, open_artefact, publish_with_files
from aenet_gpr_cli.io.artefacts.checkpoint import Checkpoint
from aenet_gpr_cli.io.artefacts.fields import write_field
from aenet_gpr_cli.io.artefacts.side_files import beside
from aenet_gpr_cli.io.artefacts.stored_anns import load_compositions
from aenet_gpr_cli.io.artefacts.structure_sets import read_structures
from aenet_gpr_cli.io.formats.prediction_files import read_velocities, write_trajectory
from aenet_gpr_cli.stages.md.md_plan import Plan, frame_of, level_of
from aenet_gpr_cli.stages.md.md_run import KIND, Record, run_steps
from aenet_gpr_cli.stages.md.md_summary import summarise
from aenet_gpr_cli.stages.shared.context import Context, Summary, log
from aenet_gpr_cli.structures import FloatArray, Structure, StructureSet
from aenet_gpr_cli.units import BOLTZMANN, FS_PER_TIME_UNIT, GPA_PER_EV_PER_CUBIC_ANGSTROM

ENDINGS = TRAJECTORY, TABLE = "_trajectory.extxyz", "_table.csv"
FRAMES_AT_A_TIME = 500
COLLAPSED = 0.1  # of the volume at the start; no condensed matter is compressed so far
HOT, HOTTEST_BY_DEFAULT = 10.0, 3000.0  # times the temperature; K


def write_files(output: Path) -> Callable[[h5py.File, Path], None]:
    """Return what writes trajectory and table of an artefact into a folder."""

    def write(file: h5py.File, folder: Path) -> None:
        group = file["trajectory"]
        fixed = group["fixed_atoms"][()] if "fixed_atoms" in group else ()
        write_trajectory(folder / f"{output.stem}{TRAJECTORY}", _frames(group), fixed)
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
        motion = record.load(rng) or _at_rest_or_not(config, plan, start, rng)
        motion.free = plan.free
        integrator = Integrator(None, motion, plan.time_step / FS_PER_TIME_UNIT, bath, rng)
        yield from integrator.begin()
        fences = _fences(config, structure)
        stopped = yield from run_steps(config, integrator, fences, plan.n_steps, record, context)
        record.write(file)
        if plan.fixed:
            write_field(file["trajectory"], "fixed_atoms", np.array(plan.fixed))
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


def has_given_velocities(config: MdConfig) -> bool:
    """Whether velocities of the file are used: replicas of one structure draw theirs."""
    return config.each_frame or not config.replica


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


def _at_rest_or_not(config: MdConfig, plan: Plan, start: Path, rng: np.random.Generator) -> Motion:
    """Return the state at the start, with the velocities of the file or those of the temperature."""
    structure, free = plan.structure, plan.free
    masses = atomic_masses[[atomic_numbers[s] for s in structure.species]]
    given = (
        read_velocities(start, frame_of(config), structure.n_atoms) if has_given_velocities(config) else None
    )
    if given is not None and not np.isfinite(given).all():
        raise InputError(f"{structure.name}: expected finite numbers, got NaN or infinity in momenta")
    log.log(
        level_of(config),
        "%s: velocities %s",
        structure.name,
        f"drawn at {config.temperature:g} K" if given is None else "of the file (its momenta)",
    )
    if given is None:
        velocities = thermal_velocities(masses, config.temperature, rng, free)
    else:
        velocities = of_free(given * FS_PER_TIME_UNIT, free)
    return Motion(structure.positions.copy(), velocities, structure.cell, masses)


def _frames(group: h5py.Group) -> Iterator[tuple[StructureSet, FloatArray, FloatArray]]:
    for first in range(0, len(group["times"]), FRAMES_AT_A_TIME):
        rows = slice(first, first + FRAMES_AT_A_TIME)
        yield read_structures(group, rows), group["velocities"][rows], group["times"][rows]


def _write_table(path: Path, table: FloatArray) -> None:
    text = io.StringIO()
    text.write(",".join(COLUMNS) + "\n")
    for row in table:
        text.write(",".join("" if math.isnan(value) else f"{value:.10g}" for value in row) + "\n")
    path.write_text(text.getvalue(), encoding="utf-8")
