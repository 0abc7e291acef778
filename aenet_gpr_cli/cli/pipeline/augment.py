"""`aenet-gpr augment`."""

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


@click.command("augment")
@click.argument("split", type=EXISTING)
@click.argument("gpr", type=EXISTING, required=False)
@stage_options("augmented.h5")
@click.option("--subset", "subsets", multiple=True, help="Do this subset only. Repeatable.")
@resume_options()[0]
@resume_options()[1]
@gather
def command(split: Path, gpr: Path | None, options: dict[str, Any]) -> None:
    """Displace each training structure M times by δ and label the copies with energies.

    SPLIT is the output of `split`, GPR that of `fit-gpr` (not needed for method: taylor).

    \b
    aenet-gpr augment split.h5 gpr.h5 --set displacement=0.034 --set n_copies=36 -o augmented.h5
    aenet-gpr augment split.h5 gpr.h5 --subset H2O -o augmented.H2O.h5   (then: collect)
    """
    from aenet_gpr_cli.stages.augment import augment_stage as augment

    config, _ = load_config("augment", options)
    output, only = options["output"], options["subsets"]
    run_stage(options, lambda context: augment.run(config, split, gpr, output, context, only))
