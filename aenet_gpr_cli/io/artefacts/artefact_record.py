"""What an artefact says of itself, checked before anything is read from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.hdf5.checksums import state_of, verify_record
from aenet_gpr_cli.io.hdf5.contents import refuse_hostile
from aenet_gpr_cli.io.hdf5.probing import found_clean

FORMAT_VERSION = 1
FILES, BEFORE = "files", "files_before"  # attributes: files beside an artefact, and beside the one before
_looked_at: set[tuple[object, ...]] = set()  # files whose content this process has looked at
NUMBERS = ("wall_time_s", "peak_rss_bytes", "so_far_s")
SCALARS = (*NUMBERS, "created", "seed")
ALWAYS = ("config", "inputs", "versions", "created", "seed", "wall_time_s", "peak_rss_bytes")
# attributes in JSON: what is in them, at the first level
OBJECTS = ("config", "metrics", "statistics", "measured", "failures")
OF_TEXTS = ("inputs", "versions", "files")  # objects
LISTS = ("part", "whole")  # of texts
OTHERS = ("rounds", "table")
LINES = ("notes", "details", "closing")  # of a summary


def check_artefact(file: h5py.File, path: Path, kind: str | None) -> None:
    """Refuse what is no complete, unaltered artefact of a stage, of a version that this one reads.

    Raises
    ------
    InputError
    ValueError, KeyError, OSError, RuntimeError, TypeError
        Where it is damaged.
    """
    if file.attrs.get("format") != "aenet-gpr-cli":
        raise InputError(f"{path}: expected an artefact of aenet-gpr, got another HDF5 file")
    version = int(file.attrs.get("format_version", 0))
    if version != FORMAT_VERSION:
        raise InputError(
            f"{path}: expected format version {FORMAT_VERSION}, got {version}; read it with the version of "
            f"aenet-gpr that wrote it, or run {file.attrs.get('kind')} again"
        )
    found = file.attrs.get("kind")
    if kind is not None and found != kind:
        raise InputError(f"{path}: expected the output of {kind}, got that of {found}")
    if not file.attrs.get("complete", False):
        raise InputError(f"{path}: the artefact is not complete; run {found} again")
    _check_record(file.attrs)
    verify_record(file, path)
    if (state := state_of(path)) not in _looked_at:
        if not found_clean(path):
            refuse_hostile(file, path)
        _looked_at.add(state)
    if missing := [name for name in ALWAYS if name not in file.attrs]:
        raise ValueError(f"{missing[0]} is missing")


def _check_record(attributes: Mapping[str, Any]) -> None:
    """Raise ValueError, which the caller tells as damage, where what an artefact says of itself is odd."""
    for name in SCALARS:
        if np.ndim(attributes.get(name, 0)):
            raise ValueError(f"{name} is no number or text")
    for name in NUMBERS:
        if not np.isfinite(float(attributes.get(name, 0.0))):
            raise ValueError(f"{name} is no finite number")
    for kind, names in ((dict, (*OBJECTS, *OF_TEXTS)), (list, LISTS), (object, OTHERS)):
        for name in names:
            value = json.loads(attributes.get(name, "{}" if kind is dict else "[]"))
            if not isinstance(value, kind):
                raise ValueError(f"{name} is of another kind")
            if name in LISTS and not _are_texts(value):
                raise ValueError(f"{name} is no list of texts")
            if name in OF_TEXTS and isinstance(value, dict) and not _are_texts(list(value.values())):
                raise ValueError(f"{name} has values that are no texts")
    files_of(attributes)
    summary = json.loads(attributes.get("summary", "{}"))
    if not (summary == {} or _is_table(summary)):
        raise ValueError("its summary is no table")


def files_of(attributes: Mapping[str, Any], latest: bool = False) -> dict[str, list[str]]:
    """Return the hashes that each file beside an artefact may have, by its name from the artefact's folder.

    Parameters
    ----------
    latest : bool
        Leave out those of the artefact that it replaced.

    Raises
    ------
    ValueError
        If the list is none, or a name leads out of the folder: such a file would be replaced or removed.
    """
    own, before = (json.loads(attributes.get(name, "{}")) for name in (FILES, BEFORE))
    if not (isinstance(own, dict) and isinstance(before, dict)):
        raise ValueError("the list of its files is none")
    lists = [{name: [value] for name, value in own.items()}, *([] if latest else [before])]
    known: dict[str, list[str]] = {}
    for name, values in (item for each in lists for item in each.items()):
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or not parts or not _are_texts(values):
            raise ValueError("the list of its files is none")
        known[name] = [*known.get(name, []), *values]
    return known


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _is_table(summary: Any) -> bool:
    """Whether a summary can be printed: every row has a cell for each column."""
    if not isinstance(summary, dict) or not isinstance(summary.get("title"), str):
        return False
    columns = summary.get("columns")
    return (
        isinstance(columns, list)
        and _are_texts(columns)
        and isinstance(summary.get("rows"), list)
        and all(_are_texts(row) and len(row) == len(columns) for row in summary["rows"])
        and all(_are_texts(row) and len(row) == len(columns) for row in summary.get("short", []))
        and "notes" in summary
        and all(_are_texts(summary.get(key, [])) for key in LINES)
    )
