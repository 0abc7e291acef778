"""`aenet-gpr split`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, load_config, run_stage, stage_options


@click.command("split")
@click.argument("inputs", nargs=-1, type=EXISTING)
@stage_options("split.h5")
@gather
def command(inputs: tuple[Path, ...], options: dict[str, Any]) -> None:
    """Read structures, group them into homogeneous subsets, divide each into training and test.

    INPUTS are XSF files, folders, zip or tar archives of XSF files, extxyz files, or outputs of
    electronic-structure codes that ASE reads. Energies in eV, forces in eV/Å.

    \b
    aenet-gpr split my_dft_runs/ --set train=0.8 -o split.h5
    """
    from aenet_gpr_cli.stages import split_stage as split

    config, folder = load_config("split", options)
    if inputs:
        config = replace(config, inputs=tuple(str(path.absolute()) for path in inputs))
    run_stage(options, lambda context: split.run(config, folder, options["output"], context))
