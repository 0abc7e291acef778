"""The command group: commands are imported when called, errors become messages and exit codes."""

from __future__ import annotations

import atexit
import difflib
import errno
import gc
import importlib
import io
import keyword
import os
import sys
import traceback
from pathlib import Path

import click

from aenet_gpr_cli import __version__
from aenet_gpr_cli.cli import streams
from aenet_gpr_cli.errors import (
    AenetGprError,
    InputError,
    InterruptedRun,
    ResourceError,
    is_exhausted,
    is_out_of_memory,
)
from aenet_gpr_cli.stages.shared.signals import interrupted_by_signals
from aenet_gpr_cli.text import visible

# module: command: one line of help; a module is imported when one of its commands runs or explains itself
GROUPS = {
    "pipeline": {
        "split": "Read structures, group them into subsets, divide into training and test.",
        "fit-gpr": "Fit a Gaussian process to energies and forces of each subset.",
        "augment": "Displace reference structures and label the copies with energies.",
        "train-ann": "Train a committee of neural-network potentials.",
        "evaluate": "Compare all models with the test structures.",
        "predict": "Predict energies and forces of any structures.",
        "md": "Run molecular dynamics with a fitted model.",
        "properties": "Equation of state and elastic constants of a crystal.",
        "benchmark": "Measure time per epoch and peak memory of the training modes.",
    },
    "active_learning": {
        "select": "Rank a pool of structures by uncertainty; list those worth a calculation.",
        "label": "Calculate energies and forces of a work list with an ASE calculator.",
        "active": "Select, label, refit and retrain in rounds.",
    },
    "runs": {
        "init": "Write a minimal workflow for given structures.",
        "validate": "Check a configuration file without running anything.",
        "run": "Run a whole workflow; finished stages are skipped.",
        "submit": "Run a whole workflow on a cluster with SLURM.",
        "status": "Show what ran in a working folder, what is unfinished, and what is queued.",
        "collect": "Put members or subsets together that were made by jobs of their own.",
        "show": "Show what an artefact holds and where it came from.",
        "report": "Write one HTML page about a finished run.",
        "figures": "Draw the paper's figures of a finished run.",
    },
    "guidance": {"guide": "Show a topic of the guide: tutorials, choosing, troubleshooting, …"},
    "exchange": {
        "export": "Write a potential for other programs: files of ænet, or one of metatomic.",
        "import": "Read a potential of ænet.",
        "fetch": "Bring the published data sets.",
        "schema": "Print the JSON Schema of the configuration, for editors.",
        "completion": "Print what makes a shell complete commands and options.",
    },
}
COMMANDS = {command: module for module, commands in GROUPS.items() for command in commands}
WIDTH = max(map(len, COMMANDS))
TRACEBACK_FILE = "aenet-gpr-traceback.log"
OF_PATHS = (
    errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP, errno.ENAMETOOLONG,
    errno.EACCES, errno.EPERM, errno.EXDEV, errno.EINVAL, errno.ENXIO, errno.EILSEQ, errno.EBUSY,
)  # fmt: skip


class LazyGroup(click.Group):
    """A group with a list of its commands, whose modules are imported when one is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"aenet_gpr_cli.cli.{COMMANDS[cmd_name]}")
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(module, f"{name}_" if keyword.iskeyword(name) else name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or name the one that was probably meant."""
        typed = args[0]
        if typed not in COMMANDS and not typed.startswith("-") and (meant := _meant(typed)):
            ctx.fail(f"No such command {typed!r}; did you mean {meant!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        for module, commands in GROUPS.items():
            with formatter.section(module.replace("_", " ").capitalize()):
                formatter.write_dl([(f"{name:<{WIDTH}}", line) for name, line in commands.items()])


def _meant(typed: str) -> str | None:
    """Return the command nearest to what was typed."""
    name = typed.lower().replace("_", "-")
    begins = [command for command in COMMANDS if len(name) > 1 and command.startswith(name)]
    near = begins or difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.6)
    return near[0] if near else None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="aenet-gpr")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """From a few first-principles energies and forces to a neural-network potential.

    Structures are divided (split), a Gaussian process learns energies and forces (fit-gpr), labels many
    displaced copies (augment), and a neural network is trained on energies only (train-ann). All models are
    compared on structures that training never saw (evaluate). Each command reads and writes HDF5 artefacts;
    `aenet-gpr run WORKFLOW.yaml` does everything.

    Exit codes: 0 ok, 2 bad input or configuration, 3 numerical failure (also dynamics that a fence stopped),
    4 not enough resources, 75 interrupted and resumable.
    """
    if debug:
        os.environ["AENET_GPR_DEBUG"] = "1"


