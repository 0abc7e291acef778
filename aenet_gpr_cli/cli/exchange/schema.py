"""`aenet-gpr schema`."""

from __future__ import annotations

import json
from typing import Any

import click

from aenet_gpr_cli.cli.options import gather, verbosity_options


@click.command("schema")
@click.argument("what", default="workflow")
@verbosity_options()[0]
@verbosity_options()[1]
@gather
def command(what: str, options: dict[str, Any]) -> None:
    """Print the JSON Schema of WHAT (workflow, split, fit-gpr, …), with which editors complete and check.

    \b
    aenet-gpr schema > aenet-gpr.schema.json
    # first line of workflow.yaml: # yaml-language-server: $schema=aenet-gpr.schema.json
    """
    from aenet_gpr_cli.config.reading import MODELS
    from aenet_gpr_cli.config.schema import json_schema
    from aenet_gpr_cli.errors import ConfigError

    if what not in MODELS:
        raise ConfigError(f"expected one of {', '.join(MODELS)}, got {what!r}")
    click.echo(json.dumps(json_schema(MODELS[what]), indent=1, ensure_ascii=False))
