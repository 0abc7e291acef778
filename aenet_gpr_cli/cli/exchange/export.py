"""`aenet-gpr export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, run_stage, verbosity_options


@click.command("export")
@click.argument("ann", type=EXISTING)
@click.option(
    "-o",
    "--output",
    type=EXISTING,
    default=Path("aenet"),
    show_default=True,
    help="Folder to write to; for metatomic also a file NAME.pt.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["nn", "nn.ascii", "metatomic"]),
    default="nn",
    show_default=True,
    help="nn: binary, which ænet's predict.x reads; nn.ascii: text; metatomic: one file for many engines.",
)
@click.option("--member", type=click.IntRange(min=0), help="Write this member only, counted from 0.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@verbosity_options()[0]
@verbosity_options()[1]
@gather
def command(ann: Path, options: dict[str, Any]) -> None:
    """Write a potential for other programs.

    ANN is the output of `train-ann`. Files of ænet: .nn and .stp per species, and an example predict.in;
    several members go to subfolders member_00, member_01, ... metatomic: the whole committee in one file,
    with its spread, for every engine that has metatomic's interface (LAMMPS, GROMACS, i-PI, ASE, ...).

    \b
    aenet-gpr export ann.h5 -o aenet --member 0
    aenet-gpr export ann.h5 -o ann.pt --format metatomic
    """
    from aenet_gpr_cli.stages import exchange_stage as aenet_files

    output, file_format, member = options["output"], options["file_format"], options["member"]
    run_stage(options, lambda context: aenet_files.export(ann, output, file_format, member, context))
