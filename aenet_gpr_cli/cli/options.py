"""Options that all stage commands share, and the way from options to a typed configuration."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

EXISTING = click.Path(path_type=Path)


def stage_options(default_output: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options of a stage command.

    Parameters
    ----------
    default_output : str
        File name that is written when the user gives none.

    Returns
    -------
    callable
        Decorator of a click command function.
    """
    options = [
        click.option(
            "-c", "--config", type=EXISTING, help="YAML file: keys of this stage, or a whole workflow."
        ),
        click.option("--variant", help="Variant of a workflow file (of compare_gpr for fit-gpr)."),
        click.option(
            "-o",
            "--output",
            type=EXISTING,
            default=Path(default_output),
            show_default=True,
            help="Artefact to write.",
        ),
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="KEY=VALUE",
            help="Set a key, for example --set displacement=0.021; wins over the file. Repeatable.",
        ),
        click.option("--seed", type=click.IntRange(min=0), help="Seed of all random choices."),
        click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing."),
        click.option("--force", is_flag=True, help="Run even if the output is up to date."),
        *verbosity_options(),
    ]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def resume_options() -> list[Callable[..., Any]]:
    """Return the options --resume and --restart of long stages.

    Returns
    -------
    list of callable
    """
    return [
        click.option(
            "--resume",
            is_flag=True,
            help="Go on from the checkpoint (also the default); a damaged one is an error.",
        ),
        click.option("--restart", is_flag=True, help="Drop the checkpoint of an unfinished run."),
    ]


def verbosity_options() -> list[Callable[..., Any]]:
    """Return the options -v and -q.

    Returns
    -------
    list of callable
    """
    return [
        click.option("-v", "--verbose", is_flag=True, help="Show more."),
        click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors only."),
    ]


def workflow_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument and options of commands for a whole workflow.

    Parameters
    ----------
    function : callable
        A click command function.

    Returns
    -------
    callable
    """
    for option in reversed(
        [
            click.argument("workflow", type=EXISTING),
            click.option("--workdir", type=EXISTING, help="Folder for all artefacts.  [default: runs/NAME]"),
            click.option(
                "--set",
                "overrides",
                multiple=True,
                metavar="KEY=VALUE",
                help="Set a key, for example --set augment.gpr.n_copies=16. Repeatable.",
            ),
            click.option(
                "--seed",
                type=click.IntRange(min=0),
                help="Seed of every stage that has none of its own.",
            ),
            *verbosity_options(),
        ]
    ):
        function = option(function)
    return function


def load_config(
    what: str, options: dict[str, Any], path: Path | None = None, section: str | None = None
) -> tuple[Any, Path]:
    """Return the configuration of a command and the folder that its relative paths start from.

    Parameters
    ----------
    what : str
        A key of `config.reading.MODELS`.
    options : dict
        Values of the command line: config, variant, overrides, seed.
    path : Path, optional
        The file, where the command takes it as an argument and not as an option.
    section : str, optional
        Of a whole workflow, where the stage has several.

    Returns
    -------
    config
    folder : Path
    """
    from aenet_gpr_cli.config.reading import read_config

    path = path or options.get("config")
    overrides, seed, variant = options["overrides"], options["seed"], options.get("variant")
    _, config = read_config(what, path, overrides, seed, section, variant)
    return config, path.parent if path else Path()


def run_stage(options: dict[str, Any], stage: Callable[..., Any]) -> None:
    """Run a stage with progress and show its table.

    Parameters
    ----------
    options : dict
        Values of the command line: verbose, quiet, and where the command has them dry_run, force, resume,
        restart.
    stage : callable
        Called with the `Context`; returns a `Summary`.
    """
    from aenet_gpr_cli.cli.console import ProgressReport, set_up_logging, show
    from aenet_gpr_cli.stages.shared.context import Context
    from aenet_gpr_cli.stages.shared.signals import stop_on_signals

    set_up_logging(-1 if options["quiet"] else int(options["verbose"]))
    given = {key: options.get(key, False) for key in ("dry_run", "force", "resume", "restart")}
    with stop_on_signals() as stop, ProgressReport(options["quiet"]) as progress:
        summary = stage(Context(progress, stop=stop, **given))
    show(summary, options["quiet"])


def gather(function: Callable[..., Any]) -> Callable[..., Any]:
    """Pass all options of a command as one dict after its arguments.

    Parameters
    ----------
    function : callable
        Called with the arguments by name and ``options``.

    Returns
    -------
    callable
    """

    @functools.wraps(function)
    def wrapper(**values: Any) -> Any:
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        arguments = {name: values.pop(name) for name in names if name != "options"}
        return function(**arguments, options=values)

    return wrapper
