"""`aenet-gpr benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, load_stage_config, run_stage, stage_options


@click.command("benchmark")
@click.argument("split", type=EXISTING)
@stage_options("benchmark.h5")
@gather
def command(split: Path, options: dict[str, Any]) -> None:
    """Measure time per epoch and peak memory of the training modes.

    Every point (mode, cutoff, batch size) trains for a few epochs in a process of its own. Writes the table
    as HDF5 and CSV, and a picture.

    \b
    aenet-gpr benchmark split.h5 --set modes=[gpr,direct] -o benchmark.h5
    """
    from aenet_gpr_cli.config.benchmark import BenchmarkConfig
    from aenet_gpr_cli.stages import benchmark

    config, _ = load_stage_config(BenchmarkConfig, "benchmark", options)
    run_stage(options, lambda context: benchmark.run(config, split, options["output"], context))
