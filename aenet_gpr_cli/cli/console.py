"""What the user sees: log lines, a progress bar on a terminal or plain lines in a log, tables."""

from __future__ import annotations

import logging
import re
import sys
import textwrap
import time
from collections import Counter
from types import TracebackType
from typing import Any

from aenet_gpr_cli.text import visible

SECONDS_BETWEEN_LINES = 10.0
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

    On a terminal a bar is shown; elsewhere a line every ten seconds.
    """

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self._bar: Any = None
        self._task: Any = None
        self._message = ""
        self._last_line = time.monotonic()

    def __enter__(self) -> ProgressReport:
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.completed}/{task.total}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
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
        if self._bar is not None:
            # a message may carry changing numbers after a colon; the part before it names the work
            name = message.partition(":")[0]
            if self._task is None or name != self._message:
                if self._task is not None:
                    self._bar.remove_task(self._task)
                self._task, self._message = self._bar.add_task(message, total=total), name
            self._bar.update(self._task, completed=done, total=total, description=message)
            return
        now = time.monotonic()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            print(f"{message} {done}/{total}", file=sys.stderr, flush=True)


def show(summary: Any, quiet: bool = False) -> None:
    """Print the table of a stage, its notes and warnings included, to standard output; nothing if quiet."""
    if quiet:
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # no markup: names in brackets are names

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False, emoji=False)
    console.print(visible(summary.title), style="bold", markup=False)
    if summary.rows:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, column in enumerate(summary.columns):
            table.add_column(
                Text(visible(column)), justify="left" if number == 0 else "right", no_wrap=number == 0
            )
        for row in summary.short or summary.rows:
            table.add_row(*(Text(visible(str(cell))) for cell in row))
        console.print(table)
    for note in summary.notes:
        console.print(visible(note, keep="\n"), markup=False, soft_wrap=True)
    for line in summary.closing:
        console.print(_wrapped(visible(line), console.width), markup=False, soft_wrap=True)


def _wrapped(line: str, width: int) -> str:
    """Break a line between words; what goes on stands below the second column of an indented line."""
    found = re.match(r" +\S.*?  +|", line)
    return textwrap.fill(
        line, width, subsequent_indent=" " * len(found.group() if found else ""), break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
