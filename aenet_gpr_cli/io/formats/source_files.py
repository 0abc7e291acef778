"""Which files of folders, archives and other sources are read, how they are called, and their hashes.

Owns finding and naming. What is in them is left to `sources`.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.files import require_file, sha256_of
from aenet_gpr_cli.io.formats.archives import is_archive, is_hidden
from aenet_gpr_cli.io.formats.published import resolve
from aenet_gpr_cli.io.frames.recognise import (
    converter_of,
    format_of,
    looks_like_data,
    parts_of_deepmd,
    to_read,
)
from aenet_gpr_cli.subsystems.grouping import natural_key
from aenet_gpr_cli.text import encodable

log = logging.getLogger(__name__)

LOOKED_FOR = (
    "*.xsf, *.xyz, *.extxyz, *.traj, *.db, *.npz, OUTCAR, vasprun.xml, outputs that ASE or we recognise, "
    "input.data of n2p2, folders of deepmd; without energies POSCAR, CONTCAR, *.vasp, *.cif; files also as "
    ".gz, zip and tar"
)


def source_labels(paths: Sequence[Path | str]) -> list[str]:
    """Return the label of each source, with which the names of its structures begin.

    The label is the last part of the path; where two sources share it, enough of the folders
    above to tell them apart.

    Returns
    -------
    list of str
        One label per path.

    Raises
    ------
    InputError
        If the same source is given twice.
    """
    resolved = [Path(os.path.realpath(_resolve(path))) for path in paths]  # a loop of links is no error yet
    for path, times in Counter(resolved).items():
        if times > 1:
            raise InputError(f"{path}: expected each source once, got it {times} times")
    labels = [encodable(path.name or path.anchor) for path in resolved]
    depth = 1
    while len(set(labels)) < len(labels):
        depth += 1
        shared = {label for label, times in Counter(labels).items() if times > 1}
        labels = [
            encodable("/".join(path.parts[-depth:])) if label in shared else label
            for label, path in zip(labels, resolved, strict=True)
        ]
    return labels


def source_hashes(paths: Sequence[Path | str]) -> dict[str, str]:
    """Return the SHA-256 of each source, to record where data came from.

    A file or archive is hashed by content; a folder by the relative names and the contents of the
    files that `read_sources` would read in it, so that a new README changes nothing.

    Returns
    -------
    dict of str to str
        Path as given → hexadecimal SHA-256.

    Raises
    ------
    InputError
        If a path is missing or cannot be read.
    """
    hashes = {}
    for given in paths:
        path = _existing(_resolve(given))
        if path.is_dir():
            total = hashlib.sha256()
            for file in (part for found in _walk(path)[0] for part in (found, *_belonging(found))):
                name = encodable(file.relative_to(path).as_posix())
                total.update(f"{name}\0{_hash(file)}\n".encode())
            hashes[str(given)] = total.hexdigest()
        else:
            parts = [_hash(file) for file in (path, *_belonging(path))]
            hashes[str(given)] = (
                parts[0] if len(parts) == 1 else hashlib.sha256(" ".join(parts).encode()).hexdigest()
            )
    return hashes


def find_files(paths: Sequence[Path | str]) -> tuple[list[tuple[Path, str, str]], list[str], list[str]]:
    """Return (file, name, label of its source) of each file to read, what is not recognised, what is bare.

    Bare are structures without energies that are not read, as there are others in their folder.
    """
    if not paths:
        raise InputError("expected at least one source of structures (file, folder or archive), got none")
    files: list[tuple[Path, str, str]] = []
    unknown: list[str] = []
    bare: list[str] = []
    for given, source in zip(paths, source_labels(paths), strict=True):
        path = _existing(_resolve(given))
        if not path.is_dir():
            files.append((path, source, source))
            continue
        found, ignored, beside = _walk(path)
        strange = [other for other in ignored if looks_like_data(other)]
        named = [encodable(f"{source}/{other.relative_to(path).as_posix()}") for other in strange]
        named = [
            f"{n} ({how})" if (how := converter_of(p)) else n for n, p in zip(named, strange, strict=True)
        ]
        if not found:
            got = f"{len(named)} files of other formats, e.g. {named[0]}" if named else "none"
            raise InputError(f"{path}: expected at least one structure, looked for {LOOKED_FOR}, got {got}")
        if len(ignored) > len(strange):
            log.info("%s: %d other files are not structures", path, len(ignored) - len(strange))
        unknown += named
        bare += [encodable(f"{source}/{other.relative_to(path).as_posix()}") for other in beside]
        files += [
            (file, encodable(f"{source}/{file.relative_to(path).as_posix()}"), source) for file in found
        ]
    repeated = [path for path, times in Counter(path.resolve() for path, *_ in files).items() if times > 1]
    if repeated:
        raise InputError(f"{repeated[0]}: expected each file once, but several sources contain it")
    return files, unknown, bare


def _walk(folder: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """Return files to read, others, and bare structures (see `to_read`), in natural order.

    Links to folders are followed.
    """
    formats: dict[Path, str] = {}
    ignored: list[Path] = []
    visited: set[Path] = set()
    pending = [folder]
    while pending:
        here = pending.pop()
        if here.resolve() in visited:  # a loop of links
            continue
        visited.add(here.resolve())
        for path in _listed(here):
            if is_hidden((path.name,)):
                continue
            if path.is_dir():
                pending.append(path)
            elif (found_format := "archive" if is_archive(path) else format_of(path)) is not None:
                formats[path] = found_format
            else:
                ignored.append(path)
    found, bare = to_read(formats)
    belonging = {part for path in found for part in _belonging(path)}
    ignored = [path for path in ignored if path not in belonging]
    first, second, third = (
        sorted(files, key=lambda path: natural_key(path.relative_to(folder).as_posix()))
        for files in (found, ignored, bare)
    )
    return first, second, third


def _belonging(path: Path) -> list[Path]:
    """Return the files that are read with this one."""
    return parts_of_deepmd(path) if path.name.lower() == "type.raw" else []


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(
            f"{folder}: expected a readable folder, got: {why}; change its permissions or move it elsewhere"
        ) from error


def _resolve(path: Path | str) -> Path:
    return resolve(str(path))


def _existing(path: Path) -> Path:
    if not path.exists() and not path.is_symlink():
        raise InputError(f"{path}: expected a file, folder or archive of structures, but it does not exist")
    if not path.is_dir():
        require_file(path)
    return path


def _hash(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise InputError(f"{path}: cannot read: {error.strerror}") from error
