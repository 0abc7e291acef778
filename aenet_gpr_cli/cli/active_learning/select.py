"""`aenet-gpr select`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, load_config, run_stage, stage_options


@click.command("select")
@click.argument("model", type=EXISTING)
@click.argument("pool", nargs=-1, required=True, type=EXISTING)
@stage_options("selected.h5")
@gather
def command(model: Path, pool: tuple[Path, ...], options: dict[str, Any]) -> None:
    """Rank a pool of structures by their uncertainty and write those worth a calculation.

    MODEL is the output of `fit-gpr`, or of `train-ann` with at least two members; POOL is anything that
    `split` reads, labels are not needed. The work list is written beside the artefact as XSF or extended XYZ.

    \b
    aenet-gpr select gpr.h5 md_run.extxyz --set n_select=20 -o selected.h5
    """
    from aenet_gpr_cli.stages import select_stage as select

    config, _ = load_config("select", options)
    run_stage(options, lambda context: select.run(config, model, pool, options["output"], context))
