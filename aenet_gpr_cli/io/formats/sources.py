"""Any mix of files, folders and archives → structures with unique, stable names.

Owns finding the files, naming, and reporting all problems at once. The formats are left to `xsf`, `archives`,
`ase_reader` and `frames.extxyz`, which energy is meant to `frames.labels`; whether energies and forces are
needed, to `subsystems.label_checks.checks`.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.files import require_file, sha256_of
from aenet_gpr_cli.io.formats.archives import ARCHIVE_SUFFIXES, is_archive, is_hidden, iter_archive
from aenet_gpr_cli.io.formats.ase_reader import Incomplete, iter_ase
from aenet_gpr_cli.io.formats.published import resolve
from aenet_gpr_cli.io.formats.xsf import decode_xsf, parse_xsf_frames, read_xsf_frames
from aenet_gpr_cli.io.frames.frame import COLUMNS, TOTAL, Frame, LeftOut
from aenet_gpr_cli.io.frames.labels import NoSuchKey, label, one_definition, refuse
from aenet_gpr_cli.io.frames.recognise import (
    CP2K,
    DEEPMD,
    EXTXYZ,
    N2P2,
    NPZ,
    XSF,
    converter_of,
    format_of,
    looks_like_data,
    not_repeated,
    parts_of_deepmd,
    unpacked,
)
from aenet_gpr_cli.io.frames.report import DataSet, FileRead
from aenet_gpr_cli.io.readers.arrays import iter_npz
from aenet_gpr_cli.io.readers.cp2k import iter_cp2k
from aenet_gpr_cli.io.readers.deepmd import iter_deepmd
from aenet_gpr_cli.io.readers.extxyz import iter_extxyz
from aenet_gpr_cli.io.readers.n2p2 import iter_n2p2
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.structures import Structure
from aenet_gpr_cli.subsystems.grouping import natural_key
from aenet_gpr_cli.subsystems.reading_rules import ReadingRules
from aenet_gpr_cli.text import encodable

log = logging.getLogger(__name__)


LOOKED_FOR = (
    "*.xsf, *.xyz, *.extxyz, *.traj, *.db, *.npz, OUTCAR, vasprun.xml, outputs that ASE or we recognise, "
    "input.data of n2p2, folders of deepmd; files also as .gz, zip and tar"
)
_SHOWN_PROBLEMS = 5
_READERS: dict[str, Callable[[Path, str, str], Iterator[Frame | LeftOut]]] = {
    EXTXYZ: iter_extxyz,
    NPZ: iter_npz,
    CP2K: iter_cp2k,
    N2P2: iter_n2p2,
    DEEPMD: iter_deepmd,
}


def read_sources(paths: Sequence[Path | str], progress: Progress | None = None) -> list[Structure]:
    """Read all structures from files, folders and archives, whatever labels they have; see `read_data`.

    Returns
    -------
    list of Structure
        In the order of `paths`; within a source in natural order of the names.

    Raises
    ------
    InputError
        If a path is missing, holds no structure or is given twice, or if any file cannot be used:
        one message with the number of problems and the first five of them.
    """
    found = read_data(paths, None, progress)
    for line in found.warnings():
        log.warning("%s", line)
    return found.structures


def read_data(
    paths: Sequence[Path | str], rules: ReadingRules | None, progress: Progress | None = None
) -> DataSet:
    """Read all structures from files, folders and archives, with what was read from where.

    A folder is searched with all its subfolders, in natural order (``file_2`` before ``file_10``).
    XSF and XYZ go through our own readers, other formats through ASE. Hidden and macOS resource files are
    ignored. Names do not depend on the working folder: label of the source (see `source_labels`), path below
    it or member of the archive, and ``#frame`` in files of several frames.

    Parameters
    ----------
    paths : sequence of Path or str
        Also ``published:ec-dimer/train_set.zip``, see `published.resolve`.
    rules : ReadingRules or None
        Which energy and forces are meant and which frames are used; None where labels are not needed.
    progress : callable, optional
        Called with files done, files in total, and a message.

    Raises
    ------
    InputError
        As `read_sources`, and where the rules ask for it.
    """
    files, unknown = _find(paths)
    data = DataSet(unknown=unknown)
    problems: list[str] = []
    for done, (path, name, source) in enumerate(files):
        if progress:
            progress(done, len(files), f"reading {name}")
        try:
            found = _read_file(path, name, source, rules, problems)
        except InputError as error:
            problems.append(str(error))
            continue
        data.files += found
        used = [item.structure for file in found for item in file.used]
        data.structures += sorted(used, key=lambda s: natural_key(s.name))
    if progress:
        progress(len(files), len(files), f"read {len(data.structures)} structures")
    if problems:
        raise InputError(_summary(problems, len(problems) + len(data.structures)))
    if rules is not None:
        data.definition = one_definition([item for file in data.files for item in file.used], rules)
        if not data.structures:
            raise InputError("expected at least one usable frame, got none: " + "; ".join(data.warnings()))
    return data


def _read_file(
    path: Path, name: str, source: str, rules: ReadingRules | None, problems: list[str]
) -> list[FileRead]:
    require_file(path)
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{path}: expected a readable file, got: {error.strerror or error}") from error
    if is_archive(path):
        return _read_archive(path, name, source, rules, problems)
    file_format = format_of(path)
    if file_format is None:
        got = converter_of(path) or f"a file of unknown format '{path.suffix or path.name}'"
        raise InputError(f"{path}: expected {LOOKED_FOR} ({', '.join(ARCHIVE_SUFFIXES)}), got {got}")
    items = _read_or_left_out(path, name, str(path), file_format, rules)
    return [_labelled(items, rules, str(path), source, file_format)]


def _read_archive(
    path: Path, name: str, source: str, rules: ReadingRules | None, problems: list[str]
) -> list[FileRead]:
    """Read the members: all XSF files as one, which have no keys of their own, and each of the others."""
    xsf: list[Frame | LeftOut] = []
    found: dict[str, FileRead] = {}
    for member, content in iter_archive(path):
        where = f"{path}/{member}"
        try:
            if isinstance(content, InputError):
                raise content
            if isinstance(content, bytes):
                xsf += map(_unnamed, parse_xsf_frames(decode_xsf(content, where), f"{name}/{member}", where))
                continue
            file_format = format_of(content)
            assert file_format is not None  # `iter_archive` gives no others
            items = _read_or_left_out(content, f"{name}/{member}", where, file_format, rules)
            found[member] = _labelled(items, rules, where, source, f"{file_format} in an archive")
        except InputError as error:
            problems.append(str(error))
    kept = not_repeated([PurePosixPath(member) for member in found])
    files = [file for member, file in found.items() if PurePosixPath(member) in kept]
    return [_labelled(xsf, rules, str(path), source, "archive (XSF)"), *files] if xsf else files


def _read_or_left_out(
    path: Path, name: str, where: str, file_format: str, rules: ReadingRules | None
) -> list[Frame | LeftOut]:
    """Read a file; an output that is not complete is left out where the rules say so."""
    try:
        return list(_read(path, name, where, file_format))
    except Incomplete as error:
        if rules is None or rules.incomplete == "refuse":
            raise
        why = str(error).removeprefix(f"{where}: ")
        return [LeftOut(name, f"the file is not complete ({why})")]


def _labelled(
    items: Sequence[Frame | LeftOut], rules: ReadingRules | None, where: str, source: str, file_format: str
) -> FileRead:
    frames = [item for item in items if isinstance(item, Frame)]
    cut = [item for item in items if isinstance(item, LeftOut)]
    try:
        used, left_out = label(frames, rules, where)
    except NoSuchKey as error:  # another file may have it
        if rules is None or rules.incomplete == "refuse":
            raise
        used, left_out = [], [LeftOut(frame.structure.name, error.why) for frame in frames]
    if cut and rules is not None and rules.incomplete == "refuse":
        refuse(cut, len(items), "incomplete", where)
    return FileRead(source, file_format, used, [*left_out, *cut])


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


def _find(paths: Sequence[Path | str]) -> tuple[list[tuple[Path, str, str]], list[str]]:
    """Return (file, name, label of its source) of each file to read, and what is not recognised."""
    if not paths:
        raise InputError("expected at least one source of structures (file, folder or archive), got none")
    files: list[tuple[Path, str, str]] = []
    unknown: list[str] = []
    for given, source in zip(paths, source_labels(paths), strict=True):
        path = _existing(_resolve(given))
        if not path.is_dir():
            files.append((path, source, source))
            continue
        found, ignored = _walk(path)
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
        files += [
            (file, encodable(f"{source}/{file.relative_to(path).as_posix()}"), source) for file in found
        ]
    repeated = [path for path, times in Counter(path.resolve() for path, *_ in files).items() if times > 1]
    if repeated:
        raise InputError(f"{repeated[0]}: expected each file once, but several sources contain it")
    return files, unknown


def _walk(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return files that hold structures and others, in natural order; links to folders are followed."""
    found: list[Path] = []
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
            else:
                (found if is_archive(path) or format_of(path) else ignored).append(path)
    found = not_repeated(found)
    belonging = {part for path in found for part in _belonging(path)}
    ignored = [path for path in ignored if path not in belonging]
    first, second = (
        sorted(files, key=lambda path: natural_key(path.relative_to(folder).as_posix()))
        for files in (found, ignored)
    )
    return first, second


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


