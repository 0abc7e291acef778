"""`aenet-gpr status`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, run_stage, verbosity_options


@click.command("status")
@click.argument("workdir", type=EXISTING)
@verbosity_options()[0]
@verbosity_options()[1]
@gather
def command(workdir: Path, options: dict[str, Any]) -> None:
    """Show what ran in WORKDIR: finished artefacts, checkpoints, who is writing, jobs of SLURM.

    \b
    aenet-gpr status runs/ec_dimer
    """
    from aenet_gpr_cli.stages import status_stage as status

    run_stage(options, lambda context: status.run(workdir))
