"""`aenet-gpr import`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, run_stage, verbosity_options


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=EXISTING)
@click.option(
    "-o", "--output", type=EXISTING, default=Path("ann.h5"), show_default=True, help="Artefact to write."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option("--force", is_flag=True, help="Run even if the output is up to date.")
@verbosity_options()[0]
@verbosity_options()[1]
@gather
def command(files: tuple[Path, ...], options: dict[str, Any]) -> None:
    """Read a potential of ænet, one .nn or .nn.ascii file per species.

    The output can be used like that of `train-ann`.

    \b
    aenet-gpr import C.nn H.nn O.nn -o ann.h5
    """
    from aenet_gpr_cli.stages import exchange_stage as aenet_files

    output = options["output"]
    run_stage(options, lambda context: aenet_files.import_potential(list(files), output, context))
