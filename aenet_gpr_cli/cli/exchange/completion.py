"""`aenet-gpr completion`."""

from __future__ import annotations

from typing import Any

import click

from aenet_gpr_cli.cli.options import gather, verbosity_options

PROGRAM = "aenet-gpr"
VARIABLE = "_AENET_GPR_COMPLETE"  # what click looks for


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@verbosity_options()[0]
@verbosity_options()[1]
@gather
def command(shell: str, options: dict[str, Any]) -> None:
    """Print the lines that make SHELL complete commands and options with the tabulator.

    \b
    eval "$(aenet-gpr completion bash)"          (in ~/.bashrc; zsh in ~/.zshrc)
    aenet-gpr completion fish > ~/.config/fish/completions/aenet-gpr.fish
    """
    from click.shell_completion import get_completion_class

    from aenet_gpr_cli.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None  # click knows the three
    click.echo(kind(cli, {}, PROGRAM, VARIABLE).source())
