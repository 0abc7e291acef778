"""`aenet-gpr train-ann`."""

from __future__ import annotations

import os
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


@click.command("train-ann")
@click.argument("split", type=EXISTING)
@click.argument("augmented", type=EXISTING, required=False)
@stage_options("ann.h5")
@click.option("--member", type=click.IntRange(min=0), help="Train this member only, counted from 0.")
@resume_options()[0]
@resume_options()[1]
@gather
def command(split: Path, augmented: Path | None, options: dict[str, Any]) -> None:
    """Train a committee of neural-network potentials.

    SPLIT is the output of `split`; AUGMENTED that of `augment`, for the modes gpr and taylor. The mode is one
    key: energy_only, gpr, taylor, or direct (energies and forces).

    \b
    aenet-gpr train-ann split.h5 augmented.h5 --set mode=gpr -o ann_gpr.h5
    aenet-gpr train-ann split.h5 --set mode=direct -o ann_direct.h5
    aenet-gpr train-ann split.h5 augmented.h5 -c ann.yaml --member 3 -o ann.member_3.h5   (then: collect)
    torchrun --nproc-per-node 4 -m aenet_gpr_cli train-ann split.h5 --set mode=direct     (data-parallel)

    Stopped by SIGTERM, SIGUSR1 or Ctrl-C it keeps its state and ends with exit code 75; the same command goes
    on with it, to the same result.
    """
    from aenet_gpr_cli.stages.train_ann import train_ann_stage as train_ann

    config, _ = load_config("train-ann", options)
    output, member = options["output"], options["member"]
    options["quiet"] |= os.environ.get("RANK", "0") != "0"  # of torchrun's processes the first one reports
    run_stage(options, lambda context: train_ann.run(config, split, augmented, output, context, member))
