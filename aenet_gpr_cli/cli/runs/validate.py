"""`aenet-gpr validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, verbosity_options


@click.command("validate")
@click.argument("config", type=EXISTING)
@click.option(
    "--for", "what", help="What the file is for: workflow, split, fit-gpr, …  [default: seen from its keys]"
)
@verbosity_options()[0]
@verbosity_options()[1]
@gather
def command(config: Path, what: str | None, options: dict[str, Any]) -> None:
    """Check CONFIG.yaml without running anything: every key and value, and that the inputs are there.

    \b
    aenet-gpr validate workflow.yaml
    aenet-gpr validate ann.yaml --for train-ann
    """
    from aenet_gpr_cli.config.reading import MODELS, read_config
    from aenet_gpr_cli.errors import ConfigError
    from aenet_gpr_cli.stages.split_stage import check_inputs, check_present

    if what is not None and what not in MODELS:
        raise ConfigError(f"--for: expected one of {', '.join(MODELS)}, got {what!r}")
    found, model = read_config(what, config)
    section = getattr(model, "split", model)
    if found in ("workflow", "active", "split"):
        check_inputs(section, config.parent)
    if found == "active":
        check_present("pool", model.pool, config.parent)
    if not options["quiet"]:
        click.echo(f"{config}: a valid configuration of {found}")
