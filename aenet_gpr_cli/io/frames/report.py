"""What was read from where: a few lines at the end of a data set.

Owns their wording. What is read is left to the readers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from aenet_gpr_cli.io.frames.frame import LeftOut
from aenet_gpr_cli.io.frames.labels import Labelled
from aenet_gpr_cli.io.frames.stress import is_virial
from aenet_gpr_cli.structures import Structure

MAX_LINES = 10
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class FileRead:
    """What one file gave.

    Attributes
    ----------
    source : str
        Label of the file or folder that it was given as.
    file_format : str
    used : sequence of Labelled
    left_out : sequence of LeftOut
    """

    source: str
    file_format: str
    used: Sequence[Labelled]
    left_out: Sequence[LeftOut] = ()


@dataclass(slots=True)
class DataSet:
    """Structures of all sources, and where they came from.

    Attributes
    ----------
    structures : list of Structure
    definition : str
        What the energies are; one for all.
    files : list of FileRead
    unknown : list of str
        Files that were not recognised, with what is known about them.
    bare : list of str
        Files that were not read, as they have no energies and others of their folder or archive may.
    """

    structures: list[Structure] = field(default_factory=list)
    definition: str = ""
    files: list[FileRead] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)

    @property
    def named_virial(self) -> bool:
        """Whether all that has a stress has it as a virial."""
        names = {item.stress_key for file in self.files for item in file.used} - {""}
        return bool(names) and all(map(is_virial, names))

    def lines(self) -> list[str]:
        """Return what was read and left out, at most ten lines and a count of the others."""
        rows: dict[tuple[str, ...], list[FileRead]] = defaultdict(list)
        for file in self.files:
            rows[(file.source, file.file_format, *_keys(file))].append(file)
        lines = [_line(key, files) for key, files in rows.items()]
        if len(lines) > MAX_LINES:
            lines = [*lines[: MAX_LINES - 1], f"read from {len(lines) - MAX_LINES + 1} more kinds of files"]
        return lines

    def warnings(self) -> list[str]:
        """Return what was left out by reason, and files that were not recognised."""
        by_reason: dict[str, list[str]] = defaultdict(list)
        for file in self.files:
            for item in file.left_out:
                by_reason[item.why].append(item.name)
        total = len(self.structures) + sum(map(len, by_reason.values()))
        found = [
            f"left out {len(names)} of {total} frames, {why}: {some(names)}"
            for why, names in by_reason.items()
        ]
        if self.unknown:
            found.append(
                f"{len(self.unknown)} files not read, their format is not known: {some(self.unknown)}"
            )
        if self.bare:
            found.append(
                f"{len(self.bare)} structures without energies (POSCAR, CIF) not read, as there are files of "
                f"other formats beside them: {some(self.bare)}; name them one by one where they are meant"
            )
        return found


def some(names: Sequence[str]) -> str:
    """Return the first of many names, and how many more there are."""
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _keys(file: FileRead) -> tuple[str, ...]:
    def of(values: Sequence[str]) -> str:
        return "/".join(sorted(set(values) - {""})) or "none"

    return (
        of([item.energy_key for item in file.used]),
        of([item.forces_key for item in file.used]),
        _stress(file),
        _units(file),
    )


def _units(file: FileRead) -> str:
    said = {item.units for item in file.used}
    return ("some " if "" in said and len(said) > 1 else "") + "/".join(sorted(said - {""}))


def _stress(file: FileRead) -> str:
    names = sorted({item.stress_key for item in file.used} - {""})
    if not names:
        return ""
    some_lack = any(not item.stress_key for item in file.used)
    return f"stress: {'/'.join(names)}{' (not in all)' if some_lack else ''}, "


def _line(key: tuple[str, ...], files: Sequence[FileRead]) -> str:
    source, file_format, energy, forces, stress, units = key
    used = sum(len(file.used) for file in files)
    why = Counter(item.why for file in files for item in file.left_out)
    left_out = sum(why.values())
    of = f"{used} of {used + left_out}" if left_out else f"{used}"
    many = f"{len(files)} files, " if len(files) > 1 else ""
    reasons = f"; left out: {', '.join(f'{n} × {reason}' for reason, n in why.items())}" if why else ""
    return (
        f"read {source}: {many}{file_format}, {of} frames; energy: {energy}, forces: {forces}, "
        f"{stress}{units or 'eV and Å'}{reasons}"
    )
