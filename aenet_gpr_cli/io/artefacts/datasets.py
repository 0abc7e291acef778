"""Arrays in the groups of an artefact: written with their unit, appended row by row, read back.

Names are those of `fields`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from aenet_gpr_cli.io.artefacts.registry import FIELDS, Field

CHUNK_BYTES = 2**18  # of arrays that grow: a few reads a megabyte, and little waste in short ones
MAX_CHUNK_ROWS = 1024


def write_field(group: h5py.Group, name: str, values: Any) -> None:
    """Store one array under its registered name, with its unit.

    Parameters
    ----------
    group : h5py.Group
    name : str
        Must be a key of `FIELDS`.
    values : array_like
        Numbers are stored as they are (float64 stays float64), sequences of str as UTF-8.
    """
    field = FIELDS[name]  # an unknown name leaves nothing behind
    if len(values) and isinstance(values[0], str):
        dataset = group.create_dataset(name, data=list(values), dtype=h5py.string_dtype())
    else:
        dataset = group.create_dataset(name, data=np.asarray(values))
    _explain(dataset, field)


def append_field(group: h5py.Group, name: str, values: Any) -> None:
    """Add rows to an array that grows, made on the first call: chunked, never held in memory as a whole.

    Parameters
    ----------
    group : h5py.Group
    name : str
        Must be a key of `FIELDS`.
    values : ndarray, or tuple of str
        Rows; all calls with the same shape after the first axis.
    """
    strings = isinstance(values, tuple)
    rows = np.array(values, object) if strings else np.asarray(values)
    if name not in group:
        row_bytes = max(1, rows.dtype.itemsize * int(np.prod(rows.shape[1:], dtype=int)))
        dataset = group.create_dataset(
            name,
            shape=(0, *rows.shape[1:]),
            maxshape=(None, *rows.shape[1:]),
            chunks=(max(1, min(MAX_CHUNK_ROWS, CHUNK_BYTES // row_bytes)), *rows.shape[1:]),
            dtype=h5py.string_dtype() if strings else rows.dtype,
        )
        _explain(dataset, FIELDS[name])
    dataset = group[name]
    before = len(dataset)
    dataset.resize(before + len(rows), axis=0)
    if len(rows):
        dataset[before:] = rows


def _explain(dataset: h5py.Dataset, field: Field) -> None:
    dataset.attrs["unit"], dataset.attrs["meaning"] = field.unit, field.meaning


def read_strings(group: h5py.Group, name: str, rows: slice = slice(None)) -> tuple[str, ...]:
    """Read an array of strings.

    Parameters
    ----------
    group : h5py.Group
    name : str
    rows : slice, optional
        Of the array; default: all.

    Returns
    -------
    tuple of str
    """
    return tuple(group[name].asstr()[rows]) if len(group[name]) else ()


def read_optional(group: h5py.Group, name: str, rows: slice = slice(None)) -> np.ndarray | None:
    """Read an array, or None where it is absent.

    Parameters
    ----------
    group : h5py.Group
    name : str
    rows : slice, optional
        Along the first axis; default: all.

    Returns
    -------
    ndarray or None
    """
    return group[name][rows] if name in group else None


def as_attributes(group: h5py.Group, values: Mapping[str, Any]) -> None:
    """Store scalars and strings as attributes; None is left out.

    Parameters
    ----------
    group : h5py.Group
    values : mapping
    """
    for key, value in values.items():
        if value is not None:
            group.attrs[key] = value
