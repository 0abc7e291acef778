"""`aenet-gpr run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, resume_options, verbosity_options


@click.command("run")
@click.argument("workflow", type=EXISTING)
@click.option("--workdir", type=EXISTING, help="Folder for all artefacts.  [default: runs/NAME]")
@click.option(
    "--until",
    type=click.Choice(["split", "fit-gpr", "augment", "train-ann", "evaluate", "benchmark"]),
    help="Stop after this stage.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a key, for example --set augment.gpr.n_copies=16. Repeatable.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of every stage that has none of its own.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option("--force", is_flag=True, help="Run every stage, up to date or not.")
@resume_options()[0]
@resume_options()[1]
@verbosity_options()[0]
@verbosity_options()[1]
@gather
def command(workflow: Path, workdir: Path | None, until: str | None, options: dict[str, Any]) -> None:
    """Run all stages of WORKFLOW.yaml in order; stages whose inputs and keys have not changed are skipped.

    \b
    aenet-gpr run configs/ec_dimer/workflow.yaml --workdir runs/ec_dimer
    """
    from aenet_gpr_cli.cli.console import ProgressReport, set_up_logging, show
    from aenet_gpr_cli.config.load import apply_overrides, build, read_mapping
    from aenet_gpr_cli.config.workflow import WorkflowConfig
    from aenet_gpr_cli.errors import InterruptedRun
    from aenet_gpr_cli.stages import workflow as stages
    from aenet_gpr_cli.stages.base import GO_ON, Context
    from aenet_gpr_cli.stages.signals import stop_on_signals

    data = apply_overrides(read_mapping(workflow), options["overrides"])
    if options["seed"] is not None:
        data["seed"] = options["seed"]
    config = build(WorkflowConfig, data, str(workflow))
    set_up_logging(-1 if options["quiet"] else int(options["verbose"]))
    folder = workdir or Path("runs") / config.name
    given = {key: options[key] for key in ("dry_run", "force", "resume", "restart")}
    with stop_on_signals() as stop:
        for step in stages.steps(config, workflow.parent, folder, until):
            with ProgressReport(options["quiet"]) as progress:
                summary = step(Context(progress, stop=stop, **given))
            show(summary, options["quiet"])
            if stop():
                raise InterruptedRun(f"between stages. {GO_ON}")
