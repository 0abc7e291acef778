"""What an HDF5 file may hold: groups and arrays of numbers or text, in the file, as large as they claim."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

from aenet_gpr_cli.errors import InputError

# Chunks that are allocated but not full yet, and space that HDF5 keeps, never make up more than this.
SMALL_BYTES = 16 * 2**20
FILLED = 0.5


def refuse_hostile(group: h5py.Group, path: Path, look: Callable[[Any], None] = lambda _: None) -> None:
    """Make sure that a file is self-contained and as large as it claims.

    Parameters
    ----------
    group : h5py.Group
        The root of the file.
    path : Path
        Named in messages.
    look : callable, optional
        Called with each group and array below the root.

    Raises
    ------
    InputError
        If something has a name that would lead out of a folder, links elsewhere or occurs twice (a loop),
        keeps its data in another file, is no array of numbers or text, or claims much more data than there
        is.
    """
    seen = {h5py.h5o.get_info(group.id).addr}
    waiting = [group]
    while waiting:
        here = waiting.pop()
        for name in here:
            where = f"{here.name.rstrip('/')}/{name}"
            if name in (".", "..") or "/" in name:  # names of subsets become names of files
                raise InputError(f"{path}: {where!r} is no name of a group or an array; write it again")
            if not isinstance(here.get(name, getlink=True), h5py.HardLink):
                raise InputError(f"{path}: {where} links elsewhere, which artefacts must not do")
            child = here[name]
            address = h5py.h5o.get_info(child.id).addr
            if address in seen:
                raise InputError(
                    f"{path}: {where} is there under another name too, which artefacts must not do"
                )
            seen.add(address)
            if isinstance(child, h5py.Group):
                waiting.append(child)
            else:
                _refuse_content(child, where, path)
            look(child)


def _refuse_content(child: Any, where: str, path: Path) -> None:
    if not isinstance(child, h5py.Dataset):
        raise InputError(f"{path}: {where} is neither a group nor an array, which artefacts must not hold")
    if child.external or child.is_virtual:
        raise InputError(f"{path}: {where} keeps its data in another file, which artefacts must not do")
    if h5py.check_ref_dtype(child.dtype) is not None:
        raise InputError(f"{path}: {where} holds references, which artefacts must not do")
    claimed, stored = child.size * child.dtype.itemsize if child.size else 0, child.id.get_storage_size()
    if claimed > SMALL_BYTES and stored < FILLED * claimed:
        raise InputError(
            f"{path}: {where} claims {claimed / 2**20:.0f} MiB, the file holds {stored / 2**20:.0f} MiB of it"
            "; write it again"
        )
