"""Commands that choose and make new reference calculations: select, label, active."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import (
    PATH,
    case_options,
    gather,
    load_case,
    load_config,
    resumable,
    run_stage,
    stage_options,
)


@click.command("select")
@click.argument("model", type=PATH)
@click.argument("pool", nargs=-1, required=True, type=PATH)
@stage_options("selected.h5")
@gather
def select(model: Path, pool: tuple[Path, ...], options: dict[str, Any]) -> None:
    """Rank a pool of structures by their uncertainty and write those worth a calculation.

    MODEL is the output of `fit-gpr`, or of `train-ann` with at least two members; POOL is anything that
    `split` reads, labels are not needed. The work list is written beside the artefact as XSF or extended XYZ.

    \b
    aenet-gpr select gpr.h5 md_run.extxyz --set n_select=20 -o selected.h5
    """
    from aenet_gpr_cli.stages import select_stage as stage

    config, _ = load_config("select", options)
    run_stage(options, lambda context: stage.run(config, model, pool, options["output"], context))


@click.command("label")
@click.argument("work_list", nargs=-1, required=True, type=PATH)
@stage_options("labelled.h5")
@resumable
@gather
def label(work_list: tuple[Path, ...], options: dict[str, Any]) -> None:
    """Calculate energies and forces of a work list with any ASE calculator.

    WORK_LIST is the output of `select`, or files and folders of structures. What fails is recorded and left
    out. The labelled structures are written beside the artefact, for `split` (key train_inputs). The
    calculator must be named: it has to be that of the training data.

    \b
    aenet-gpr label selected.h5 --set calculator.name=tblite --set calculator.parameters.method=GFN2-xTB
    aenet-gpr label selected.h5 --set calculator.name=emt -o labelled.h5
    """
    from aenet_gpr_cli.stages import label_stage as stage

    config, _ = load_config("label", options)
    run_stage(options, lambda context: stage.run(config, work_list, options["output"], context))


@click.command("active")
@case_options("CONFIG", "select.n_select=10")
@resumable
@gather
def active(options: dict[str, Any]) -> None:
    """Select, label, refit and retrain in rounds, until σ is small enough or the budget is spent.

    Every round is a folder of artefacts; the same command goes on after an interruption.

    \b
    aenet-gpr active configs/ec_dimer/active.yaml --workdir runs/active
    """
    from aenet_gpr_cli.stages.active import active_stage as stage

    config, source, workdir = load_case("active", options)
    run_stage(options, lambda context: stage.run(config, source, workdir, context))
