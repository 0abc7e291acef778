"""`aenet-gpr benchmark`."""

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


@click.command("benchmark")
@click.argument("split", type=EXISTING, required=False)
@stage_options("benchmark.h5")
@resume_options()[0]
@resume_options()[1]
@gather
def command(split: Path | None, options: dict[str, Any]) -> None:
    """Measure time per epoch and peak memory of the training modes.

    Every point (mode, cutoff, batch size, size of the structures, number of processes) trains for a few
    epochs in a process of its own; fit and labels of the Gaussian process are measured, too. Writes the table
    as HDF5 and CSV, and a picture. Measured points are kept: the same command goes on after an interruption.
    Without SPLIT only clusters are measured, which the benchmark makes itself.

    \b
    aenet-gpr benchmark split.h5 --set modes=[gpr,direct] -o benchmark.h5
    aenet-gpr benchmark --set clusters.molecules=[2,6,20] -o sizes.h5
    """
    from aenet_gpr_cli.stages.benchmark import benchmark_stage as benchmark

    config, _ = load_config("benchmark", options)
    run_stage(options, lambda context: benchmark.run(config, split, options["output"], context))
