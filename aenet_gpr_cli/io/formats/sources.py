"""Any mix of files, folders and archives → structures with unique, stable names.

Owns reporting all problems at once. Finding and naming is left to `source_files`, the formats to `xsf`,
`archives` and `readers`, which energy is meant to `frames.labels`; whether energies and forces are needed, to
`subsystems.label_checks`.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.files import require_file
from aenet_gpr_cli.io.formats.archives import ARCHIVE_SUFFIXES, is_archive, iter_archive
from aenet_gpr_cli.io.formats.source_files import LOOKED_FOR, find_files
from aenet_gpr_cli.io.formats.xsf import decode_xsf, parse_xsf_frames, read_xsf_frames
from aenet_gpr_cli.io.frames.frame import COLUMNS, TOTAL, Frame, Incomplete, LeftOut
from aenet_gpr_cli.io.frames.labels import NoSuchKey, label, one_definition, refuse, say_no_stress
from aenet_gpr_cli.io.frames.recognise import (
    BARE_FORMATS,
    CP2K,
    DEEPMD,
    EXTXYZ,
    N2P2,
    NPZ,
    XSF,
    converter_of,
    format_of,
    to_read,
    unpacked,
)
from aenet_gpr_cli.io.frames.report import DataSet, FileRead
from aenet_gpr_cli.io.readers.arrays import iter_npz
from aenet_gpr_cli.io.readers.ase_reader import iter_ase
from aenet_gpr_cli.io.readers.bare_structures import iter_bare
from aenet_gpr_cli.io.readers.cp2k import iter_cp2k
from aenet_gpr_cli.io.readers.deepmd import iter_deepmd
from aenet_gpr_cli.io.readers.extxyz import iter_extxyz
from aenet_gpr_cli.io.readers.n2p2 import iter_n2p2
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.structures import Structure, StructureSet
from aenet_gpr_cli.subsystems.grouping import natural_key
from aenet_gpr_cli.subsystems.reading_rules import ReadingRules
from aenet_gpr_cli.text import encodable

log = logging.getLogger(__name__)


_SHOWN_PROBLEMS = 5
_REMEDY = (
    "\nmend what is named, or move it elsewhere: of folders and archives all is read that may hold structures"
)
_READERS: dict[str, Callable[[Path, str, str], Iterator[Frame | LeftOut]]] = {
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
    files, unknown, bare = find_files(paths)
    data = DataSet(unknown=unknown, bare=bare)
    problems: list[str] = []
    for done, (path, name, source) in enumerate(files):
        if progress:
            progress(done, len(files), f"reading {name}")
        try:
            found = _read_file(path, name, source, rules, problems, data.bare)
        except InputError as error:
            problems.append(str(error))
            continue
        data.files += found
        used = [item.structure for file in found for item in file.used]
        data.structures += sorted(used, key=lambda s: natural_key(s.name))
    if progress:
        progress(len(files), len(files), f"read {len(data.structures)} structures")
    if problems:
        several = len(files) > 1 or bool(data.structures)
        raise InputError(
            _summary(problems, len(problems) + len(data.structures)) + (_REMEDY if several else "")
        )
    if rules is not None:
        _leave_out_atoms_at_one_place(data, rules)
        used_frames = [item for file in data.files for item in file.used]
        data.definition = one_definition(used_frames, rules)
        say_no_stress(used_frames, rules)
        if not data.structures:
            said = "; ".join(data.warnings())
            raise InputError(
                f"expected at least one usable frame, got none: {said}; finish these calculations, name "
                "files or folders with others, or mend energy_key and forces_key"
            )
    return data


def _leave_out_atoms_at_one_place(data: DataSet, rules: ReadingRules) -> None:
    """Leave out frames with two atoms at one place, of which no calculation gives an energy.

    Raises
    ------
    InputError
        Where the rules refuse them.
    """
    from aenet_gpr_cli.subsystems.contacts import at_one_place  # loads compiled code

    alike: dict[object, list[Structure]] = defaultdict(list)
    for s in data.structures:
        if s.n_atoms > 1:
            alike[s.species, s.pbc, s.cell is None].append(s)
    found = {
        members[n].name: f"atoms {i} and {j} are at one place"
        for members in alike.values()
        for n, i, j, _ in at_one_place(StructureSet.from_structures(members))
    }
    if not found:
        return
    if rules.incomplete == "refuse":
        names = [LeftOut(name, why) for name, why in found.items()]
        refuse(names, len(data.structures), "incomplete", "all files")
    data.structures = [s for s in data.structures if s.name not in found]
    for k, file in enumerate(data.files):
        out = [
            LeftOut(i.structure.name, found[i.structure.name]) for i in file.used if i.structure.name in found
        ]
        if out:
            used = [item for item in file.used if item.structure.name not in found]
            data.files[k] = replace(file, used=used, left_out=[*file.left_out, *out])


def _read_file(
    path: Path, name: str, source: str, rules: ReadingRules | None, problems: list[str], bare: list[str]
) -> list[FileRead]:
    require_file(path)
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{path}: expected a readable file, got: {error.strerror or error}") from error
    if is_archive(path):
        return _read_archive(path, name, source, rules, problems, bare)
    file_format = format_of(path)
    if file_format is None:
        got = converter_of(path) or f"a file of unknown format '{path.suffix or path.name}'"
        raise InputError(f"{path}: expected {LOOKED_FOR} ({', '.join(ARCHIVE_SUFFIXES)}), got {got}")
    items = _read_or_left_out(path, name, str(path), file_format, rules)
    return [_labelled(items, rules, str(path), source, file_format)]


def _read_archive(
    path: Path, name: str, source: str, rules: ReadingRules | None, problems: list[str], bare: list[str]
) -> list[FileRead]:
    """Read the members: all XSF files as one, which have no keys of their own, and each of the others."""
    xsf: list[Frame | LeftOut] = []
    found: dict[str, FileRead] = {}
    formats: dict[PurePosixPath, str] = {}
    failed: dict[PurePosixPath, str] = {}
    for member, content in iter_archive(path):
        where = f"{path}/{member}"
        try:
            if isinstance(content, InputError):
                raise content
            if isinstance(content, bytes):
                formats[PurePosixPath(member)] = XSF
                xsf += map(_unnamed, parse_xsf_frames(decode_xsf(content, where), f"{name}/{member}", where))
                continue
            file_format = format_of(content)
            assert file_format is not None  # `iter_archive` gives no others
            formats[PurePosixPath(member)] = file_format
            items = _read_or_left_out(content, f"{name}/{member}", where, file_format, rules)
            found[member] = _labelled(items, rules, where, source, f"{file_format} in an archive")
        except InputError as error:
            failed[PurePosixPath(member)] = str(error)
    kept, beside = to_read(formats)
    problems += [why for member, why in failed.items() if member in kept or member not in formats]
    bare += [encodable(f"{name}/{member}") for member in beside]
    files = [file for member, file in found.items() if PurePosixPath(member) in kept]
    return [_labelled(xsf, rules, str(path), source, "archive (XSF)"), *files] if xsf else files


def _read_or_left_out(
    path: Path, name: str, where: str, file_format: str, rules: ReadingRules | None
) -> list[Frame | LeftOut]:
    """Read a file; an output that is not complete is left out where the rules say so."""
    try:
        return list(_read(path, name, where, file_format, rules))
    except Incomplete as error:
        if rules is None or rules.incomplete == "refuse":
            raise
        return [LeftOut(name, error.why)]


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


def _read(
    path: Path, name: str, where: str, file_format: str, rules: ReadingRules | None
) -> Iterator[Frame | LeftOut]:
    keys = () if rules is None else (rules.energy_key, rules.forces_key)
    asked = [key for key in keys if key]
    with unpacked(path) as plain:
        if file_format == XSF:
            yield from map(_unnamed, read_xsf_frames(plain, name, where))
        elif file_format == EXTXYZ:
            yield from iter_extxyz(plain, name, where, asked)
        elif file_format in _READERS:
            yield from _READERS[file_format](plain, name, where)
        elif file_format in BARE_FORMATS:
            yield from iter_bare(plain, file_format, name, where)
        else:
            yield from iter_ase(plain, file_format, name, where, asked)


def _unnamed(structure: Structure) -> Frame:
    """Return a structure of a format that has one energy and one set of forces as a frame."""
    energies = {} if structure.energy is None else {TOTAL: structure.energy}
    forces = {} if structure.forces is None else {COLUMNS: structure.forces}
    return Frame(replace(structure, energy=None, forces=None), energies, forces)


def _summary(problems: list[str], n_total: int) -> str:
    if len(problems) == 1:
        return problems[0]
    shown = [f"  {problem}" for problem in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > _SHOWN_PROBLEMS:
        shown.append(f"  and {len(problems) - _SHOWN_PROBLEMS} more")
    return "\n".join([f"{len(problems)} of {n_total} structures cannot be read:", *shown])
