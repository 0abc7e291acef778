"""`aenet-gpr figures`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, run_stage, verbosity_options


@click.command("figures")
@click.argument("folder", type=EXISTING)
@click.option("-o", "--output", type=EXISTING, help="Folder of the pictures [default: FOLDER/figures].")
@verbosity_options()[0]
@verbosity_options()[1]
@gather
def command(folder: Path, options: dict[str, Any]) -> None:
    """Draw the paper's figures of a finished run, as PDF and PNG.

    FOLDER is the working folder of `run`; what it holds decides which figures come out.

    \b
    aenet-gpr figures runs/ec_dimer
    """
    from aenet_gpr_cli.stages import figures

    output = options["output"] or folder / "figures"
    run_stage(options, lambda context: figures.run(folder, output, context))
