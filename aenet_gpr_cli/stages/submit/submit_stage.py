"""`submit`: a workflow → jobs of SLURM, arrays over subsets and members, each stage after those it needs.

Owns which jobs there are. How a script looks and how it is handed over is left to `io.slurm`; the jobs run
the same commands as a user would.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import yaml

from aenet_gpr_cli.config.workflow_config import TrainVariant, WorkflowConfig
from aenet_gpr_cli.io.artefacts.structure_sets import choose_subsets, load_parts
from aenet_gpr_cli.io.files import write_text
from aenet_gpr_cli.io.slurm import FOLDER, ITEM, SlurmJob, Submitted, sbatch, script_text, write_record
from aenet_gpr_cli.settings import as_json
from aenet_gpr_cli.stages.augment.copy_costs import PROGRAM_GIB, augment_gib
from aenet_gpr_cli.stages.fit_gpr.contest import full_seconds
from aenet_gpr_cli.stages.fit_gpr.fit_local_stage import local_gib, local_seconds
from aenet_gpr_cli.stages.fit_gpr.model_kinds import full_candidates, local_is_fitted, passed_by
from aenet_gpr_cli.stages.shared.context import Context, Summary
from aenet_gpr_cli.stages.shared.subset_parts import has_no_copies
from aenet_gpr_cli.stages.split import split_stage as split
from aenet_gpr_cli.stages.split.input_paths import from_anywhere
from aenet_gpr_cli.stages.submit.job_times import (
    CORES,
    LONGEST,
    QUANTUM,
    augment_seconds,
    cores,
    evaluate_seconds,
    train_seconds,
    wall_time,
)
from aenet_gpr_cli.stages.submit.memory_needs import OTHER_GIB, fit_gib, train_gib
from aenet_gpr_cli.stages.workflow_steps import claim_all, gaussian_processes, model_names, part_needed
from aenet_gpr_cli.structures import StructureSet

COLUMNS = ("job", "array", "after", "memory / GiB", "time", "id")
WORKFLOW = f"{FOLDER}/workflow.yaml"
PARTS = "parts"
MOST_PARTS = 64
PROGRAM = (sys.executable, "-m", "aenet_gpr_cli")
Submit = Callable[[Path, list[str]], str]


def run(
    config: WorkflowConfig, source_folder: Path, workdir: Path, context: Context, submit: Submit = sbatch
) -> Summary:
    """Write the batch scripts of a workflow and submit them.

    The structures are divided at once, because the subsets decide the arrays.

    Parameters
    ----------
    source_folder : Path
        Relative input paths start here.
    workdir : Path
        Artefacts go here, scripts and logs into its folder ``slurm``, parts into ``parts``.
    context : Context
        In a dry run the scripts are written and nothing is submitted.
    submit : callable
        Called with a script and the identifiers of the jobs it needs; returns that of the job.

    Raises
    ------
    InputError
        If something is in the way of what any of the jobs would write.
    """
    claim_all(config, source_folder, workdir)
    quiet = Context(context.progress, stop=context.stop)
    split.run(config.split, source_folder, workdir / "split.h5", quiet, needed=part_needed(config))
    parts = load_parts(workdir / "split.h5")
    for folder in (FOLDER, PARTS):
        (workdir / folder).mkdir(exist_ok=True)
    kept = replace(
        config,
        split=from_anywhere(config.split, source_folder),
        train_ann={name: _with_start(variant, source_folder) for name, variant in config.train_ann.items()},
    )
    write_text(workdir / WORKFLOW, yaml.safe_dump(as_json(kept), sort_keys=False, allow_unicode=True))
    rows, ids = [], dict[str, str]()
    record: list[Submitted] = []
    for number, job in enumerate(plan(config, parts["train"], parts["test"])):
        resources = config.slurm.of(job.stage)  # type: ignore[arg-type]
        script = workdir / FOLDER / f"{number:02d}_{job.name}.sh"
        write_text(script, script_text(job, resources, workdir))
        if not context.dry_run:
            ids[job.name] = submit(script, [ids[name] for name in job.needs])
            record.append(Submitted(job.name, ids[job.name], job.items))
            write_record(workdir, record)
        memory = resources.memory_gib or job.memory_gib
        size = str(len(job.items)) if job.items else "–"
        row = [job.name, size, ", ".join(job.needs) or "–", f"{memory:.1f}", resources.time or job.time]
        rows.append([*row, ids.get(job.name, "–")])
    hint = f"aenet-gpr status {workdir} shows how they get on"
    where = f"the scripts run in {workdir.resolve()}, wherever they are submitted from"
    notes = [f"wrote the scripts into {workdir / FOLDER}", where]
    notes.append("nothing submitted" if context.dry_run else hint)
    return Summary(f"Jobs of {config.name}", COLUMNS, rows, notes)


def plan(
    config: WorkflowConfig, subsets: dict[str, StructureSet], test: dict[str, StructureSet]
) -> list[SlurmJob]:
    """Return the jobs of a workflow, each after those it needs.

    Parameters
    ----------
    subsets, test : dict of str to StructureSet
        Training and test structures.
    """
    jobs: list[SlurmJob] = []
    ready: dict[str, tuple[str, ...]] = {"split": ()}  # artefact → the job that completes it
    for build, on in (
        (_fit_gpr, subsets),
        (_augment, subsets),
        (_train_ann, subsets),
        (_evaluate, test),
        (_benchmark, subsets),
    ):
        for job, output in build(config, on, ready):
            jobs.append(job)
            if output:
                ready[output] = (job.name,)
    return jobs


Jobs = Iterator[tuple[SlurmJob, str]]
Ready = dict[str, tuple[str, ...]]


def _stage(command: str, *inputs: str, variant: str = "") -> tuple[str, ...]:
    chosen = ("--variant", variant) if variant else ()
    return (*PROGRAM, command, *inputs, "-c", WORKFLOW, *chosen)


def _in_parts(job: SlurmJob, option: str, noun: str, output: str, memory: float) -> Jobs:
    """Yield the array that makes the parts of an output and the job that collects them."""
    if len(job.items) == 1:  # the whole
        yield replace(job, command=(*job.command, "-o", f"{output}.h5"), items=()), output
        return
    part = f"{PARTS}/{output}.{noun}{ITEM}.h5"
    yield replace(job, command=(*job.command, option, ITEM, "-o", part)), ""
    parts = [part.replace(ITEM, item) for item in job.items]
    collect = (*PROGRAM, "collect", *parts, "-o", f"{output}.h5")
    asked = wall_time(QUANTUM / 4)
    yield SlurmJob(f"collect_{output}", "collect", collect, (), (job.name,), memory, asked), output


def _fit_gpr(config: WorkflowConfig, subsets: dict[str, StructureSet], ready: Ready) -> Jobs:
    for output, section in gaussian_processes(config).items():
        wanted = section.subsets or [name for name, s in subsets.items() if not passed_by(section, s)]
        chosen = choose_subsets(subsets, wanted, Path("split.h5"))
        full = full_candidates(section, chosen)
        needs = [fit_gib(section, subset) for subset in full.values()]
        seconds = max((full_seconds(section, subset) for subset in full.values()), default=0.0)
        names, option, noun = tuple(chosen), "--subset", ""
        if local_is_fitted(section):
            wanted_parts = local_seconds(section, chosen)[1] / (60.0 * config.slurm.part_minutes)
            of = min(MOST_PARTS, max(len(full), math.ceil(wanted_parts)))
            names, option, noun = tuple(f"{k + 1}-{of}" for k in range(of)), "--part", "part_"
            needs.append(PROGRAM_GIB + local_gib(section, chosen))
            # hyperparameters and the design come before the rows; each part finds them
            seconds += 60.0 * section.comparison_minutes * bool(full) + sum(local_seconds(section, chosen))
        memory = max(needs)
        variant = output.removeprefix("gpr").removeprefix("_")
        command = _stage("fit-gpr", "split.h5", variant=variant)
        title = f"fit-gpr_{variant}" if variant else "fit-gpr"
        asked = wall_time(seconds), max(cores(seconds), section.workers)
        job = SlurmJob(title, "fit_gpr", command, names, ready["split"], memory, *asked)
        yield from _in_parts(job, option, noun, output, OTHER_GIB if option == "--subset" else memory)


def _augment(config: WorkflowConfig, subsets: dict[str, StructureSet], ready: Ready) -> Jobs:
    for name, variant in config.augment.items():
        source = "gpr" if variant.method == "gpr" else "split"
        inputs = ("split.h5", *(["gpr.h5"] if source == "gpr" else []))
        strained = bool(variant.strain)
        shaped = {n: subset for n, subset in subsets.items() if not has_no_copies(subset, strained)}
        memory = max(augment_gib(variant, subset) for subset in shaped.values())
        command = _stage("augment", *inputs, variant=name)
        seconds = max(augment_seconds(variant, subset) for subset in shaped.values())
        asked = wall_time(seconds), max(cores(seconds), variant.workers)
        job = SlurmJob(f"augment_{name}", "augment", command, tuple(shaped), ready[source], memory, *asked)
        yield from _in_parts(job, "--subset", "", f"augmented_{name}", OTHER_GIB)


def _with_start(variant: TrainVariant, folder: Path) -> TrainVariant:
    """Return a training that finds the potential it goes on from in any folder."""
    return replace(variant, start=str((folder / variant.start).resolve())) if variant.start else variant


def _train_ann(config: WorkflowConfig, subsets: dict[str, StructureSet], ready: Ready) -> Jobs:
    for name, variant in config.train_ann.items():
        source = config.source_of(variant)
        inputs = ("split.h5", *([f"augmented_{source}.h5"] if source else []))
        needs = ready[f"augmented_{source}" if source else "split"]
        members = tuple(map(str, range(variant.n_members)))
        copies = config.augment[source] if source else None
        memory, seconds = train_gib(variant, subsets, copies), train_seconds(variant, subsets, copies)
        command = _stage("train-ann", *inputs, variant=name)
        asked = wall_time(seconds), cores(seconds)
        job = SlurmJob(f"train-ann_{name}", "train_ann", command, members, needs, memory, *asked)
        yield from _in_parts(job, "--member", "member_", f"ann_{name}", OTHER_GIB)


def _evaluate(config: WorkflowConfig, subsets: dict[str, StructureSet], ready: Ready) -> Jobs:
    models = model_names(config)
    if models:
        command = (*_stage("evaluate", "split.h5", *(f"{model}.h5" for model in models)), "-o", "metrics.h5")
        needs = tuple(job for model in models for job in ready[model])
        asked = wall_time(evaluate_seconds(len(models), subsets))
        yield SlurmJob("evaluate", "evaluate", command, (), needs, OTHER_GIB, asked), "metrics"


def _benchmark(config: WorkflowConfig, subsets: dict[str, StructureSet], ready: Ready) -> Jobs:
    if config.benchmark is not None:
        command = (*_stage("benchmark", "split.h5"), "-o", "benchmark.h5")
        asked = wall_time(LONGEST), CORES
        yield SlurmJob("benchmark", "benchmark", command, (), ready["split"], OTHER_GIB, *asked), "benchmark"