def main() -> None:
    """Run the command line and turn errors into exit codes."""
    # the memory goes with the process: to look through it for cycles first takes a quarter of a second
    atexit.register(gc.freeze)
    streams.make_tolerant()
    try:
        code = _run()
        streams.flush()
    except OSError as error:  # of a stream, when everything else is done
        code = _system_error(error)
    if code:
        sys.exit(code)


def _run() -> int:
    """Run the command line; say what failed, and return the exit code."""
    try:
        with interrupted_by_signals():
            stopped = cli.main(standalone_mode=False)
        return stopped if isinstance(stopped, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except SystemExit as stop:
        # click and rich leave with 1 where the reader of a pipe has gone
        return streams.drop(streams.READER_GONE) if stop.code == 1 else int(stop.code or 0)
    except click.ClickException as error:
        if isinstance(error, click.NoSuchOption):
            error = _with_key(error)
        text = io.StringIO()
        error.show(text)
        print(visible(text.getvalue(), keep="\n"), end="", file=sys.stderr)
        return error.exit_code
    except (AenetGprError, KeyboardInterrupt, click.Abort) as error:
        return _expected(error)
    except OSError as error:
        return _system_error(error)
    except Exception as error:
        return _unexpected(error)


def _with_key(error: click.NoSuchOption) -> click.NoSuchOption:
    """Return the error about an option that is none, with how the key of that name is set if there is one."""
    from aenet_gpr_cli.cli.options import as_key

    key = as_key(error.option_name, error.ctx.command, sys.argv) if error.ctx else ""
    if not key:
        return error
    return click.NoSuchOption(error.option_name, f"{error.message} It is a key: {key}", ctx=error.ctx)


def _expected(error: BaseException) -> int:
    if not isinstance(error, AenetGprError):
        kept = "outputs and checkpoints that were written before are kept"
        print(f"interrupted; {kept}, run the same command again", file=sys.stderr)
        return InterruptedRun.exit_code
    if os.environ.get("AENET_GPR_DEBUG"):
        traceback.print_exc()
    word = "stopped" if isinstance(error, InterruptedRun) else "error"
    _say(f"{word}: {error}", error)
    return error.exit_code


def _system_error(error: OSError) -> int:
    """Say what the operating system refused: a resource (4), a path of the user's (2), or a bug."""
    if isinstance(error, BrokenPipeError) and streams.reader_gone():
        return streams.drop(streams.READER_GONE)
    reason = os.strerror(error.errno) if error.errno else str(error)
    where = error.filename if isinstance(error.filename, str | bytes) else None
    if is_exhausted(error):
        what = os.fsdecode(where) if where else "an output, or standard output"
        if not where:
            streams.drop(0)
        _say(f"error: {what}: {reason}; free some of it (disk, quota, memory, ulimit) and run again", error)
        return ResourceError.exit_code
    if where is not None and error.errno in OF_PATHS:
        _say(f"error: {os.fsdecode(where)}: {reason}; give another path, or change this one", error)
        return InputError.exit_code
    return _unexpected(error)


def _unexpected(error: Exception) -> int:
    if is_out_of_memory(error):
        hint = "lower block_size, adamw.batch_size or max_memory_gib, or use fewer structures"
        _say(f"error: not enough memory ({error}); {hint}", error)
        return ResourceError.exit_code
    text = traceback.format_exc()
    if os.environ.get("AENET_GPR_DEBUG"):
        print(text, file=sys.stderr)
    try:
        Path(TRACEBACK_FILE).write_text(text, encoding="utf-8", errors="backslashreplace")
        where = f"the traceback is in {TRACEBACK_FILE}"
    except OSError:
        where = "run again with --debug for the traceback"
    last = traceback.format_exception_only(error)[0].strip()
    _say(f"error: this is a bug in aenet-gpr, please report it: {last} ({where})", error)
    return 1


def _say(text: str, error: BaseException) -> None:
    """Print a message and the notes that were added to its error."""
    lines = [text, *getattr(error, "__notes__", ())]
    print(visible("\n".join(lines), keep="\n\t"), file=sys.stderr)


if __name__ == "__main__":
    main()
