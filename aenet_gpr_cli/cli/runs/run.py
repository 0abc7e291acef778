"""`aenet-gpr run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import gather, load_config, resume_options, workflow_options


@click.command("run")
@workflow_options
@click.option(
    "--until",
    type=click.Choice(["split", "fit-gpr", "augment", "train-ann", "evaluate", "benchmark"]),
    help="Stop after this stage.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option("--force", is_flag=True, help="Run every stage, up to date or not.")
@resume_options()[0]
@resume_options()[1]
@gather
def command(workflow: Path, workdir: Path | None, until: str | None, options: dict[str, Any]) -> None:
    """Run all stages of WORKFLOW.yaml in order; stages whose inputs and keys have not changed are skipped.

    \b
    aenet-gpr run configs/ec_dimer/workflow.yaml --workdir runs/ec_dimer
    """
    from aenet_gpr_cli.cli.console import ProgressReport, set_up_logging, show
    from aenet_gpr_cli.errors import InterruptedRun
    from aenet_gpr_cli.stages import workflow_steps as stages
    from aenet_gpr_cli.stages.shared.context import GO_ON, Context
    from aenet_gpr_cli.stages.shared.signals import stop_on_signals

    config, source = load_config("workflow", options, workflow)
    set_up_logging(-1 if options["quiet"] else int(options["verbose"]))
    folder = workdir or Path("runs") / config.name
    given = {key: options[key] for key in ("dry_run", "force", "resume", "restart")}
    with stop_on_signals() as stop:
        for step in stages.steps(config, source, folder, until):
            with ProgressReport(options["quiet"]) as progress:
                summary = step(Context(progress, stop=stop, **given))
            show(summary, options["quiet"])
            if stop():
                raise InterruptedRun(f"between stages. {GO_ON}")
