"""`fit-gpr`: split.h5 → gpr.h5, full Gaussian processes of subsets, or the local one of all.

Subsets are fitted one after another or side by side; each finished one is kept beside the output until all
are there, so that a stopped or failed run is finished by running it again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.errors import AenetGprError, ConfigError
from aenet_gpr_cli.gpr.subset_lookup import LOCAL
from aenet_gpr_cli.io.artefacts.artefact import publish
from aenet_gpr_cli.io.artefacts.checkpoint import Checkpoint
from aenet_gpr_cli.io.artefacts.structure_sets import choose_subsets, load_split
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.stages.fit_gpr.fit_local_stage import FittedLocal, fit_local_subset, full_subsets
from aenet_gpr_cli.stages.fit_gpr.fit_plan import Plan, plan_fit
from aenet_gpr_cli.stages.fit_gpr.fit_subset import COLUMNS, FittedSubset, fit_subset
from aenet_gpr_cli.stages.shared.context import Context, Summary, log, make_job, nothing_to_do, planned
from aenet_gpr_cli.stages.shared.outputs import claim
from aenet_gpr_cli.stages.shared.processes import run_tasks
from aenet_gpr_cli.stages.shared.subset_parts import asked_for, copy_subsets, is_atom
from aenet_gpr_cli.structures import StructureSet

KIND = "fit-gpr"
TITLE = "Gaussian processes"


def run(
    config: FitGprConfig, split: Path, output: Path, context: Context, only: Sequence[str] = ()
) -> Summary:
    """Fit one Gaussian process per subset.

    Parameters
    ----------
    split : Path
        Output of `split`.
    only : sequence of str
        Fit these of the subsets, to be collected with the others later; empty for all.

    Raises
    ------
    ConfigError
        If a subset is asked for that the split does not have, or an unfinished run of another configuration
        is there.
    ResourceError
        If a solver would not fit into the memory allowed; before anything is computed.
    InterruptedRun
        If the context asked to stop; finished subsets are kept.
    """
    claim(KIND, output, [split])
    part, whole = asked_for(split, only, config.subsets, None if config.model == "local" else is_atom)
    job = make_job(KIND, config, {"split": split}, context, part=part, whole=whole)
    if (done := nothing_to_do(output, job, context)) is not None:
        return done
    subsets = choose_subsets(load_split(split, "train"), list(part), split)
    full = full_subsets(config, subsets)
    if only and len(full) < len(subsets):
        raise ConfigError(
            "--subset: the local process is one for all subsets and is not fitted in parts; leave it out, "
            "or set model: full"
        )
    plans = [plan_fit(config, name, subset) for name, subset in full.items()]
    workers = _workers(config, plans)
    if context.dry_run:
        return planned(KIND, output, [plan.message for plan in plans] + _local_plan(full, subsets))
    for plan in plans:
        log.info(plan.message)
    checkpoint = Checkpoint(output, job)
    with publish(output, job) as file:
        checkpoint.prepare(context.resume, context.restart)
        file.attrs["wall_time_s"] = checkpoint.seconds_of_finished()
        tasks = _tasks(config, full, subsets)
        _fit_missing(tasks, workers, checkpoint, context)
        rows = copy_subsets(list(checkpoint.finished()), KIND, list(tasks), file)
        summary = Summary(TITLE, COLUMNS, rows, [f"wrote {output}"])
        file.attrs["summary"] = summary.to_json()
    checkpoint.discard()
    return summary


Task = tuple[FitGprConfig, str, StructureSet | dict[str, StructureSet]]


def _tasks(
    config: FitGprConfig, full: Mapping[str, StructureSet], subsets: Mapping[str, StructureSet]
) -> dict[str, Task]:
    tasks: dict[str, Task] = {name: (config, name, subset) for name, subset in full.items()}
    if len(full) < len(subsets):
        tasks[LOCAL] = (config, LOCAL, dict(subsets))
    return tasks


def fit_one(
    config: FitGprConfig, name: str, given: StructureSet | dict[str, StructureSet], progress: Progress
) -> FittedSubset | FittedLocal:
    """Fit the full process of one subset, or the local one of several."""
    if isinstance(given, dict):
        return fit_local_subset(config, name, given, progress)
    return fit_subset(config, name, given, progress)


def _local_plan(full: Mapping[str, StructureSet], subsets: Mapping[str, StructureSet]) -> list[str]:
    rest, n = len(subsets) - len(full), sum(map(len, subsets.values()))
    if not rest:
        return []
    which = f"for {rest} of {len(subsets)} subsets"
    return [f"{LOCAL}: one process of atomic environments on {n} structures, {which}"]


def _fit_missing(tasks: Mapping[str, Task], workers: int, checkpoint: Checkpoint, context: Context) -> None:
    """Fit what the checkpoint does not hold, and put it there."""
    have = {name for part in checkpoint.finished().values() for name in part}
    if have:
        log.info("%d of %d processes are finished already", len(have), len(tasks))
    missing = {name: task for name, task in tasks.items() if name not in have}
    earlier, started = checkpoint.seconds_of_finished(), time.perf_counter()
    failures: dict[str, Exception] = {}
    with contextlib.closing(run_tasks(fit_one, missing, workers, context)) as results:
        for name, result in results:
            if isinstance(result, FittedSubset | FittedLocal):
                _keep(checkpoint, name, result, earlier + time.perf_counter() - started)
            else:
                failures[name] = result
    if failures:
        raise _together(failures, len(tasks), checkpoint.folder)


def _keep(checkpoint: Checkpoint, name: str, fitted: FittedSubset | FittedLocal, wall_time: float) -> None:
    with publish(checkpoint.path_of((name,)), checkpoint.job_of((name,))) as file:
        fitted.write(file.create_group(f"subsets/{name}"))
        file.attrs["summary"] = Summary(TITLE, COLUMNS, [fitted.row]).to_json()
        file.attrs["wall_time_s"] = wall_time


def _together(failures: Mapping[str, Exception], n_subsets: int, folder: Path) -> Exception:
    """Return one exception for all failures: a bug as it is, else what the first is, with all messages."""
    kept = n_subsets - len(failures)
    note = f". {kept} other subsets are kept in {folder}: run again for the rest" if kept else ""
    note += " (after a change of the configuration: with --restart)" if kept else ""
    for name, error in failures.items():
        if not isinstance(error, AenetGprError | MemoryError):
            error.add_note(f"subset {name}{note}")
            return error
    first = next(iter(failures.values()))
    text = "; ".join(f"subset {name}: {error}" for name, error in failures.items())
    # the subclass of numpy takes other arguments
    kind = MemoryError if isinstance(first, MemoryError) else type(first)
    return kind(text + note)


def _workers(config: FitGprConfig, plans: Sequence[Plan]) -> int:
    """Return how many fits run at a time: as many as asked for, if the largest ones fit into the memory."""
    sizes = sorted((plan.gib for plan in plans), reverse=True)
    workers = wanted = min(config.workers, len(sizes))
    while workers > 1 and sum(sizes[:workers]) > config.max_memory_gib:
        workers -= 1
    if workers < wanted:
        log.warning(
            "%d fits at a time need %.1f GiB, allowed are %g: %d at a time; raise max_memory_gib for more",
            wanted,
            sum(sizes[:wanted]),
            config.max_memory_gib,
            workers,
        )
    return workers
