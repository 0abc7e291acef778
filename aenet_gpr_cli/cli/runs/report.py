"""`aenet-gpr report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, run_stage, verbosity_options


@click.command("report")
@click.argument("folder", type=EXISTING)
@click.option("-o", "--output", type=EXISTING, help="HTML page to write [default: FOLDER/report.html].")
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@verbosity_options()[0]
@verbosity_options()[1]
@gather
def command(folder: Path, options: dict[str, Any]) -> None:
    """Write one HTML page about a finished run: data, surrogate, augmentation, training, errors, cost.

    FOLDER is the working folder of `run`. The page holds its pictures and loads nothing.

    \b
    aenet-gpr report runs/ec_dimer
    """
    from aenet_gpr_cli.reports import report_page as report

    output = options["output"] or folder / "report.html"
    run_stage(options, lambda context: report.run(folder, output, context))
