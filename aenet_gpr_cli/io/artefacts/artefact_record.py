"""What an artefact says of itself, checked before anything is read from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.hdf5.checksums import state_of, verify_record
from aenet_gpr_cli.io.hdf5.contents import refuse_hostile
from aenet_gpr_cli.io.hdf5.probing import found_clean

FORMAT_VERSION = 1
_looked_at: set[tuple[object, ...]] = set()  # files whose content this process has looked at
SCALARS = ("wall_time_s", "peak_rss_bytes", "so_far_s", "created", "seed")
TABLE = {"title": str, "columns": list, "rows": list, "notes": list}  # a summary
TEXTS = ("config", "inputs", "part", "whole", "versions", "summary", "metrics")  # attributes in JSON


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


def _check_record(attributes: Mapping[str, Any]) -> None:
    """Raise ValueError, which the caller tells as damage, where what an artefact says of itself is odd."""
    for name in SCALARS:
        if np.ndim(attributes.get(name, 0)):
            raise ValueError(f"{name} is no number or text")
    found = {name: json.loads(attributes[name]) for name in TEXTS if name in attributes}
    summary = found.get("summary", {})
    if summary and not all(isinstance(summary.get(key), kind) for key, kind in TABLE.items()):
        raise ValueError("its summary is no table")
