"""A first look at an HDF5 file by a process of its own, whose processor time is limited.

On damaged bytes the HDF5 library may crash, or read the same block for ever; neither can be caught in the
process where it happens.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import h5py

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.hdf5.contents import refuse_hostile

CPU_SECONDS = 2  # a look at an artefact takes milliseconds
BYTES_PER_SECOND = 200_000  # more for larger files: with subsets by the thousand, ten times what they take
MOST_SECONDS = 300
FOUND_CLEAN = 3  # exit status of the process that looks
_good: set[tuple[int, ...]] = set()  # files that this process has looked at, or written itself
_clean: set[tuple[int, ...]] = set()  # of these, where `refuse_hostile` found nothing


def probe(path: Path) -> None:
    """Refuse a file on whose structure the HDF5 library crashes or never ends.

    Every group, attribute, index of chunks and text is read once, numbers are not. A file that has not
    changed since is not looked at again. Other errors are left to those who read the file.

    Raises
    ------
    InputError
        If the library crashes or uses up its time.
    """
    if sys.platform != "linux" or (key := _key(path)) in _good:
        return
    with warnings.catch_warnings():  # of Python, about threads: the child uses none
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _look_and_end(path, min(CPU_SECONDS + key[0] // BYTES_PER_SECOND, MOST_SECONDS))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code < 0:
        what = "never ends" if -code in (signal.SIGXCPU, signal.SIGKILL) else "crashes"
        raise InputError(f"{path}: the artefact is damaged (the HDF5 library {what} on it); write it again")
    _good.add(key)
    if code == FOUND_CLEAN:
        _clean.add(key)


def found_clean(path: Path) -> bool:
    """Whether `probe` has found that a file holds what it may: `refuse_hostile` need not look again."""
    return _key(path) in _clean


def trust(path: Path) -> None:
    """Take a file that this process has just written as good."""
    _good.add(_key(path))


def _key(path: Path) -> tuple[int, ...]:
    about = path.stat()
    return about.st_size, about.st_mtime_ns, about.st_ino, about.st_dev


def _look_and_end(path: Path, seconds: int) -> None:
    import resource

    status = 0
    try:
        for number in (signal.SIGXCPU, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        with h5py.File(path, "r") as file:
            dict(file.attrs)
            try:
                refuse_hostile(file, path, _look)  # one walk for both
                status = FOUND_CLEAN
            except InputError:
                file.visititems(lambda _, item: _look(item))
    except BaseException:  # told by those who read the file
        pass
    finally:
        os._exit(status)


def _look(item: Any) -> None:
    dict(item.attrs)
    if isinstance(item, h5py.Dataset):
        item.id.get_storage_size()
        if item.dtype.hasobject:
            item[()]
        elif item.chunks:
            item.id.get_num_chunks()