def _read(path: Path, name: str, where: str, file_format: str) -> Iterator[Frame | LeftOut]:
    with unpacked(path) as plain:
        if file_format == XSF:
            yield from map(_unnamed, read_xsf_frames(plain, name, where))
        elif file_format in _READERS:
            yield from _READERS[file_format](plain, name, where)
        else:
            yield from iter_ase(plain, file_format, name, where)


def _unnamed(structure: Structure) -> Frame:
    """Return a structure of a format that has one energy and one set of forces as a frame."""
    energies = {} if structure.energy is None else {TOTAL: structure.energy}
    forces = {} if structure.forces is None else {COLUMNS: structure.forces}
    return Frame(replace(structure, energy=None, forces=None), energies, forces)


def _resolve(path: Path | str) -> Path:
    return resolve(str(path))


def _existing(path: Path) -> Path:
    if not path.exists() and not path.is_symlink():
        raise InputError(f"{path}: expected a file, folder or archive of structures, but it does not exist")
    if not path.is_dir():
        require_file(path)
    return path


def _summary(problems: list[str], n_total: int) -> str:
    if len(problems) == 1:
        return problems[0]
    shown = [f"  {problem}" for problem in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > _SHOWN_PROBLEMS:
        shown.append(f"  and {len(problems) - _SHOWN_PROBLEMS} more")
    return "\n".join([f"{len(problems)} of {n_total} structures cannot be read:", *shown])


def _hash(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise InputError(f"{path}: cannot read: {error.strerror}") from error
