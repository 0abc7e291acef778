"""Standard output and error as they may be: closed, full, in another encoding, a pipe nobody reads."""

from __future__ import annotations

import contextlib
import os
import select
import sys

READER_GONE = 141  # exit code of a program that SIGPIPE ends, as a shell gives it


def make_tolerant() -> None:
    """Give absent streams a place, and write what an encoding does not have as escapes (\\u03b4)."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or getattr(stream, "closed", False):
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 lives with the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Write what is left, so that a failure is met here and not when Python ends."""
    sys.stdout.flush()
    sys.stderr.flush()


def reader_gone() -> bool:
    """Whether a stream is a pipe that nobody reads any more."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            poll = select.poll()
            poll.register(stream.fileno(), select.POLLOUT)
            if any(event & select.POLLERR for _, event in poll.poll(0)):
                return True
    return False


def drop(code: int) -> int:
    """Let what standard output still has go nowhere, and return the exit code."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    return code
