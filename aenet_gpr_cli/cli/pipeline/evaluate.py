"""`aenet-gpr evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, load_config, run_stage, stage_options


@click.command("evaluate")
@click.argument("split", type=EXISTING)
@click.argument("models", type=EXISTING, nargs=-1, required=True)
@stage_options("metrics.h5")
@gather
def command(split: Path, models: tuple[Path, ...], options: dict[str, Any]) -> None:
    """Compare energies and forces of all models with the test structures.

    SPLIT is the output of `split`; MODELS are outputs of `fit-gpr` and `train-ann`, named by their file
    names. Writes predictions (HDF5), and beside them metrics as JSON and CSV and the pictures.

    \b
    aenet-gpr evaluate split.h5 gpr.h5 ann_energy_only.h5 ann_gpr.h5 -o metrics.h5
    """
    from aenet_gpr_cli.stages.evaluate import evaluate_stage as evaluate

    config, _ = load_config("evaluate", options)
    named = evaluate.name_models(models)
    run_stage(options, lambda context: evaluate.run(config, split, named, options["output"], context))
