"""`aenet-gpr label`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import (
    EXISTING,
    gather,
    load_config,
    resume_options,
    run_stage,
    stage_options,
)


@click.command("label")
@click.argument("work_list", nargs=-1, required=True, type=EXISTING)
@stage_options("labelled.h5")
@resume_options()[0]
@resume_options()[1]
@gather
def command(work_list: tuple[Path, ...], options: dict[str, Any]) -> None:
    """Calculate energies and forces of a work list with any ASE calculator.

    WORK_LIST is the output of `select`, or files and folders of structures. What fails is recorded and left
    out. The labelled structures are written beside the artefact, for `split` (key train_inputs).

    \b
    aenet-gpr label selected.h5 --set calculator.parameters.method=GFN2-xTB -o labelled.h5
    """
    from aenet_gpr_cli.stages import label_stage as label

    config, _ = load_config("label", options)
    run_stage(options, lambda context: label.run(config, work_list, options["output"], context))
