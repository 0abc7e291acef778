"""One writer per output: a lock file that says who holds it.

A lock left by a dead process of this host is taken over, also where another process has its number now, and
one without readable content that is not new. One of another host must be removed by hand: nothing here
can find out whether that process still lives.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from aenet_gpr_cli.errors import InputError, ResourceError
from aenet_gpr_cli.io.files import cannot_write, no_place, require_place

LOCK_SUFFIX = ".lock"
SECONDS_TO_WRITE = 10.0  # between making a lock and writing who holds it
CLOCK_ERROR = 2.0  # s, of the start of a process against the times of files


def lock_of(output: Path) -> Path:
    """Return the file beside an output that says who writes it."""
    return output.with_name(f".{output.name}{LOCK_SUFFIX}")


@contextlib.contextmanager
def lock(output: Path) -> Iterator[None]:
    """Hold the lock of ``output`` while the block runs.

    Parameters
    ----------
    output : Path
        The file that is going to be written; the lock is ``.NAME.lock`` beside it.

    Raises
    ------
    ResourceError
        If another live process holds it, or there is no space or right to write.
    InputError
        If no file can be in that place.
    """
    require_place(output)
    path = lock_of(output)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _acquire(path, output)
    except OSError as error:
        if no_place(error):
            raise cannot_write(output, error) from error
        raise InputError(f"{output}: cannot be written there ({error}); choose another --output") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _acquire(path: Path, output: Path) -> None:
    me = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    for _ in range(2):
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            if path.is_dir():
                raise InputError(
                    f"{path}: expected a lock file or nothing, got a folder; remove it"
                ) from None
            if not _is_stale(path):
                state, holder = describe_holder(path)
                raise ResourceError(
                    f"{output} is {state} by {holder}; wait for it, or remove {path} if it is dead"
                ) from None
            path.unlink(missing_ok=True)
            continue
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(me, file)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return
    raise ResourceError(f"{output}: another process took the lock {path}; try again")


def describe_holder(path: Path) -> tuple[str, str]:
    """Say whether the holder of a lock file is at work.

    Parameters
    ----------
    path : Path
        The lock file.
    """
    holder = _read(path)
    state = "left by a dead process" if _is_stale(path) else "being written"
    if not holder:
        return state, "a process that has left no name"
    return state, f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"


def _read(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    known = isinstance(content, dict) and isinstance(content.get("host"), str)
    return content if known and isinstance(content.get("pid"), int) else {}


def _is_stale(path: Path) -> bool:
    holder = _read(path)
    try:
        written = path.stat().st_mtime
    except OSError:  # given back meanwhile
        return False
    if not holder:  # made a moment ago, or by a process that was killed before it could write
        return time.time() - written > SECONDS_TO_WRITE
    if holder["host"] != socket.gethostname():
        return False
    pid = int(str(holder["pid"]))
    return pid == os.getpid() or not _lives_since(pid, written)


def _lives_since(pid: int, written: float) -> bool:
    """Whether a process is there and began before a lock was written, not the next one of this number."""
    import psutil

    try:
        return psutil.Process(pid).create_time() <= written + CLOCK_ERROR
    except psutil.AccessDenied:
        return True
    except (psutil.Error, ValueError, OverflowError):  # no such process, or no number of one
        return False
