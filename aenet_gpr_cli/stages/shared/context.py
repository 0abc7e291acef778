"""What all stages share: progress, the table at the end, and doing nothing when nothing has changed."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from aenet_gpr_cli.config.idle_keys import idle_keys
from aenet_gpr_cli.errors import InputError, InterruptedRun
from aenet_gpr_cli.io.artefacts.artefact import (
    Job,
    is_current,
    read_summary,
    versions,
    write_files_again,
    written_with,
)
from aenet_gpr_cli.io.artefacts.checkpoint import Checkpoint
from aenet_gpr_cli.io.artefacts.side_files import put_left_in_place, set_aside, wrong
from aenet_gpr_cli.io.hdf5.checksums import disagreement, identity, is_altered
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.settings import as_json
from aenet_gpr_cli.stages.shared.outputs import refuse_changed

log = logging.getLogger("aenet_gpr_cli")
MISSING = "missing:"
UP_TO_DATE = " (up to date)"
GO_ON = "What was finished before is kept; run the same command again to go on"
ANEW = (
    "This stage keeps nothing of a run that does not reach its end; run the same command again for a new one"
)


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
    keeps : bool
        Whether what is finished when the stage ends early is kept; for the message.
    """

    progress: Progress = no_progress
    dry_run: bool = False
    force: bool = False
    stop: Callable[[], bool] = never
    resume: bool = False
    restart: bool = False
    keeps: bool = False

    def report(self, done: int, total: int, message: str) -> None:
        """Show progress between two units of work; end the stage here if it was asked to stop.

        Raises
        ------
        InterruptedRun
        """
        self.progress(done, total, message)
        if self.stop():
            raise InterruptedRun(f"{message} ({done} of {total}). {GO_ON if self.keeps else ANEW}")


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
    short : sequence of sequences of str
        Rows to print where there are too many; empty for all.
    details : sequence of str
        More lines, for `show`.
    closing : sequence of str
        What is to be read last, such as a verdict.
    """

    title: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = field(default_factory=tuple)
    short: Sequence[Sequence[str]] = ()
    details: Sequence[str] = ()
    closing: Sequence[str] = ()

    def to_json(self) -> str:
        """Return the table as JSON, for storage in an artefact."""
        names = ("title", "columns", "rows", "notes", "short", "details", "closing")
        return json.dumps({name: getattr(self, name) for name in names})


def make_job(
    kind: str,
    config: object,
    inputs: Mapping[str, Path],
    context: Context,
    hashes: Mapping[str, str] | None = None,
    part: tuple[str, ...] = (),
    whole: tuple[str, ...] = (),
) -> Job:
    """Return the job of a stage, and warn of keys that do nothing in it.

    Parameters
    ----------
    kind : str
        Name of the stage.
    config : object
        Resolved configuration, a group of keys.
    inputs : mapping of str to Path
        Input artefacts; each is verified and identified by its content.
    context : Context
        In a dry run an input may be missing: an earlier stage would write it.
    hashes : mapping of str to str, optional
        Hashes of other inputs.
    part, whole : tuple of str
        Names of the parts that are asked for, and of all parts; empty for the whole job.

    Raises
    ------
    InputError
        If an input is missing, or its numbers do not agree with its checksum.
    """
    for key, reason in idle_keys(config):
        log.warning("%s: %s does nothing with %s", kind, key, reason)
    found: dict[str, str] = dict(hashes or {})
    for name, path in inputs.items():
        if path.is_file():
            found[name] = identity(path)
        elif context.dry_run:
            found[name] = f"{MISSING} {path}"
        else:
            raise InputError(f"{path}: no such file; it is the {name} that {kind} needs")
    neutral: frozenset[str] = getattr(config, "neutral", frozenset())
    if not part or set(part) == set(whole):
        part = whole = ()
    return Job(kind, as_json(config), found, part, whole, neutral)


def by_name(hashes: Mapping[str, str]) -> dict[str, str]:
    """Return hashes of sources by number and file name: in which folder a file lies does not count."""
    return {f"{number}:{Path(path).name}": value for number, (path, value) in enumerate(hashes.items())}


def nothing_to_do(
    output: Path, job: Job, context: Context, write: Callable[[h5py.File, Path], object] | None = None
) -> Summary | None:
    """Return a table when the stage need not or cannot run: up to date, or a dry run without its inputs.

    Files beside the artefact that are lost are written again, changed ones are renamed first.

    Parameters
    ----------
    write : callable, optional
        Writes these files from the artefact to a folder; without it the stage runs again for them.

    Returns
    -------
    Summary or None
        None where the stage is to run.

    Raises
    ------
    InputError
        If the output, or a file beside it that would be replaced, was changed since it was written.
    """
    missing = [value for value in job.inputs.values() if value.startswith(MISSING)]
    if missing:
        return planned(job.kind, output, [f"{value}: an earlier stage writes it" for value in missing])
    if context.force or not is_current(output, job):
        if not context.force and is_altered(output):
            raise disagreement(output)
        refuse_changed(output)
        return None
    if not context.dry_run:
        Checkpoint(output, job).discard_remains()
    identity(output)
    notes = _differing_versions(output)
    if wrong(output):
        if context.dry_run:
            return planned(job.kind, output, [f"{path} is lost or changed" for path in wrong(output)])
        notes += _mend(output, job, write)
        if wrong(output):
            return None
    stored: dict[str, Any] = read_summary(output)
    return Summary(
        title=f"{stored.get('title', job.kind)}{UP_TO_DATE}",
        columns=stored.get("columns", ()),
        rows=stored.get("rows", ()),
        notes=[*_without_files(stored.get("notes", ())), *notes],
        short=stored.get("short", ()),
        closing=stored.get("closing", ()),
    )


def is_up_to_date(summary: Summary) -> bool:
    """Return whether a table is that of a stage that had nothing to do."""
    return summary.title.endswith(UP_TO_DATE)


def _without_files(notes: Sequence[str]) -> list[str]:
    """Return what a stage said but for the files that it wrote then: this time it wrote none."""
    said = (note.partition("wrote ")[0].rstrip("; ") for note in notes)
    return [note for note in said if note]


def _mend(output: Path, job: Job, write: Callable[[h5py.File, Path], object] | None) -> list[str]:
    """Put files beside an artefact in order again, where that can be done without running the stage."""
    put_left_in_place(output)
    notes = []
    for path in wrong(output):
        if os.path.lexists(path):
            note = f"{path} was changed since it was written; it is kept as {set_aside(path).name}"
            log.warning("%s", note)
            notes.append(note)
    if write is not None and (again := wrong(output)):
        write_files_again(output, job, write)
        notes += [f"wrote {path} again" for path in again]
    return notes


def _differing_versions(output: Path) -> list[str]:
    """Say in one line with which other versions an artefact was written."""
    then, now = written_with(output), versions()
    changed = {name: number for name, number in then.items() if now.get(name) != number}
    if not changed:
        return []
    said = ", ".join(f"{name} {number} (now {now.get(name, 'none')})" for name, number in changed.items())
    return [f"written with {said}; the results are comparable, --force makes them again"]


def planned(kind: str, output: Path, lines: Sequence[str]) -> Summary:
    """Return the table of a dry run.

    Parameters
    ----------
    lines : sequence of str
        What would be done.
    """
    return Summary(title=f"{kind}: dry run, nothing written", notes=[*lines, f"would write {output}"])
