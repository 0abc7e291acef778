"""Many runs by one command: each an artefact of its own, side by side, and a table of all."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from aenet_gpr_cli.ann.potential.extrapolation import WARN_BEYOND
from aenet_gpr_cli.calculators.md_potential import are_answered_together
from aenet_gpr_cli.config.stages.md_config import MdConfig
from aenet_gpr_cli.dynamics.asking import answer_together
from aenet_gpr_cli.errors import AenetGprError, InterruptedRun, NumericalError
from aenet_gpr_cli.io.artefacts.artefact import Job, open_artefact, publish_with_files
from aenet_gpr_cli.io.artefacts.fields import write_field
from aenet_gpr_cli.io.artefacts.side_files import beside
from aenet_gpr_cli.io.formats.source_files import source_hashes
from aenet_gpr_cli.io.formats.sources import read_sources
from aenet_gpr_cli.io.hdf5.checksums import identity
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.settings import as_json
from aenet_gpr_cli.stages.label_stage import say_doubts
from aenet_gpr_cli.stages.md.md_plan import Plan, frame_of, make_plan
from aenet_gpr_cli.stages.md.md_run import FORECAST_FROM, KIND, duration
from aenet_gpr_cli.stages.md.md_single import (
    ENDINGS,
    TRAJECTORY,
    has_given_velocities,
    load_potentials,
    read_stopped,
    run_plan,
    say_open,
    write_files,
)
from aenet_gpr_cli.stages.md.replica_table import COLUMNS, numbers_of, printed, write_csv
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
from aenet_gpr_cli.stages.shared.processes import available_cores, run_tasks

OF_ALL = "md replicas"
TABLE = "_replicas.csv"
BETWEEN = 0.2  # s between reports of a replica, which are also its looks at the request to stop
SECONDS_OF_FORECAST = 2.0
SECONDS_OF_AN_ATOM = 8e-6  # and step, of networks (measured)
SECONDS_OF_A_PROCESS = 3.0  # to begin
ATOMS_TOGETHER = 1000  # in one evaluation; more leave the cache
SHOWN = 3  # names in a message


@dataclass(frozen=True, slots=True)
class Replica:
    """One of the runs.

    Attributes
    ----------
    config : MdConfig
        Its own: with its number, and without that of all.
    plan : Plan
    output : Path
    job : Job
    """

    config: MdConfig
    plan: Plan
    output: Path
    job: Job


def path_of(output: Path, number: int) -> Path:
    """Return the artefact of a replica, counted from 1, beside that of all."""
    return beside(output, f".replica_{number}.h5")


def run_replicas(config: MdConfig, model: Path, start: Path, output: Path, context: Context) -> Summary:
    """Run replicas that are not finished yet; publish each, and a table of all.

    See `md_stage.run`. One that a fence stops, or that fails, does not stop the others.

    Raises
    ------
    AenetGprError
        What the first of those that failed raised, with the messages of all.
    """
    numbers = range(1, config.replicas + 1)
    claim(OF_ALL, output, [model, start], [TABLE])
    for number in numbers:
        claim(KIND, path_of(output, number), [model, start], ENDINGS)
    own = [replace(config, replicas=1, replica=number) for number in numbers]
    first = make_job(KIND, own[0], {"model": model}, context, by_name(source_hashes([start])))
    if not model.is_file():  # in a dry run
        return planned(OF_ALL, output, [f"{model}: an earlier stage writes it"])
    refuse_idle(KIND, config, model)
    structures = read_sources([start], context.report)
    replicas, known = [], dict[int, Plan]()
    for each in own:
        if (number := frame_of(each)) not in known:
            known[number] = make_plan(each, structures, start)
        plan, path = known[number], path_of(output, each.replica)
        replicas.append(Replica(each, plan, path, replace(first, config=as_json(each))))
    plans = [each.plan for each in replicas]
    if config.reference is not None:
        say_doubts("reference", config.reference, [plan.structure for plan in plans])
    workers = min(config.workers or worthwhile(plans, model, config), config.replicas)
    what = f"{config.replicas} replicas of {plans[0].what}"
    if context.dry_run:
        return planned(OF_ALL, output, [f"{what}, {workers} at a time, with {model}"])
    missing = [
        each
        for each in replicas
        if nothing_to_do(each.output, each.job, context, write_files(each.output)) is None
    ]
    if missing:
        given = "of the file where it has them" if has_given_velocities(own[0]) else "drawn for each"
        log.info("%s: %d to run, %d at a time; velocities %s", start, len(missing), workers, given)
        say_open(model, [each.plan.structure for each in missing])
        _run_missing(missing, workers, model, start, context)
    return _publish_table(config, f"{model.name}, {what}", replicas, output, context)


def worthwhile(plans: Sequence[Plan], model: Path, config: MdConfig) -> int:
    """Return how many processes pay: all cores, but fewer for networks that end before another begins."""
    cores = available_cores()
    if config.reference is not None or not are_answered_together(model, [each.structure for each in plans]):
        return cores
    seconds = sum(each.n_steps * each.structure.n_atoms for each in plans) * SECONDS_OF_AN_ATOM
    return max(1, min(cores, int(seconds / SECONDS_OF_A_PROCESS)))


def refuse_stopped_replicas(output: Path) -> None:
    """End with the exit code of a run that a fence stopped, where one of the replicas was.

    Raises
    ------
    NumericalError
        Naming them.
    """
    with open_artefact(output, OF_ALL) as file:
        stops = json.loads(file.attrs["stops"])
    stopped = [number for number, why in enumerate(stops, 1) if why]
    if stopped:
        shown = [f"replica {number} {stops[number - 1]}" for number in stopped[:SHOWN]]
        shown += ["…"] if len(stopped) > SHOWN else []
        path = path_of(output, stopped[0])
        raise NumericalError(
            f"{len(stopped)} of {len(stops)} replicas stopped: {_names(stopped)} ({'; '.join(shown)}). What "
            f"was run is kept in {path}, {beside(path, TRAJECTORY).name} and so on; structures like the last "
            "ones belong into the training data (select, label)"
        )


def run_group(
    group: Sequence[Replica], model: Path, start: Path, options: Mapping[str, bool], progress: Progress
) -> list[Exception | None]:
    """Run some of them, a step of each at a time: what a process does.

    Parameters
    ----------
    options : mapping of str to bool
        resume, restart: see `Context`.
    progress : callable
        Called with the number of a replica as message; raises `InterruptedRun` as the request to stop.

    Returns
    -------
    list of Exception or None
        What ended each before its time, other than a fence.

    Raises
    ------
    InterruptedRun
        If it was asked to stop before all were finished; what was run is kept.
    """
    potentials = load_potentials(group[0].config, model, [each.plan.structure for each in group])
    line = _Line(progress)
    runs = {}
    for place, each in enumerate(group):
        note = partial(line.note, each.config.replica)
        context = Context(note, stop=line.is_asked, **options)
        own = each.config, each.plan, model, start, each.output, each.job, context
        runs[place] = run_plan(*own, n_together=len(group))
    ended = answer_together(runs, potentials)
    results = [ended[place] for place in range(len(group))]
    for result in results:
        if isinstance(result, InterruptedRun):
            raise result
    return [result if isinstance(result, Exception) else None for result in results]


class _Line:
    """The line to the parent: tells the last progress from time to time, and hears whether to stop."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._last: dict[int, tuple[int, int]] = {}
        self._told = -np.inf
        self._asked = False

    def note(self, number: int, done: int, total: int, message: str) -> None:
        self._last[number] = (done, total)

    def is_asked(self) -> bool:
        now = time.monotonic()
        if self._last and now - self._told >= BETWEEN and not self._asked:
            self._told = now
            try:
                for number, (done, total) in self._last.items():
                    self._progress(done, total, str(number))
            except InterruptedRun:
                self._asked = True
        return self._asked


