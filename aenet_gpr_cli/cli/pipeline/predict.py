"""`aenet-gpr predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, load_config, run_stage, stage_options


@click.command("predict")
@click.argument("model", type=EXISTING)
@click.argument("files", nargs=-1, required=True, type=EXISTING)
@stage_options("predictions.h5")
@gather
def command(model: Path, files: tuple[Path, ...], options: dict[str, Any]) -> None:
    """Predict energies and forces of structures with a fitted model.

    MODEL is the output of `fit-gpr`, `train-ann` or `import`; FILES are what `split` reads, but energies and
    forces need not be there. Writes HDF5, and beside it extended XYZ (and XSF, with --set write=[xsf]) with
    predicted energies, forces and their standard deviations.

    \b
    aenet-gpr predict ann.h5 new_structures/ -o predictions.h5
    """
    from aenet_gpr_cli.stages import predict_stage as predict

    config, _ = load_config("predict", options)
    output: Path = options["output"]
    if output.suffix != ".h5":
        output = output.with_name(f"{output.name}.h5")
    run_stage(options, lambda context: predict.run(config, model, files, output, context))
