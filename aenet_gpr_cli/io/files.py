"""Files that appear whole or not at all, and the hash that recognises their content.

Everything that this package writes for later use goes through `written_whole`: artefacts, tables, pictures,
structures, potentials, scripts.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import glob
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aenet_gpr_cli.errors import EXHAUSTED, InputError, ResourceError
from aenet_gpr_cli.text import encodable

_NO_PLACE = (*EXHAUSTED, errno.EACCES)


def require_file(path: Path) -> None:
    """Make sure that a path is a file: a pipe or a device may wait or go on for ever.

    Raises
    ------
    InputError
        If it is something else, is not there, or is a link that leads nowhere.
    """
    if path.is_file():
        return
    if not path.exists() and not path.is_symlink():
        raise InputError(f"{path}: No such file or directory")
    if path.is_symlink() and not path.exists():
        got = "a link that leads nowhere"
    elif path.is_dir():
        got = "a folder"
    else:
        got = "a pipe, socket or device"
    raise InputError(f"{path}: expected a file, got {got}")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, hexadecimal."""
    require_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def written_whole(path: Path, durable: bool = True) -> Iterator[Path]:
    """Give a temporary file beside ``path`` that takes its name when the block succeeds.

    If the block fails, what was there before stays as it was and the temporary file is removed; only a killed
    process leaves one behind (``.NAME.PID.tmp``).

    Parameters
    ----------
    durable : bool
        Make folders that are not there, and wait until the disk has the file, so that a power cut cannot
        leave an empty one under the name. This takes milliseconds: leave it out only for one of thousands.

    Yields
    ------
    Path
        For the block to make and fill.

    Raises
    ------
    ResourceError
        If the disk is full or may not be written.
    """
    require_place(path)
    if durable:
        _make_folder(path)
        _remove_orphans(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _take_name(temporary, path, durable)
    except (OSError, RuntimeError) as error:
        if no_place(error):
            raise cannot_write(path, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def require_place(path: Path) -> None:
    """Make sure that nothing but a file, if anything, stands where one is to be written.

    A folder cannot be replaced; a device such as /dev/null could, by those who may do everything.

    Raises
    ------
    InputError
    """
    if path.exists() and not path.is_file():
        got = "a folder" if path.is_dir() else "a pipe, socket or device"
        raise InputError(f"{path}: expected a file to write, got {got}; choose another --output")


def _make_folder(path: Path) -> None:
    """Make the folder of a file to write."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if no_place(error):
            raise cannot_write(path, error) from error
        raise


def _remove_orphans(path: Path) -> None:
    """Remove temporary files of this output that killed processes of this machine have left."""
    import psutil

    for orphan in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        number = orphan.name.removeprefix(f".{path.name}.").removesuffix(".tmp")
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            with contextlib.suppress(OSError, OverflowError):
                orphan.unlink()


def cannot_write(path: Path, error: BaseException) -> ResourceError:
    """Return the error for an output that finds no place."""
    return ResourceError(
        f"{path}: cannot write ({error}); free some space or choose another --output. "
        "Nothing that was there before has changed"
    )


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8; what that cannot hold is written out."""
    with written_whole(path) as temporary:
        temporary.write_text(encodable(text), encoding="utf-8")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write nested values as JSON; numbers keep their 17 digits, NaN is refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table of at least one row; all keys are columns, None and what a row lacks are empty cells."""
    text, columns = io.StringIO(), list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _take_name(temporary: Path, path: Path, durable: bool) -> None:
    if durable:
        _to_disk(temporary)
    temporary.replace(path)
    if durable:
        with contextlib.suppress(OSError):  # not every file system can do this with a folder
            _to_disk(path.parent)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def no_place(error: BaseException) -> bool:
    """Whether an error of the system or of HDF5 says that there is no space, or no right, to write."""
    if isinstance(error, OSError) and error.errno in _NO_PLACE:
        return True
    text = str(error).lower()  # of HDF5, which gives no number
    return "no space left" in text or "can't write" in text or "unable to sync" in text
