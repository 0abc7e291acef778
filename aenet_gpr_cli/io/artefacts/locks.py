"""One writer per output: a lock file that says who holds it.

A lock left by a dead process of this host is taken over; one of another host must be removed by hand,
because nothing here can find out whether that process still lives.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from aenet_gpr_cli.errors import ResourceError
from aenet_gpr_cli.io.files import cannot_write

LOCK_SUFFIX = ".lock"


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
        If another live process holds it.
    """
    path = output.with_name(f".{output.name}{LOCK_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _acquire(path, output)
    except OSError as error:
        raise cannot_write(output, error) from error
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
            holder = _read(path)
            if not _is_stale(holder):
                raise ResourceError(
                    f"{output} is being written by process {holder.get('pid')} on {holder.get('host')} "
                    f"since {holder.get('since')}; wait for it, or remove {path} if it is dead"
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
    state = "left by a dead process" if _is_stale(holder) else "being written"
    return state, f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"


def _read(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_stale(holder: dict[str, object]) -> bool:
    pid = holder.get("pid")
    if holder.get("host") != socket.gethostname() or not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return pid == os.getpid()
