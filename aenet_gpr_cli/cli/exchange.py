"""Commands that bring in and give out: potentials, data sets, schemas, completion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import PATH, dry_run, force, gather, output_option, run_stage

PROGRAM = "aenet-gpr"
VARIABLE = "_AENET_GPR_COMPLETE"  # what click looks for


@click.command("export")
@click.argument("ann", type=PATH)
@output_option("aenet", "Folder to write to; for metatomic also a file NAME.pt.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["nn", "nn.ascii", "metatomic"]),
    default="nn",
    show_default=True,
    help="nn: binary, which ænet's predict.x reads; nn.ascii: text; metatomic: one file for many engines.",
)
@click.option("--member", type=click.IntRange(min=0), help="Write this member only, counted from 0.")
@dry_run
@gather
def export(ann: Path, options: dict[str, Any]) -> None:
    """Write a potential for other programs: files of ænet, or one file of metatomic.

    ANN is the output of `train-ann` or `import`.

    nn and nn.ascii write a network (C.nn or C.nn.ascii) and a set-up of the descriptor (C.stp) per species,
    and an example predict.in; several members go to subfolders member_00, member_01, ...

    metatomic writes the whole committee into one file, with its spread, for every engine that has
    metatomic's interface (LAMMPS, GROMACS, i-PI, ASE, ...).

    \b
    aenet-gpr export ann.h5 -o aenet --member 0
    aenet-gpr export ann.h5 -o ann.pt --format metatomic
    """
    from aenet_gpr_cli.stages import exchange_stage as stage

    output, file_format, member = options["output"], options["file_format"], options["member"]
    run_stage(options, lambda context: stage.export(ann, output, file_format, member, context))


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=PATH)
@output_option("ann.h5")
@dry_run
@force
@gather
def import_(files: tuple[Path, ...], output: Path, options: dict[str, Any]) -> None:
    """Read a potential of ænet, one .nn or .nn.ascii file per species.

    FILES are these files, or the folder that holds them. The output can be used like that of `train-ann`.

    \b
    aenet-gpr import C.nn H.nn O.nn -o ann.h5
    aenet-gpr import aenet/ -o ann.h5
    """
    from aenet_gpr_cli.stages import exchange_stage as stage

    run_stage(options, lambda context: stage.import_potential(list(files), output, context))


@click.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--mirror",
    type=PATH,
    help="Folder with NAME/train_set.zip and NAME/test_set.zip (of mlearn: NAME/training.json or "
    "Li_training.json, …), read instead of the network.",
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    help="Folder to keep the data in.  [default: $AENET_GPR_DATA or the user's cache]",
)
@gather
def fetch(names: tuple[str, ...], mirror: Path | None, output: Path | None, options: dict[str, Any]) -> None:
    """Bring published data sets, checked by SHA-256.

    Those of the paper are h2, ec-dimer and li-ec (together: all); of the benchmark mlearn mlearn-li,
    mlearn-si, mlearn-ge and mlearn-mo (together: mlearn). Configurations name them as
    published:ec-dimer/train_set.zip or published:mlearn-li/training.xyz. No other command uses the network.

    \b
    aenet-gpr fetch ec-dimer
    aenet-gpr fetch mlearn-li mlearn-si
    """
    from aenet_gpr_cli.cli.console import set_up_logging
    from aenet_gpr_cli.io.formats import published

    set_up_logging(options["verbose"], options["quiet"])
    root = output or published.published_root()
    for name in published.sets_named(names):
        for path in published.fetch(name, root, mirror):
            if not options["quiet"]:
                click.echo(path)


@click.command("schema")
@click.argument("what", default="workflow")
@gather
def schema(what: str, options: dict[str, Any]) -> None:
    """Print the JSON Schema of WHAT (workflow, split, fit-gpr, …), with which editors complete and check.

    \b
    aenet-gpr schema > aenet-gpr.schema.json
    # first line of workflow.yaml: # yaml-language-server: $schema=aenet-gpr.schema.json
    """
    from aenet_gpr_cli.config.json_schema import json_schema
    from aenet_gpr_cli.config.reading import MODELS
    from aenet_gpr_cli.errors import ConfigError

    if what not in MODELS:
        raise ConfigError(f"expected one of {', '.join(MODELS)}, got {what!r}")
    click.echo(json.dumps(json_schema(MODELS[what]), indent=1, ensure_ascii=False))


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@gather
def completion(shell: str, options: dict[str, Any]) -> None:
    """Print the lines that make SHELL complete commands and options with the tabulator.

    \b
    eval "$(aenet-gpr completion bash)"          (in ~/.bashrc; zsh in ~/.zshrc)
    aenet-gpr completion fish > ~/.config/fish/completions/aenet-gpr.fish
    """
    from click.shell_completion import get_completion_class

    from aenet_gpr_cli.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None  # click has all three
    click.echo(kind(cli, {}, PROGRAM, VARIABLE).source())
