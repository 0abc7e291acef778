"""Files inside zip and tar archives: XSF read in place, others unpacked one at a time to a temporary folder.

Owns the guards against damaged and malicious archives. Reading the files is left to `sources`.
"""

from __future__ import annotations

import logging
import lzma
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.formats.xsf import MAX_BYTES
from aenet_gpr_cli.io.frames.recognise import HEAD_BYTES, format_of

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MAX_TOTAL_BYTES = 8 * 2**30  # unpacked; several million structures
_LONGEST_NAME = 100

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


def iter_archive(path: Path) -> Iterator[tuple[str, bytes | Path | InputError]]:
    """Iterate over the files of an archive whose format is known, in the order of the archive.

    Yields
    ------
    member : str
        Path inside the archive.
    content : bytes, Path or InputError
        Of an XSF file; a temporary copy of any other, there until the next one; or what is wrong with this
        one member.

    Raises
    ------
    InputError
        If the archive itself is damaged, unpacks to more than 8 GiB, or holds no such file.

    Notes
    -----
    Of an XSF file at most 64 MiB are read, whatever size the archive declares. Archives in archives are not
    opened.
    """
    seen: set[str] = set()
    ignored: list[str] = []
    found = False
    streams = _zip_streams if path.name.lower().endswith(".zip") else _tar_streams
    with _damage_as_input_error(path), tempfile.TemporaryDirectory() as folder:
        for name, stream, count in streams(path):
            pure = PurePosixPath(name.replace("\\", "/"))
            if is_hidden(pure.parts):
                continue
            is_xsf = pure.suffix.lower() == ".xsf"
            outside = pure.is_absolute() or ".." in pure.parts or ":" in "".join(pure.parts[:1])
            if outside or not name.isprintable():
                if is_xsf or format_of(Path(pure.name)) is not None:
                    found = True
                    yield name, InputError(f"{path}: expected paths inside the archive, got {name!a}")
                else:
                    ignored.append(name)
            elif str(pure) in seen:
                yield name, InputError(f"{path}: expected each member once, got {name!a} again")
            elif stream is None:
                if is_xsf:
                    seen.add(str(pure))
                    yield str(pure), InputError(f"{path}: expected a file, got a link: {name!a}")
            elif is_xsf:
                seen.add(str(pure))
                data = stream.read(MAX_BYTES + 1)
                count(len(data))
                yield str(pure), data
            elif (copy := _copied(pure.name, stream, Path(folder), count)) is not None:
                seen.add(str(pure))
                yield str(pure), copy
                copy.unlink(missing_ok=True)
            else:
                ignored.append(name)
    if ignored:
        log.info("%s: ignored %d members that hold no structures, e.g. %s", path, len(ignored), ignored[0])
    if not seen and not found:
        other = f"{len(ignored)} other files, e.g. {ignored[0]!a}" if ignored else "none"
        raise InputError(f"{path}: expected at least one XSF file or other structure, got {other}")


_Stream = tuple[str, IO[bytes] | None, Callable[[int], None]]


def _zip_streams(path: Path) -> Iterator[_Stream]:
    """Yield name, content and what counts the bytes that are read of it."""
    count = _Bound(path)
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                with archive.open(info) as file:
                    yield info.filename, file, count


def _tar_streams(path: Path) -> Iterator[_Stream]:
    count = _Bound(path)
    with tarfile.open(path, "r:*") as archive:
        for info in archive:
            # Members that are skipped are unpacked too, so the bound counts them.
            count(info.size)
            if not info.isdir():
                yield info.name, archive.extractfile(info) if info.isreg() else None, lambda _: None


def _copied(name: str, stream: IO[bytes], folder: Path, count: Callable[[int], None]) -> Path | None:
    """Unpack a member if its beginning is that of a known format; an ``.npz`` is known by its end."""
    copy = folder / name[-_LONGEST_NAME:]
    whole = name.lower().endswith(".npz")
    with copy.open("wb") as file:
        block = stream.read(HEAD_BYTES)
        while block:
            count(len(block))
            file.write(block)
            file.flush()
            if file.tell() <= HEAD_BYTES and not whole and format_of(copy) is None:
                break
            block = stream.read(2**20)
    if not is_archive(copy) and format_of(copy) is not None:
        return copy
    copy.unlink()
    return None


class _Bound:
    """Refuses to unpack more than `MAX_TOTAL_BYTES` of an archive."""

    def __init__(self, path: Path) -> None:
        self._path, self._total = path, 0

    def __call__(self, n_bytes: int) -> None:
        self._total += n_bytes
        if self._total > MAX_TOTAL_BYTES:
            raise InputError(
                f"{self._path}: expected at most {MAX_TOTAL_BYTES // 2**30} GiB unpacked, got more"
            )


@contextmanager
def _damage_as_input_error(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise InputError(f"{path}: expected a complete, unencrypted archive, got: {error}") from error
