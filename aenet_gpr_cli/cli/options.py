"""Options that all stage commands share, and the way from options to a typed configuration."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Model = TypeVar("Model")
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


def load_workflow(path: Path, options: dict[str, Any]) -> Any:
    """Return the configuration of a workflow, with the settings of the command line.

    Parameters
    ----------
    path : Path
    options : dict
        Values of the command line: overrides, seed.

    Returns
    -------
    WorkflowConfig
    """
    from aenet_gpr_cli.config.load import apply_overrides, build, read_mapping
    from aenet_gpr_cli.config.workflow import WorkflowConfig

    data = apply_overrides(read_mapping(path), options["overrides"])
    if options["seed"] is not None:
        data["seed"] = options["seed"]
    return build(WorkflowConfig, data, str(path))


def load_stage_config(model: type[Model], section: str, options: dict[str, Any]) -> tuple[Model, Path]:
    """Return the configuration of one stage and the folder its relative paths start from.

    A file with the stage's own keys is taken as it is; from a workflow file (one with a key named like
    a stage) that section is taken, of a section with variants the one asked for.

    Parameters
    ----------
    model : type of BaseModel
    section : str
        Key of the stage in a workflow, for example ``fit_gpr``.
    options : dict
        Values of the command line: config, variant, overrides, seed.

    Returns
    -------
    config : BaseModel
    folder : Path
    """
    from aenet_gpr_cli.config.load import apply_overrides, build, read_mapping
    from aenet_gpr_cli.config.workflow import STAGES

    path: Path | None = options["config"]
    data: dict[str, Any] = read_mapping(path) if path else {}
    if any(isinstance(data.get(stage), dict) for stage in STAGES):
        data = _section(data, section, options.get("variant"), path)
    data = apply_overrides(data, options["overrides"])
    if options["seed"] is not None:
        data["seed"] = options["seed"]
    folder = path.parent if path else Path()
    return build(model, data, str(path or "command line")), folder  # type: ignore[type-var]


def _section(data: dict[str, Any], section: str, variant: str | None, path: Path | None) -> dict[str, Any]:
    from aenet_gpr_cli.config.workflow import WITH_VARIANTS, expand_variants
    from aenet_gpr_cli.errors import ConfigError

    seed = {"seed": data["seed"]} if "seed" in data else {}
    content = data.get(section) or {}
    if section in WITH_VARIANTS:
        try:
            variants = expand_variants(content, list(expand_variants(data.get("augment") or {})))
        except ValueError as error:
            raise ConfigError(f"{path}: {section}.{error}") from error
        if variant is None and len(variants) == 1:
            variant = next(iter(variants))
        if variant not in variants:
            raise ConfigError(
                f"{path}: {section} has the variants {', '.join(variants)}; choose one with --variant"
                + (f", got {variant!r}" if variant else "")
            )
        content = {key: value for key, value in variants[variant].items() if key != "augmented"}
    return {**seed, **content}


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
    from aenet_gpr_cli.stages.base import Context
    from aenet_gpr_cli.stages.signals import stop_on_signals

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
