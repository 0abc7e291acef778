"""`aenet-gpr init`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, run_stage, verbosity_options


@click.command("init")
@click.argument("files", nargs=-1, required=True, type=EXISTING)
@click.option("--name", default="my_case", show_default=True, help="Name of the case.")
@click.option(
    "-o",
    "--output",
    type=EXISTING,
    default=Path("workflow.yaml"),
    show_default=True,
    help="File to write.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option("--force", is_flag=True, help="Replace the file.")
@verbosity_options()[0]
@verbosity_options()[1]
@gather
def command(files: tuple[Path, ...], name: str, output: Path, options: dict[str, Any]) -> None:
    """Write a minimal workflow for the structures in FILES (what `split` reads).

    \b
    aenet-gpr init my_dft_runs/ --name my_case
    aenet-gpr run workflow.yaml
    """
    from aenet_gpr_cli.stages import init_stage as init

    run_stage(options, lambda context: init.run(files, name, output, context))