class _Together:
    """Progress and forecast of all replicas, in steps."""

    def __init__(self, steps: Mapping[str, int], context: Context) -> None:
        self._steps, self._context = steps, context
        self._done = dict.fromkeys(steps, 0)
        self._before = dict.fromkeys(steps, 0)  # of earlier commands
        self._began: float | None = None
        self._is_forecast = False

    def tell(self, group: str, done: int, total: int, number: str) -> None:
        """Take the progress of one of them."""
        if not self._done[number]:
            self._before[number] = done
        self._done[number] = done
        self._show()

    def finish(self, number: str) -> None:
        """Count one as done, also where a fence has stopped it."""
        self._done[number] = self._steps[number]
        self._show()

    def _show(self) -> None:
        n_done, total = sum(self._done.values()), sum(self._steps.values())
        self._context.progress(n_done, total, f"md: steps of {len(self._done)} replicas")
        now = time.perf_counter()
        self._began = self._began or now
        here = n_done - sum(self._before.values())
        if self._is_forecast or now - self._began < SECONDS_OF_FORECAST or here <= 0:
            return
        self._is_forecast = True
        left = (now - self._began) * (total - n_done) / here
        if left >= FORECAST_FROM:
            log.info("about %s for %d replicas", duration(left), len(self._done))


