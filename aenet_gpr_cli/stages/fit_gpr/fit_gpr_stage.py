"""`fit-gpr`: split.h5 → gpr.h5, full Gaussian processes of subsets, or the local one of all.

Subsets are fitted one after another or side by side; each finished one is kept beside the output until all
are there, so that a stopped or failed run is finished by running it again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import h5py

from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.errors import AenetGprError, ConfigError, ResourceError
from aenet_gpr_cli.gpr.process_settings import SoapOfAtoms
from aenet_gpr_cli.io.artefacts.artefact import publish
from aenet_gpr_cli.io.artefacts.checkpoint import Checkpoint
from aenet_gpr_cli.io.artefacts.structure_sets import stress_doubt
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.stages.fit_gpr.contest import Way, budget
from aenet_gpr_cli.stages.fit_gpr.fit_candidate import Candidate, fit_candidate
from aenet_gpr_cli.stages.fit_gpr.fit_local_stage import LocalShare, LocalTask, fit_share, local_plan
from aenet_gpr_cli.stages.fit_gpr.fit_plan import Plan, plan_fit
from aenet_gpr_cli.stages.fit_gpr.fit_subset import COLUMNS, FittedSubset, fit_subset
from aenet_gpr_cli.stages.fit_gpr.fit_work import Task, Work, plan_work
from aenet_gpr_cli.stages.fit_gpr.join_fits import join_fits
from aenet_gpr_cli.stages.fit_gpr.model_kinds import local_is_fitted
from aenet_gpr_cli.stages.shared.context import Context, Summary, log, make_job, nothing_to_do, planned
from aenet_gpr_cli.stages.shared.many_subsets import few_rows
from aenet_gpr_cli.stages.shared.outputs import claim
from aenet_gpr_cli.stages.shared.processes import run_tasks
from aenet_gpr_cli.stages.shared.subset_parts import copy_subsets, free_atoms
from aenet_gpr_cli.stages.shared.torchrun import torchrun_processes
from aenet_gpr_cli.structures import StructureSet

KIND = "fit-gpr"
TITLE = "Gaussian processes"


def run(
    config: FitGprConfig,
    split: Path,
    output: Path,
    context: Context,
    only: Sequence[str] = (),
    share: tuple[int, int] = (0, 1),
) -> Summary:
    """Fit one Gaussian process per subset, the local one for all, or both and keep the better one.

    Parameters
    ----------
    split : Path
        Output of `split`.
    only : sequence of str
        Fit the full processes of these subsets, to be collected with the others later; empty for all.
    share : tuple of two int
        Do the k-th of n parts, k from 0, to be collected with the others later: every n-th subset, and every
        n-th structure for the local process.

    Raises
    ------
    ConfigError
        If a subset is asked for that the split does not have, or an unfinished run of another configuration
        is there.
    ResourceError
        If a solver would not fit into the memory allowed; before anything is computed.
    InterruptedRun
        If the context asked to stop; finished subsets and added-up rows are kept.
    """
    claim(KIND, output, [split])
    with torchrun_processes("cpu") as (processes, _):
        if processes.size > 1 and (only or share != (0, 1)):
            raise ConfigError("--subset and --part are for jobs without torchrun; leave one of them out")
        work = plan_work(config, split, only, share)
        job = make_job(KIND, config, {"split": split}, context, part=work.names, whole=work.whole)
        if (done := nothing_to_do(output, job, context)) is not None:
            return done
        if local_is_fitted(config):
            _name_idle_soap(config, work.subsets)
        if local_is_fitted(config) and config.local.virials and (doubt := stress_doubt(split)):
            log.warning("trained on as it is: %s", doubt)
        config = _with_free_atoms(config, split, work.subsets)
        parts = [work.divided(k, processes.size, config) for k in range(processes.size)]
        own = parts[processes.rank]
        plans = [_full_plan(config, name, subset) for name, subset in own.full.items()]
        lines = [plan.message for plan in plans if plan is not None]
        if own.share is not None:
            lines.append(local_plan(config, own.subsets, own.share))
        if own.full and local_is_fitted(config):
            lines.append(budget(config, own.full))
        if context.dry_run:
            return planned(KIND, output, lines)
        if config.device is not None and own.full:
            from aenet_gpr_cli.devices import open_device  # loads torch

            open_device(config.device)
        for line in lines:
            log.info("fit of %s", line)
        checkpoint = Checkpoint(output, job)
        with publish(output, job) if processes.rank == 0 else contextlib.nullcontext() as file:
            if processes.rank == 0:
                checkpoint.prepare(context.resume, context.restart)
            processes.wait()
            earlier = checkpoint.seconds_of_finished()
            _fit_missing(own.tasks(config, checkpoint), _workers(config, plans), checkpoint, context)
            processes.wait()
            if file is None:
                return Summary(TITLE)
            file.attrs["wall_time_s"] = earlier
            names = {name for part in parts for name in part.names}
            paths = [path for path, part in checkpoint.finished().items() if names.issuperset(part)]
            summary = _write(paths, work, file, output)
    checkpoint.discard()
    return summary


def _write(paths: list[Path], work: Work, file: h5py.File, output: Path) -> Summary:
    """Put the finished processes into the artefact: those of a part as they are, else the better ones."""
    if set(work.names) == set(work.whole):
        rows, notes = join_fits(paths, KIND, list(work.full), file)
    else:
        rows, notes = [*copy_subsets(paths, KIND, work.names, file)], []
    summary = Summary(TITLE, COLUMNS, rows, [*notes, f"wrote {output}"], few_rows(rows, 1, (2,)))
    file.attrs["summary"] = summary.to_json()
    return summary


def _name_idle_soap(config: FitGprConfig, subsets: Mapping[str, StructureSet]) -> None:
    """Say that `local.soap` does nothing where the data decide that."""
    species = {symbol for subset in subsets.values() for symbol in subset.species}
    own = config.local.soap != SoapOfAtoms()
    if own and config.local.descriptor == "auto" and len(species) > 1:
        log.warning(
            "local.soap does nothing: local.descriptor: auto takes chebyshev for several elements (%s); "
            "set local.descriptor: soap for it",
            ", ".join(sorted(species)),
        )


def _with_free_atoms(config: FitGprConfig, split: Path, subsets: Mapping[str, StructureSet]) -> FitGprConfig:
    """Return the configuration with the energies of isolated atoms, where none are given."""
    if config.local.atomic_energies is not None or config.model == "full":
        return config
    known = free_atoms(split, {symbol for subset in subsets.values() for symbol in subset.species})
    return replace(config, local=replace(config.local, atomic_energies=known))


def fit_one(
    config: FitGprConfig, name: str, given: StructureSet | LocalTask, way: Way | None, progress: Progress
) -> FittedSubset | Candidate | LocalShare:
    """Fit the full process of one subset, or add up a share of the local one."""
    if isinstance(given, LocalTask):
        return fit_share(config, given, progress)
    if way is None:
        return fit_subset(config, name, given, progress)
    return fit_candidate(config, name, given, way, progress)


def _full_plan(config: FitGprConfig, name: str, subset: StructureSet) -> Plan | None:
    """Return the plan of a full process; None where it needs too much and the local one stands in."""
    try:
        return plan_fit(config, name, subset)
    except ResourceError:
        if not local_is_fitted(config):
            raise
        return None


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
            if isinstance(result, FittedSubset | Candidate | LocalShare):
                _keep(checkpoint, name, result, earlier + time.perf_counter() - started)
            else:
                failures[name] = result
    if failures:
        raise _together(failures, len(tasks), checkpoint.folder)


def _keep(
    checkpoint: Checkpoint, name: str, fitted: FittedSubset | Candidate | LocalShare, wall_time: float
) -> None:
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


def _workers(config: FitGprConfig, plans: Sequence[Plan | None]) -> int:
    """Return how many fits run at a time: as many as asked for, if the largest ones fit into the memory."""
    sizes = sorted((plan.gib for plan in plans if plan is not None), reverse=True)
    workers = wanted = min(config.workers, len(sizes)) or 1
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
