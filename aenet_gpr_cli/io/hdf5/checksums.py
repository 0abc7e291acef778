"""The checksum of the numbers in an artefact: what identifies it, and what shows that it was altered.

It covers every array and every attribute but those that say how and when the file was made, so that the same
numbers have the same checksum wherever the file lies and whenever it was written.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.files import sha256_of
from aenet_gpr_cli.io.hdf5.probing import probe

# attributes of the file that are no results
PROVENANCE = frozenset(
    {
        *(
            "format",
            "format_version",
            "numerics",
            "kind",
            "complete",
            "fingerprint",
            "config",
            "inputs",
            "part",
        ),
        *("whole", "seed", "versions", "created", "wall_time_s", "peak_rss_bytes", "so_far_s", "summary"),
        *("checksum", "record", "files", "files_before"),
    }
)
NOT_IN_RECORD = frozenset({"record", "complete"})  # written after it
BLOCK_BYTES = 2**24  # read at a time
DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError)  # what h5py raises on overwritten bytes
_verified: dict[tuple[object, ...], str] = {}  # identities of files that this process has read


def checksum(file: h5py.File) -> str:
    """Return the SHA-256 of the numbers and strings in a file, hexadecimal; read once, block by block."""
    total = hashlib.sha256()
    _add_group(total, file, "/")
    return total.hexdigest()


def seal(file: h5py.File) -> None:
    """Store the checksums of a file that is complete: of its numbers, and of what it says of itself."""
    file.attrs["checksum"] = checksum(file)
    file.attrs["record"] = _record(file)


def verify_record(file: h5py.File, path: Path) -> None:
    """Make sure that configuration, inputs and the rest of what an artefact says of itself are as written.

    Raises
    ------
    InputError
    """
    if "record" in file.attrs and _record(file) != file.attrs["record"]:
        raise disagreement(path, "what it says of itself does")


def identity(path: Path) -> str:
    """Return what identifies a file by its content: the checksum of an artefact, once it has been verified.

    Files of other kinds, and artefacts of version 0.1, which have no checksum, are identified by the hash of
    the whole file. A file is read once per process, and again when it has changed.

    Raises
    ------
    InputError
        If the numbers do not agree with the checksum, or cannot be read.
    """
    key = state_of(path)
    if key not in _verified:
        _verified[key] = _identity(path)
    return _verified[key]


def verify(file: h5py.File, path: Path) -> None:
    """Make sure, once per process, that an open artefact holds the numbers that were written.

    Artefacts of version 0.1 have no checksum and are taken as they are.

    Raises
    ------
    InputError
        If the numbers do not agree with the checksum, or cannot be read.
    """
    if "checksum" in file.attrs and (key := state_of(path)) not in _verified:
        _verified[key] = _verified_checksum(file, path)


def is_altered(path: Path) -> bool:
    """Whether an artefact can be read as a whole, but its numbers do not agree with its checksum."""
    try:
        probe(path)
        with h5py.File(path, "r") as file:
            return "checksum" in file.attrs and checksum(file) != file.attrs["checksum"]
    except (InputError, *DAMAGE):
        return False


def disagreement(path: Path, what: str = "its numbers do") -> InputError:
    """Return the error for an artefact that is not what was written."""
    return InputError(
        f"{path}: {what} not agree with its checksum; it was altered or damaged after it was written: put "
        "the original back, or write it again with --force"
    )


def _record(file: h5py.File) -> str:
    total = hashlib.sha256()
    _add_attributes(total, file, NOT_IN_RECORD)
    return total.hexdigest()


def state_of(path: Path) -> tuple[object, ...]:
    """Return what tells a file from any other, and from itself before a change."""
    state = path.stat()
    return path.resolve(), state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _identity(path: Path) -> str:
    if not h5py.is_hdf5(path):
        return sha256_of(path)
    probe(path)
    try:
        with h5py.File(path, "r") as file:
            return _verified_checksum(file, path) if "checksum" in file.attrs else sha256_of(path)
    except DAMAGE as error:
        raise damaged(path, error) from error


def _verified_checksum(file: h5py.File, path: Path) -> str:
    try:
        found = checksum(file)
    except DAMAGE as error:
        raise damaged(path, error) from error
    if found != file.attrs["checksum"]:
        raise disagreement(path)
    return found


def damaged(path: Path, error: BaseException) -> InputError:
    """Return the error for an artefact that HDF5 cannot read."""
    return InputError(f"{path}: the artefact is damaged ({error}); write it again")


def _add_group(total: Any, group: h5py.Group, where: str) -> None:
    _add_attributes(total, group, PROVENANCE if where == "/" else frozenset())
    for name in sorted(group):
        child = group[name]
        total.update(f"{where}{name}\0".encode())
        if isinstance(child, h5py.Group):
            _add_group(total, child, f"{where}{name}/")
        else:
            _add_attributes(total, child, frozenset())
            _add_array(total, child)


def _add_attributes(total: Any, item: Any, leave_out: frozenset[str]) -> None:
    for name in sorted(set(item.attrs) - leave_out):
        total.update(f"{name}=".encode())
        _add_values(total, np.asarray(item.attrs[name]))


def _add_array(total: Any, dataset: h5py.Dataset) -> None:
    total.update(f"{dataset.dtype.str}{dataset.shape}".encode())
    if not dataset.shape:
        _add_values(total, np.asarray(dataset[()] if dataset.shape == () else []))
        return
    row = max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=int)))
    step = max(1, BLOCK_BYTES // row)
    for start in range(0, len(dataset), step):
        _add_values(total, np.asarray(dataset[start : start + step]), of_array=True)


def _add_values(total: Any, values: np.ndarray, of_array: bool = False) -> None:
    if values.dtype.kind in "OSU":
        for text in values.reshape(-1).tolist():
            raw = text if isinstance(text, bytes) else str(text).encode("utf-8", "surrogateescape")
            total.update(b"%d:" % len(raw) + raw)
        return
    if not of_array:
        total.update(f"{values.dtype.str}{values.shape}".encode())
    if values.size:
        total.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8))
