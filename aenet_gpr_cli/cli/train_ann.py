"""`aenet-gpr train-ann`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, load_stage_config, run_stage, stage_options


@click.command("train-ann")
@click.argument("split", type=EXISTING)
@click.argument("augmented", type=EXISTING, required=False)
@stage_options("ann.h5")
@gather
def command(split: Path, augmented: Path | None, options: dict[str, Any]) -> None:
    """Train a committee of neural-network potentials.

    SPLIT is the output of `split`; AUGMENTED that of `augment`, for the modes gpr and taylor. The mode is one
    key: energy_only, gpr, taylor, or direct (energies and forces).

    \b
    aenet-gpr train-ann split.h5 augmented.h5 --set mode=gpr -o ann_gpr.h5
    aenet-gpr train-ann split.h5 --set mode=direct -o ann_direct.h5
    """
    from aenet_gpr_cli.config.train_ann import TrainAnnConfig
    from aenet_gpr_cli.stages import train_ann

    config, _ = load_stage_config(TrainAnnConfig, "train_ann", options)
    run_stage(options, lambda context: train_ann.run(config, split, augmented, options["output"], context))
