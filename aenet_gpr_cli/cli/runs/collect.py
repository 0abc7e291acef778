"""`aenet-gpr collect`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, run_stage, verbosity_options


@click.command("collect")
@click.argument("parts", nargs=-1, required=True, type=EXISTING)
@click.option("-o", "--output", type=EXISTING, required=True, help="Artefact to write.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option("--force", is_flag=True, help="Run even if the output is up to date.")
@verbosity_options()[0]
@verbosity_options()[1]
@gather
def command(parts: tuple[Path, ...], options: dict[str, Any]) -> None:
    """Join members of a committee, or subsets of surrogates or of copies, that were made one by one.

    The output is the one that a single job would have written; `aenet-gpr run` takes it as up to date.

    \b
    aenet-gpr collect ann.member_*.h5 -o ann.h5
    aenet-gpr collect gpr.H2O.h5 gpr.CO2.h5 -o gpr.h5
    aenet-gpr collect augmented.H2O.h5 augmented.CO2.h5 -o augmented.h5
    """
    from aenet_gpr_cli.stages import collect_stage as collect

    run_stage(options, lambda context: collect.run(list(parts), options["output"], context))
