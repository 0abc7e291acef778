"""`aenet-gpr show`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, verbosity_options


@click.command("show")
@click.argument("artefact", type=EXISTING)
@click.option("--config", "only_config", is_flag=True, help="Print the configuration only, as YAML.")
@verbosity_options()[0]
@verbosity_options()[1]
@gather
def command(artefact: Path, only_config: bool, options: dict[str, Any]) -> None:
    """Show what ARTEFACT holds: where it came from, its results, and every array with shape and unit.

    \b
    aenet-gpr show gpr.h5
    aenet-gpr show ann.h5 --config > again.yaml
    """
    from aenet_gpr_cli.cli.console import set_up_logging, show
    from aenet_gpr_cli.stages import show_stage as stage

    set_up_logging(-1 if options["quiet"] else int(options["verbose"]))
    if only_config:
        click.echo(stage.configuration(artefact), nl=False)
        return
    for table in stage.run(artefact):
        show(table, options["quiet"])
