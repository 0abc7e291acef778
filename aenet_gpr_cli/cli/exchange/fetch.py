"""`aenet-gpr fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import EXISTING, gather, verbosity_options


@click.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--mirror",
    type=EXISTING,
    help="Folder with NAME/train_set.zip and NAME/test_set.zip, read instead of the network.",
)
@click.option(
    "-o",
    "--output",
    type=EXISTING,
    help="Folder to keep the data in.  [default: $AENET_GPR_DATA or the user's cache]",
)
@verbosity_options()[0]
@verbosity_options()[1]
@gather
def command(
    names: tuple[str, ...], mirror: Path | None, output: Path | None, options: dict[str, Any]
) -> None:
    """Bring the published data sets h2, ec-dimer, li-ec (or all), checked by SHA-256.

    Configurations name them as published:ec-dimer/train_set.zip. No other command uses the network.

    \b
    aenet-gpr fetch ec-dimer
    """
    from aenet_gpr_cli.cli.console import set_up_logging
    from aenet_gpr_cli.io.formats.published import SHA256, fetch, published_root

    set_up_logging(-1 if options["quiet"] else int(options["verbose"]))
    wanted = list(SHA256) if names == ("all",) else list(names)
    root = output or published_root()
    for name in wanted:
        for path in fetch(name, root, mirror):
            if not options["quiet"]:
                click.echo(path)
