"""What the user sees: log lines, a progress bar on a terminal or plain lines in a log."""

from __future__ import annotations

import logging
import re
import sys
import time
import warnings
from collections import Counter
from types import TracebackType
from typing import Any

from aenet_gpr_cli.text import visible

SECONDS_BETWEEN_LINES = 10.0
BAR = 20  # columns
LINES_OF_A_KIND = 3  # with another subset in each


def set_up_logging(verbose: bool, quiet: bool) -> None:
    """Send log lines to standard error: information; everything if verbose; only warnings if quiet."""
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Visible("%(levelname)s: %(message)s"))
    handler.addFilter(_plain_information)
    if not verbose:
        handler.addFilter(_FewOfAKind())
    logger = logging.getLogger("aenet_gpr_cli")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
    warnings.showwarning = _as_a_line


def _as_a_line(message: Warning | str, *where: object, **more: object) -> None:
    """Say a warning of a library without the file and the line that it comes from."""
    logging.getLogger("aenet_gpr_cli").warning("%s", message)


class _Visible(logging.Formatter):
    """Write control characters of names and of other programs' messages out."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record), keep="\n\t")


def _plain_information(record: logging.LogRecord) -> bool:
    record.levelname = record.levelname.lower()
    return True


class _FewOfAKind(logging.Filter):
    """Let the first lines of a kind pass: what is said of a hundred subsets is in the artefact."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line is shown; the last one of its kind says that more may come."""
        kind = str(record.msg)
        if not record.args or kind == "%s":  # of no kind
            return True
        self._seen[kind] += 1
        if self._seen[kind] == LINES_OF_A_KIND:
            record.msg = f"{kind} (more of this kind with -v)"
        return self._seen[kind] <= LINES_OF_A_KIND


class ProgressReport:
    """Progress of the current piece of work; a context manager whose instance is called.

    On a terminal a bar is shown, which goes when its work is done; elsewhere a line every ten seconds. Both
    say how long the work has taken and about how long it still takes.
    """

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self._bar: Any = None
        self._task: Any = None
        self._clock = WorkClock()
        self._last_line = time.monotonic()

    def __enter__(self) -> ProgressReport:
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=BAR),
                TextColumn("{task.completed}/{task.total} {task.fields[times]}", markup=False),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int, message: str) -> None:
        """Report that ``done`` of ``total`` steps are finished."""
        if self.quiet:
            return
        message = visible(message)
        began = self._clock.at(done, total, message, time.monotonic())
        if self._bar is not None:
            if self._task is not None and (began or done >= total):
                self._bar.remove_task(self._task)
                self._task = None
            if done >= total:
                return
            if self._task is None:
                self._task = self._bar.add_task(message, total=total, times="")
            times = self._clock.said()
            room = self._bar.console.width - BAR - len(f"{done}/{total} {times}") - 2
            self._bar.update(self._task, completed=done, description=cut(message, room), times=times)
            return
        now = time.monotonic()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            print(f"{message} {done}/{total}, {self._clock.said()}", file=sys.stderr, flush=True)


def cut(message: str, room: int) -> str:
    """Return a message that leaves the rest of its line to numbers; its end goes first."""
    return message if len(message) <= room else f"{message[: max(0, room - 1)]}…"


class WorkClock:
    """When the current piece of work began, and how long it still takes.

    A message names the work by its words before a colon: numbers in it change while the work goes on.
    """

    def __init__(self) -> None:
        self._work: tuple[str, int] | None = None
        self._start = self._now = 0.0
        self._first = self._done = self._total = 0

    def at(self, done: int, total: int, message: str, now: float) -> bool:
        """Take in that ``done`` of ``total`` steps are finished; return whether other work has begun."""
        work = (re.sub(r"[-+]?\d[\d.]*(e[-+]?\d+)?", "#", message.partition(":")[0]), total)
        began = work != self._work or done < self._done
        if began:
            self._work, self._start, self._first, self._total = work, now, done, total
        self._done, self._now = done, now
        return began

    def said(self) -> str:
        """Return elapsed and remaining time, the latter as soon as one step shows how long a step takes."""
        elapsed, steps = self._now - self._start, self._done - self._first
        text = f"{duration(elapsed)} elapsed"
        if steps > 0 and self._done < self._total:
            text += f", about {duration(elapsed * (self._total - self._done) / steps)} left"
        return text


def duration(seconds: float) -> str:
    """Write a time as a clock does.

    Examples
    --------
    >>> duration(5.2), duration(75.0), duration(7322.0)
    ('0:05', '1:15', '2:02:02')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
