"""`aenet-gpr fit-gpr`."""

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
    stage_options,
)


@click.command("fit-gpr")
@click.argument("split", type=EXISTING)
@stage_options("gpr.h5")
@click.option("--subset", "subsets", multiple=True, help="Fit this subset only. Repeatable.")
@resume_options()[0]
@resume_options()[1]
@gather
def command(split: Path, options: dict[str, Any]) -> None:
    """Fit a full Gaussian process to energies and forces of each subset.

    SPLIT is the output of `split`; only its training structures are used.

    \b
    aenet-gpr fit-gpr split.h5 -o gpr.h5
    aenet-gpr fit-gpr split.h5 --set workers=4 -o gpr.h5
    aenet-gpr fit-gpr split.h5 --subset H2O -o gpr.H2O.h5   (then: collect)
    aenet-gpr fit-gpr split.h5 -c workflow.yaml --variant cartesian -o gpr_cartesian.h5   (of compare_gpr)

    Stopped or failed, it keeps the subsets that are finished; the same command does the others.
    """
    from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage as fit_gpr

    section = "compare_gpr" if options["variant"] else "fit_gpr"
    config, _ = load_config("fit-gpr", options, section=section)
    output, only = options["output"], options["subsets"]
    run_stage(options, lambda context: fit_gpr.run(config, split, output, context, only))
