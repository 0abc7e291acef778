"""`aenet-gpr figures`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, run_stage, verbosity_options


@click.command("figures")
@click.argument("folder", type=EXISTING)
@click.option("-o", "--output", type=EXISTING, help="Folder of the pictures [default: FOLDER/figures].")
@click.option(
    "-f",
    "--figure",
    "numbers",
    multiple=True,
    metavar="NUMBER",
    help="Figure of the paper, as 3 or S13b, or modes: all trainings compared; repeatable.",
)
@verbosity_options()[0]
@verbosity_options()[1]
@gather
def command(folder: Path, options: dict[str, Any]) -> None:
    """Draw the paper's figures of a finished run, as PDF and PNG.

    FOLDER is the working folder of `run`. Without numbers, what it holds decides which figures come out, and
    they are named by their content; with numbers, they are called figure_NUMBER.

    \b
    aenet-gpr figures runs/ec_dimer
    aenet-gpr figures runs/ec_dimer --figure 4 --figure S12 -o figures_out
    """
    from aenet_gpr_cli.reports import figure_files as figures

    output = options["output"] or folder / "figures"
    run_stage(options, lambda context: figures.run(folder, output, context, options["numbers"]))