def _run_missing(
    missing: Sequence[Replica], workers: int, model: Path, start: Path, context: Context
) -> None:
    options = {"resume": context.resume, "restart": context.restart}
    groups = _groups(missing, workers, model)
    tasks = {", ".join(_number(one) for one in group): (group, model, start, options) for group in groups}
    together = _Together({_number(each): each.plan.n_steps for each in missing}, context)
    failures: dict[str, Exception] = {}
    with contextlib.closing(run_tasks(run_group, tasks, workers, context, tell=together.tell)) as results:
        for name, result in results:
            group: Sequence[Replica] = tasks[name][0]
            each = [result] * len(group) if isinstance(result, Exception) else result
            for one, error in zip(group, each, strict=True):
                together.finish(_number(one))
                if error is not None:
                    failures[_number(one)] = error
    if failures:
        raise _of_all(failures)


def _groups(missing: Sequence[Replica], workers: int, model: Path) -> list[list[Replica]]:
    """Divide them among the processes; those in a group are evaluated together, where that is possible."""
    structures = [each.plan.structure for each in missing]
    size = 1
    if are_answered_together(model, structures):
        size = max(1, min(math.ceil(len(missing) / workers), ATOMS_TOGETHER // structures[0].n_atoms))
    return [list(missing[first : first + size]) for first in range(0, len(missing), size)]


def _number(replica: Replica) -> str:
    return str(replica.config.replica)


def _of_all(failures: Mapping[str, Exception]) -> Exception:
    """Return one exception for all: a bug as it is, else what the first is; equal messages stand once."""
    for name, error in failures.items():
        if not isinstance(error, AenetGprError):
            error.add_note(f"replica {name}")
            return error
    said: dict[str, list[str]] = {}
    for name, error in failures.items():
        said.setdefault(str(error), []).append(name)
    text = "; ".join(f"replica {', '.join(names)}: {message}" for message, names in said.items())
    return type(next(iter(failures.values())))(f"{text}. Others are kept; run again for the rest")


def _publish_table(
    config: MdConfig, title: str, replicas: list[Replica], output: Path, context: Context
) -> Summary:
    inputs = {f"replica {each.config.replica}": identity(each.output) for each in replicas}
    job = Job(OF_ALL, as_json(config), inputs, neutral=config.neutral)

    def write(file: h5py.File, folder: Path) -> None:
        stops = json.loads(file.attrs["stops"])
        write_csv(folder / f"{output.stem}{TABLE}", file["table"][()], stops)

    if (done := nothing_to_do(output, job, replace(context, force=False), write)) is not None:
        return done
    with publish_with_files(output, job) as (file, folder):
        rows, stops = [], []
        for each in replicas:
            with open_artefact(each.output, KIND) as one:
                rows.append(numbers_of(one, each.plan.structure))
            stops.append(read_stopped(each.output))
        table = np.array(rows)
        write_field(file, "table", table)
        file.attrs["columns"] = json.dumps([column.name for column in COLUMNS])
        file.attrs["stops"] = json.dumps(stops)
        write(file, folder)
        summary = _summary(title, table, stops, output)
        file.attrs["summary"] = summary.to_json()
    return summary


def _summary(title: str, table: np.ndarray, stops: list[str], output: Path) -> Summary:
    columns, rows, short = printed(table, stops)
    notes = [f"warning: replica {number} stopped {why}" for number, why in enumerate(stops, 1) if why]
    notes += [
        "T, E, p, V, density: means of the second half of each run; below them the mean over the replicas "
        "that reached their end, and its standard error",
        f"wrote {output}",
        f"wrote {beside(output, TABLE)}",
        f"wrote {path_of(output, 1)} and so on, each with its files",
    ]
    share = table[:, [column.name for column in COLUMNS].index("frames_outside")]
    closing = []
    if np.isfinite(share).all():
        left = np.flatnonzero(share > 0.0) + 1
        most = f"{share.max():.0%}"
        closing = [
            f"Verdict: {len(left)} of {len(share)} runs left the training data by more than {WARN_BEYOND:g} "
            f"({_names(left)}), in up to {most} of their frames: what follows may be wrong; `show` of each "
            "says from when on."
            if len(left)
            else f"Verdict: all runs stayed within the training data, up to {WARN_BEYOND:g}."
        ]
    return Summary(f"Molecular dynamics: {title}", columns, rows, notes, short=short, closing=closing)


def _names(numbers: list[int] | np.ndarray) -> str:
    return ", ".join(map(str, numbers))
