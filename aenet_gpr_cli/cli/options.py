"""Options that commands share, and the way from them to a configuration and to the stage that takes it."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aenet_gpr_cli.stages.shared.context import Context, Summary

Function = Callable[..., Any]
Decorator = Callable[[Function], Function]
PATH = click.Path(path_type=Path)


class _Part(click.ParamType):
    name = "K/N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return part and number of parts, the former counted from 0."""
        found = re.fullmatch(r"([0-9]{1,6})[/-]([0-9]{1,6})", str(value))  # with -, it may name a file
        if found is None:
            self.fail(f"expected K/N such as 2/8, got {value!r}", param, ctx)
        number, of = found.groups()
        if not 1 <= int(number) <= int(of):
            self.fail(f"expected K from 1 to N, got {value}", param, ctx)
        return int(number) - 1, int(of)


class _Duration(click.ParamType):
    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return a time in ps."""
        found = re.fullmatch(r"([0-9]*\.?[0-9]+(?:e[0-9]+)?) ?(fs|ps|ns)", str(value))
        if found is None:
            self.fail(f"expected a number with fs, ps or ns such as 10ps, got {value!r}", param, ctx)
        return float(found[1]) * {"fs": 1e-3, "ps": 1.0, "ns": 1e3}[found[2]]


PART = _Part()
DURATION = _Duration()


def together(*options: Decorator) -> Decorator:
    """Join options to one decorator; ``--help`` lists them in this order."""

    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def output_option(default: str | None = None, text: str = "Artefact to write.") -> Decorator:
    """Return the option --output, which is required where there is no default."""
    path = Path(default) if default else None
    return click.option(
        "-o", "--output", type=PATH, default=path, required=path is None, show_default=True, help=text
    )


def set_options(example: str, seed: str) -> Decorator:
    """Return the options --set, with an example of a key, and --seed, with what it is the seed of."""
    text = f"Set a key, for example --set {example}; wins over the file. Repeatable."
    return together(
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help=text),
        click.option("--seed", type=click.IntRange(min=0), help=seed),
    )


dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
force = click.option("--force", is_flag=True, help="Run even if the output is up to date.")
resumable = together(
    click.option(
        "--resume",
        is_flag=True,
        help="Go on from the checkpoint (also the default); a damaged one is an error.",
    ),
    click.option("--restart", is_flag=True, help="Drop the checkpoint of an unfinished run."),
)


def stage_options(default_output: str) -> Decorator:
    """Return the options of a command that runs one stage."""
    return together(
        click.option(
            "-c",
            "--config",
            type=PATH,
            help="YAML file: keys of this stage, or a whole workflow or active learning with its section.",
        ),
        click.option("--variant", help="Variant of a workflow file (of compare_gpr for fit-gpr)."),
        output_option(default_output),
        set_options("displacement=0.021", "Seed of all random choices."),
        dry_run,
        force,
    )


def case_options(metavar: str, example: str) -> Decorator:
    """Return the argument and options of a command that runs the stages of a whole case."""
    return together(
        click.argument("config", metavar=metavar, type=PATH),
        click.option("--workdir", type=PATH, help="Folder for all artefacts.  [default: ./runs/NAME]"),
        set_options(example, "Seed of every stage that has none of its own."),
    )


def gather(function: Function) -> Function:
    """Add -v and -q, and pass all options as one dict, ``options``, after the named arguments."""

    @functools.wraps(function)
    def wrapper(**values: Any) -> Any:
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        arguments = {name: values.pop(name) for name in names if name != "options"}
        return function(**arguments, options=values)

    verbosity = together(
        click.option("-v", "--verbose", is_flag=True, help="Show more."),
        click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors only."),
    )
    return verbosity(wrapper)


def as_key(option: str, command: click.Command, arguments: Sequence[str]) -> str:
    """Return how an option that a command does not have is given as a key of its configuration; else empty.

    Parameters
    ----------
    option : str
        As it was typed, without its value.
    arguments : sequence of str
        The whole command line.
    """
    from aenet_gpr_cli.config.reading import MODELS, place_in

    what = command.name if command.name and command.name in MODELS else "workflow"
    if not any(parameter.name == "overrides" for parameter in command.params):
        return ""
    place = place_in(what, option.lstrip("-").replace("-", "_"))
    if not place:
        return ""
    after = [b for a, b in itertools.pairwise(arguments) if a == option and not b.startswith("-")]
    joined = [text.partition("=")[2] for text in arguments if text.startswith(f"{option}=")]
    return f"--set {place}={next(iter([*joined, *after]), '…')}"


def load_config(what: str, options: dict[str, Any], section: str | None = None) -> tuple[Any, Path]:
    """Return the configuration of a command and the folder that its relative paths start from.

    Parameters
    ----------
    what : str
        A key of `config.reading.MODELS`.
    options : dict
        Of the command line: config, variant, overrides, seed.
    section : str, optional
        Of a whole workflow, where the stage has several.
    """
    from aenet_gpr_cli.config.reading import read_config

    path, overrides, seed = options["config"], options["overrides"], options["seed"]
    _, config = read_config(what, path, overrides, seed, section, options.get("variant"))
    return config, path.parent if path else Path()


def load_case(what: str, options: dict[str, Any]) -> tuple[Any, Path, Path]:
    """Return the configuration of a whole case, the folder of its file, and its working folder."""
    config, source = load_config(what, options)
    return config, source, options["workdir"] or Path("runs") / config.name


def run_stage(options: dict[str, Any], stage: Callable[[Context], Summary]) -> None:
    """Run a stage with progress and show its table; see `run_stages`."""
    run_stages(options, [stage])


def run_stages(options: dict[str, Any], stages: Iterable[Callable[[Context], Summary]]) -> None:
    """Run stages one after another, with progress, and show the table of each.

    Parameters
    ----------
    options : dict
        Of the command line: verbose, quiet, and where the command has them dry_run, force, resume, restart.
    stages : iterable of callable
        Each is called with the `Context`.

    Raises
    ------
    InterruptedRun
        If a signal has asked to stop and a stage remains.
    """
    from aenet_gpr_cli.cli.console import ProgressReport, set_up_logging
    from aenet_gpr_cli.cli.tables import show
    from aenet_gpr_cli.errors import InterruptedRun
    from aenet_gpr_cli.stages.shared.context import GO_ON, Context
    from aenet_gpr_cli.stages.shared.signals import stop_on_signals

    quiet = options["quiet"]
    set_up_logging(options["verbose"], quiet)
    given = {key: options.get(key, False) for key in ("dry_run", "force", "resume", "restart")}
    with stop_on_signals() as stop:
        for stage in stages:
            if stop():
                raise InterruptedRun(f"between stages. {GO_ON}")
            with ProgressReport(quiet) as progress:
                summary = stage(Context(progress, stop=stop, **given))
            show(summary, quiet)
