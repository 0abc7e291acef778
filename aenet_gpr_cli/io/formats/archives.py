"""XSF files inside zip and tar archives, read in place: nothing is ever extracted to disk.

Owns the guards against damaged and malicious archives. Parsing is left to `xsf_parser`.
"""

from __future__ import annotations

import logging
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.formats.xsf import MAX_BYTES

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MAX_TOTAL_BYTES = 8 * 2**30  # unpacked; several million structures

log = logging.getLogger(__name__)

# What the readers of the standard library raise on bytes that are not what they claim to be.
_DAMAGED = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, RuntimeError, ValueError, LookupError, OverflowError),
)


def is_archive(path: Path) -> bool:
    """Tell by the name whether a file is a zip or tar archive."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def is_hidden(parts: tuple[str, ...]) -> bool:
    """Tell whether a relative path is hidden or a macOS resource file (``__MACOSX``, ``._*``)."""
    return any(part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in parts)


def iter_archive(path: Path) -> Iterator[tuple[str, bytes | InputError]]:
    """Iterate over the XSF files of an archive, in the order of the archive.

    Yields
    ------
    member : str
        Path inside the archive.
    content : bytes or InputError
        The file, or what is wrong with this one member.

    Raises
    ------
    InputError
        If the archive itself is damaged, unpacks to more than 8 GiB, or holds no XSF file.

    Notes
    -----
    Reads one member at a time, at most 64 MiB of it, whatever size the archive declares.
    """
    seen: set[str] = set()
    ignored: list[str] = []
    found = False
    members = _zip_members(path) if path.name.lower().endswith(".zip") else _tar_members(path)
    for name, content in members:
        pure = PurePosixPath(name.replace("\\", "/"))
        if is_hidden(pure.parts):
            continue
        if pure.suffix.lower() != ".xsf":
            ignored.append(name)
        elif pure.is_absolute() or ".." in pure.parts or ":" in pure.parts[0] or not name.isprintable():
            found = True
            yield name, InputError(f"{path}: expected paths inside the archive, got {name!a}")
        elif str(pure) in seen:
            yield name, InputError(f"{path}: expected each member once, got {name!a} again")
        else:
            seen.add(str(pure))
            yield str(pure), content
    if ignored:
        log.info("%s: ignored %d members that are not XSF, e.g. %s", path, len(ignored), ignored[0])
    if not seen and not found:
        other = f"{len(ignored)} other files, e.g. {ignored[0]!a}" if ignored else "none"
        raise InputError(f"{path}: expected at least one XSF file (*.xsf) in the archive, got {other}")


def _zip_members(path: Path) -> Iterator[tuple[str, bytes | InputError]]:
    with _damage_as_input_error(path), zipfile.ZipFile(path) as archive:
        total = 0
        for info in archive.infolist():
            if info.is_dir():
                continue
            if not info.filename.lower().endswith(".xsf"):
                yield info.filename, b""
                continue
            with archive.open(info) as file:
                content = file.read(MAX_BYTES + 1)
            total = _within_bounds(total + len(content), path)
            yield info.filename, content


def _tar_members(path: Path) -> Iterator[tuple[str, bytes | InputError]]:
    with _damage_as_input_error(path), tarfile.open(path, "r:*") as archive:
        total = 0
        for info in archive:
            # Members that are skipped are unpacked too, so the bound counts them.
            total = _within_bounds(total + info.size, path)
            if info.isdir():
                continue
            if not info.name.lower().endswith(".xsf"):
                yield info.name, b""
                continue
            file = archive.extractfile(info) if info.isreg() else None
            if file is None:
                yield info.name, InputError(f"{path}: expected a file, got a link: {info.name!a}")
            else:
                yield info.name, file.read(MAX_BYTES + 1)


def _within_bounds(total: int, path: Path) -> int:
    if total > MAX_TOTAL_BYTES:
        raise InputError(f"{path}: expected at most {MAX_TOTAL_BYTES // 2**30} GiB unpacked, got more")
    return total


@contextmanager
def _damage_as_input_error(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise InputError(f"{path}: expected a complete, unencrypted archive, got: {error}") from error
