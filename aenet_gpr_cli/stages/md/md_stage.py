"""`md`: gpr.h5 or ann.h5 and a structure → md.h5, or one of these for each replica and a table of all."""

from __future__ import annotations

from pathlib import Path

from aenet_gpr_cli.calculators.named_calculators import calculator_class
from aenet_gpr_cli.config.stages.md_config import MdConfig
from aenet_gpr_cli.dynamics.asking import alone
from aenet_gpr_cli.io.formats.source_files import source_hashes
from aenet_gpr_cli.io.formats.sources import read_sources
from aenet_gpr_cli.stages.label_stage import say_doubts
from aenet_gpr_cli.stages.md.md_plan import make_plan
from aenet_gpr_cli.stages.md.md_replicas import refuse_stopped_replicas, run_replicas
from aenet_gpr_cli.stages.md.md_run import KIND
from aenet_gpr_cli.stages.md.md_single import (
    ENDINGS,
    load_potentials,
    refuse_stopped,
    run_plan,
    say_open,
    write_files,
)
from aenet_gpr_cli.stages.shared.context import Context, Summary, by_name, make_job, nothing_to_do, planned
from aenet_gpr_cli.stages.shared.model_keys import refuse_idle
from aenet_gpr_cli.stages.shared.outputs import claim

__all__ = ["refuse_stopped_replicas", "run"]


def run(config: MdConfig, model: Path, start: Path, output: Path, context: Context) -> Summary:
    """Run molecular dynamics.

    Parameters
    ----------
    model : Path
        Output of `fit-gpr`, `train-ann` or `import`.
    start : Path
        A file of structures, of which one is used (key frame), or one for each replica (each_frame).
    output : Path
        ``NAME_trajectory.extxyz`` and ``NAME_table.csv`` are written beside it; of replicas these are
        ``NAME.replica_K.h5``, ..., and ``NAME_replicas.csv`` stands beside the output.

    Raises
    ------
    InputError
        If the model does not fit the structure, or an input would be overwritten.
    NumericalError
        If a fence stopped the run; what was run is published first. Of replicas the table comes first:
        `refuse_stopped_replicas` raises it.
    InterruptedRun
        If the context asked to stop; the same command goes on.
    """
    if config.reference is not None:
        calculator_class(config.reference.name, "reference.name")  # before anything else: is it there?
    if config.replicas > 1:
        return run_replicas(config, model, start, output, context)
    claim(KIND, output, [model, start], ENDINGS)
    job = make_job(KIND, config, {"model": model}, context, by_name(source_hashes([start])))
    summary = nothing_to_do(output, job, context, write_files(output))
    if summary is None:
        refuse_idle(KIND, config, model)
        plan = make_plan(config, read_sources([start], context.report), start)
        if config.reference is not None:
            say_doubts("reference", config.reference, [plan.structure])
        if context.dry_run:
            return planned(KIND, output, [f"{plan.what}, from {plan.structure.name}, with {model}"])
        say_open(model, [plan.structure])
        potentials = load_potentials(config, model, [plan.structure])
        summary = alone(run_plan(config, plan, model, start, output, job, context), potentials)
    refuse_stopped(output, context)
    return summary
