"""`aenet-gpr submit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import gather, load_config, run_stage, workflow_options


@click.command("submit")
@workflow_options
@click.option("--dry-run", is_flag=True, help="Write the scripts; submit nothing.")
@gather
def command(workflow: Path, workdir: Path | None, options: dict[str, Any]) -> None:
    """Run WORKFLOW.yaml on a cluster with SLURM.

    Writes batch scripts into the folder slurm of the working folder and submits them: an array over the
    subsets for fit-gpr and augment, over the members for train-ann, each after what it needs. Before the wall
    time ends a job writes its state and queues again. Partition, time and memory are in the section slurm of
    the workflow.

    \b
    aenet-gpr submit workflow.yaml --workdir runs/case --dry-run
    aenet-gpr submit workflow.yaml --workdir runs/case --set slurm.partition=long
    aenet-gpr status runs/case
    """
    from aenet_gpr_cli.stages import submit_stage as submit

    config, source = load_config("workflow", options, workflow)
    target = workdir or Path("runs") / config.name
    run_stage(options, lambda context: submit.run(config, source, target, context))
