"""Any mix of files, folders and archives → structures with unique, stable names.

Owns finding the files, naming, and reporting all problems at once. The formats are left to `xsf`,
`archives` and `ase_reader`; whether energies and forces are needed, to `subsystems.checks`.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.files import require_file, sha256_of
from aenet_gpr_cli.io.formats.archives import ARCHIVE_SUFFIXES, is_archive, is_hidden, iter_archive
from aenet_gpr_cli.io.formats.ase_reader import MAYBE_SUFFIXES, OUTPUT_NAMES, SUFFIXES, ase_format, iter_ase
from aenet_gpr_cli.io.formats.published import resolve
from aenet_gpr_cli.io.formats.xsf import decode_xsf, parse_xsf, read_xsf
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.structures import Structure
from aenet_gpr_cli.subsystems.grouping import natural_key

log = logging.getLogger(__name__)


LOOKED_FOR = "*.xsf, *.xyz, *.extxyz, *.traj, OUTCAR, vasprun.xml, outputs that ASE recognises, zip and tar"
_SHOWN_PROBLEMS = 5


def read_sources(paths: Sequence[Path | str], progress: Progress | None = None) -> list[Structure]:
    """Read all structures from files, folders and archives.

    A folder is searched with all its subfolders, in natural order (``file_2`` before ``file_10``).
    XSF goes through our own reader, other formats through ASE (see `ase_reader.iter_ase` for where their
    energies and forces come from). Hidden and macOS resource files are ignored. Names do not depend on
    the working folder: label of the source (see `source_labels`), path below it or member of the
    archive, and ``#frame`` in files of several frames.

    Parameters
    ----------
    paths : sequence of Path or str
        Also ``published:ec-dimer/train_set.zip``, see `published.resolve`.
    progress : callable, optional
        Called with files done, files in total, and a message.

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
    files = _find(paths)
    structures: list[Structure] = []
    problems: list[str] = []
    for done, (path, name) in enumerate(files):
        if progress:
            progress(done, len(files), f"reading {name}")
        found: list[Structure] = []
        try:
            for item in _read(path, name):
                if isinstance(item, InputError):
                    problems.append(str(item))
                else:
                    found.append(item)
        except InputError as error:
            problems.append(str(error))
        structures += sorted(found, key=lambda s: natural_key(s.name))
    if progress:
        progress(len(files), len(files), f"read {len(structures)} structures")
    if problems:
        raise InputError(_summary(problems, len(problems) + len(structures)))
    return structures


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
    labels = [path.name or path.anchor for path in resolved]
    depth = 1
    while len(set(labels)) < len(labels):
        depth += 1
        shared = {label for label, times in Counter(labels).items() if times > 1}
        labels = [
            "/".join(path.parts[-depth:]) if label in shared else label
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
            for file in _walk(path):
                total.update(f"{file.relative_to(path).as_posix()}\0{_hash(file)}\n".encode())
            hashes[str(given)] = total.hexdigest()
        else:
            hashes[str(given)] = _hash(path)
    return hashes


def _find(paths: Sequence[Path | str]) -> list[tuple[Path, str]]:
    """Return (file, name) of every file to read; the file is unique."""
    if not paths:
        raise InputError("expected at least one source of structures (file, folder or archive), got none")
    files: list[tuple[Path, str]] = []
    for given, label in zip(paths, source_labels(paths), strict=True):
        path = _existing(_resolve(given))
        if not path.is_dir():
            files.append((path, label))
            continue
        found = _walk(path)
        if not found:
            raise InputError(f"{path}: expected at least one structure, looked for {LOOKED_FOR}, got none")
        files += [(file, f"{label}/{file.relative_to(path).as_posix()}") for file in found]
    repeated = [path for path, times in Counter(path.resolve() for path, _ in files).items() if times > 1]
    if repeated:
        raise InputError(f"{repeated[0]}: expected each file once, but several sources contain it")
    return files


def _walk(folder: Path) -> list[Path]:
    """Return the files of a folder that hold structures, in natural order; links to folders are followed."""
    found: list[Path] = []
    ignored: list[Path] = []
    visited: set[Path] = set()
    pending = [folder]
    while pending:
        here = pending.pop()
        if here.resolve() in visited:  # a loop of links
            continue
        visited.add(here.resolve())
        for path in here.iterdir():
            if is_hidden((path.name,)):
                continue
            if path.is_dir():
                pending.append(path)
            else:
                (found if _is_candidate(path) else ignored).append(path)
    both = {path.parent for path in found if path.name.lower() == "vasprun.xml"}
    found = [path for path in found if path.name != "OUTCAR" or path.parent not in both]  # the same frames
    if ignored:
        log.info(
            "%s: ignored %d files that hold no structures, e.g. %s", folder, len(ignored), ignored[0].name
        )
    return sorted(found, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def _is_candidate(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix == ".xsf" or suffix in SUFFIXES or path.name.lower() in OUTPUT_NAMES or is_archive(path):
        return True
    return suffix in MAYBE_SUFFIXES and path.is_file() and ase_format(path) is not None


def _read(path: Path, name: str) -> Iterator[Structure | InputError]:
    require_file(path)
    if path.suffix.lower() in (".xsf", ".axsf"):
        yield read_xsf(path, name)
    elif is_archive(path):
        for member, content in iter_archive(path):
            yield _read_member(content, f"{name}/{member}", f"{path}/{member}")
    else:
        file_format = ase_format(path)
        if file_format is None:
            got = f"a file of unknown format '{path.suffix or path.name}'"
            raise InputError(f"{path}: expected {LOOKED_FOR} ({', '.join(ARCHIVE_SUFFIXES)}), got {got}")
        yield from iter_ase(path, file_format, name)


def _read_member(content: bytes | InputError, name: str, where: str) -> Structure | InputError:
    if isinstance(content, InputError):
        return content
    try:
        return parse_xsf(decode_xsf(content, where), name, where)
    except InputError as error:
        return error


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
