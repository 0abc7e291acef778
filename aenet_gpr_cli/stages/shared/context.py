"""What all stages share: progress, the table at the end, and doing nothing when nothing has changed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aenet_gpr_cli.errors import InputError, InterruptedRun
from aenet_gpr_cli.io.artefacts.artefact import Job, is_current, read_summary
from aenet_gpr_cli.io.files import sha256_of
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.settings import as_json

log = logging.getLogger("aenet_gpr_cli")
MISSING = "missing:"
GO_ON = "What was finished before is kept; run the same command again to go on"


def no_progress(done: int, total: int, message: str) -> None:
    """Show nothing."""


def never() -> bool:
    """Ask for no stop."""
    return False


@dataclass(frozen=True, slots=True)
class Context:
    """How a stage talks to the outside.

    Attributes
    ----------
    progress : callable
        Called with (done, total, message) during long work.
    dry_run : bool
        Say what would be done and write nothing.
    force : bool
        Run even if the output is up to date.
    stop : callable
        True once the stage has been asked to stop.
    resume : bool
        Insist on going on from a checkpoint if there is one; a damaged one is an error. (Without it a good
        one is used all the same, and a damaged one is dropped.)
    restart : bool
        Drop the checkpoint of an unfinished run and start over.
    """

    progress: Progress = no_progress
    dry_run: bool = False
    force: bool = False
    stop: Callable[[], bool] = never
    resume: bool = False
    restart: bool = False

    def report(self, done: int, total: int, message: str) -> None:
        """Show progress between two units of work; end the stage here if it was asked to stop.

        Raises
        ------
        InterruptedRun
        """
        self.progress(done, total, message)
        if self.stop():
            raise InterruptedRun(f"{message} ({done} of {total}). {GO_ON}")


@dataclass(frozen=True, slots=True)
class Summary:
    """The short table that a stage ends with.

    Attributes
    ----------
    title : str
    columns : sequence of str
    rows : sequence of sequences of str
    notes : sequence of str
        Lines under the table: warnings and what was written.
    """

    title: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = field(default_factory=tuple)

    def to_json(self) -> str:
        """Return the table as JSON, for storage in an artefact."""
        return json.dumps(
            {"title": self.title, "columns": self.columns, "rows": self.rows, "notes": self.notes}
        )


def make_job(
    kind: str,
    config: object,
    inputs: Mapping[str, Path],
    context: Context,
    hashes: Mapping[str, str] | None = None,
    part: tuple[str, ...] = (),
    whole: tuple[str, ...] = (),
) -> Job:
    """Return the job of a stage.

    Parameters
    ----------
    kind : str
        Name of the stage.
    config : object
        Resolved configuration, a group of keys.
    inputs : mapping of str to Path
        Input artefacts; each is hashed.
    context : Context
        In a dry run an input may be missing: an earlier stage would write it.
    hashes : mapping of str to str, optional
        Hashes of other inputs.
    part, whole : tuple of str
        Names of the parts that are asked for, and of all parts; empty for the whole job.

    Raises
    ------
    InputError
        If an input is missing.
    """
    found: dict[str, str] = dict(hashes or {})
    for name, path in inputs.items():
        if path.is_file():
            found[name] = sha256_of(path)
        elif context.dry_run:
            found[name] = f"{MISSING} {path}"
        else:
            raise InputError(f"{path}: no such file; it is the {name} that {kind} needs")
    neutral: frozenset[str] = getattr(config, "neutral", frozenset())
    if not part or set(part) == set(whole):
        part = whole = ()
    return Job(kind, as_json(config), found, part, whole, neutral)


def nothing_to_do(output: Path, job: Job, context: Context) -> Summary | None:
    """Return a table when the stage need not or cannot run: up to date, or a dry run without its inputs.

    Returns
    -------
    Summary or None
        None where the stage is to run.
    """
    missing = [value for value in job.inputs.values() if value.startswith(MISSING)]
    if missing:
        return planned(job.kind, output, [f"{value}: an earlier stage writes it" for value in missing])
    if context.force or not is_current(output, job):
        return None
    stored: dict[str, Any] = read_summary(output)
    return Summary(
        title=f"{stored.get('title', job.kind)} (up to date)",
        columns=stored.get("columns", ()),
        rows=stored.get("rows", ()),
        notes=stored.get("notes", ()),
    )


def planned(kind: str, output: Path, lines: Sequence[str]) -> Summary:
    """Return the table of a dry run.

    Parameters
    ----------
    lines : sequence of str
        What would be done.
    """
    return Summary(title=f"{kind}: dry run, nothing written", notes=[*lines, f"would write {output}"])
