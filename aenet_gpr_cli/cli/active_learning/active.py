"""`aenet-gpr active`."""

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
    verbosity_options,
)


@click.command("active")
@click.argument("config", type=EXISTING)
@click.option("--workdir", type=EXISTING, help="Folder for all artefacts.  [default: runs/NAME]")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a key, for example --set select.n_select=10. Repeatable.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of every stage that has none of its own.")
@resume_options()[0]
@resume_options()[1]
@verbosity_options()[0]
@verbosity_options()[1]
@gather
def command(config: Path, workdir: Path | None, options: dict[str, Any]) -> None:
    """Select, label, refit and retrain in rounds, until σ is small enough or the budget is spent.

    Every round is a folder of artefacts; the same command goes on after an interruption.

    \b
    aenet-gpr active configs/ec_dimer/active.yaml --workdir runs/active
    """
    from aenet_gpr_cli.stages.active import active_stage as active

    case, source = load_config("active", options, config)
    folder = workdir or Path("runs") / case.name
    run_stage(options, lambda context: active.run(case, source, folder, context))
