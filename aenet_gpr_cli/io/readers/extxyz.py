"""Extended and plain XYZ: every energy and force column of each frame, units as the header declares them.

Owns the layout of frames and columns. Which energy is meant is left to `labels`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.frames.declared_units import Factors, declared
from aenet_gpr_cli.io.frames.frame import (
    Frame,
    Incomplete,
    LeftOut,
    check_finite,
    checked_cell,
    energies_in,
    forces_in,
    group_in,
    is_number,
    moment_in,
    number,
    state_in,
    unconverged_in,
    volume_of,
)
from aenet_gpr_cli.io.frames.stress import stresses_in
from aenet_gpr_cli.io.frames.xyz_text import read_header
from aenet_gpr_cli.io.readers.symbols import Symbols
from aenet_gpr_cli.structures import FloatArray, Structure

_DEFAULT = "species:S:1:pos:R:3"
_CAPITALS = re.compile(r"(?<![\w-])(?:properties|lattice)(?=\s*=)", re.IGNORECASE)
_OF_CP2K = re.compile(r"\s*i =\s*\d+, time =\s*[\d.]+, E =\s*[-\d.]+\s*$")
_PAIR = re.compile(r"""(?<!\S)(?P<key>[\w-]+)\s*=\s*(?P<value>"[^"]*"|'[^']*'|\S+)""")
_ONCE = re.compile(r"energy|lattice|properties|pbc|charge|spin|unit", re.IGNORECASE)
# ASE takes no six numbers, and nine of other names only in quotes; it writes them as JSON
_STRESS = re.compile(
    r"""(?<![\w-])(?P<key>(?![\w-]*unit)[\w-]*(?:stress|virial)[\w-]*)\s*=\s*"""
    r"""(?P<value>"[^"]*"|'[^']*'|\{[^}]*\}|\[\s*\[.*?\]\s*\]|\[[^\]]*\]|\S+)""",
    re.IGNORECASE,
)


class _Cut(Exception):
    """The file ends within a frame."""


def iter_extxyz(path: Path, name: str, where: str, asked: Collection[str] = ()) -> Iterator[Frame | LeftOut]:
    """Iterate over the frames of an (extended) XYZ file; the last one may be cut short.

    Parameters
    ----------
    name : str
        Name of the source; frame i is called ``name#i``.
    where : str
        File for messages.
    asked : collection of str
        Names of an energy and of forces that are read, too, whatever they say.

    Raises
    ------
    InputError
        If a frame is not what its header says, a number is not finite, a unit is unknown, or no frame is
        complete.
    """
    symbols = Symbols(where)
    index = 0
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        lines = _Lines(file)
        while (start := _next_filled(lines)) is not None:
            try:
                frame = _frame(start, lines, f"{name}#{index}", f"{where}, frame {index}", symbols, asked)
            except _Cut as cut:
                if not index:
                    said = f"expected a complete file of format extxyz, got {cut}"
                    raise Incomplete(where, said, f"cut short ({cut})") from cut
                yield LeftOut(f"{name}#{index}", f"cut short ({cut})")
                return
            yield frame
            index += 1
    if not index:
        said = "expected at least one structure of format extxyz, got none"
        raise Incomplete(where, said, "the file holds no structure")
    symbols.finish()


class _Lines:
    """Lines with their numbers; one may be put back."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines, self._back = enumerate(lines, start=1), list[tuple[int, str]]()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> tuple[int, str]:
        return self._back.pop() if self._back else next(self._lines)

    def push(self, line: tuple[int, str]) -> None:
        self._back.append(line)


def _next_filled(lines: _Lines) -> tuple[int, str] | None:
    return next(((at, line) for at, line in lines if line.strip()), None)


def _frame(
    start: tuple[int, str], lines: _Lines, name: str, where: str, symbols: Symbols, asked: Collection[str]
) -> Frame:
    at, text = start
    first = text.split()
    if not first[0].isascii() or not first[0].isdecimal() or len(first[0]) > 9:
        raise InputError(f"{where} (line {at}): expected the number of atoms, got {text.strip()[:40]!a}")
    n_atoms = int(first[0])
    header = next(lines, None)
    if header is None:
        raise _Cut("no comment line")
    if _OF_CP2K.match(header[1]):
        raise InputError(
            f"{where}: expected energy and forces in extended XYZ, got a trajectory of CP2K, whose energies "
            "(E) are in Hartree and whose forces and cell are in other files; dpdata (format "
            "cp2k/aimd_output) puts them together"
        )
    info = _header(header[1], where, asked)
    columns = _columns(str(info.pop("Properties", _DEFAULT)), where)
    width = sum(count for _, _, count in columns)
    rows: list[list[str]] = []
    for _ in range(n_atoms):
        at, line = next(lines, (0, ""))
        tokens = line.split()
        if len(tokens) < width:
            if _next_filled(lines) is None:
                raise _Cut(f"{len(rows)} of {n_atoms} atoms")
            raise InputError(f"{where} (line {at}): expected {width} columns, got {len(tokens)}")
        rows.append(tokens)
    arrays = _arrays(rows, columns, where, asked)
    if n_atoms == 0:
        raise InputError(f"{where}: expected atoms of known elements, got no atoms")
    if "Z" in arrays:
        species = symbols.of_numbers(arrays["Z"], where)
    elif "species" in arrays:
        species = symbols.of_tokens(arrays["species"], where)
    else:
        raise InputError(f"{where}: expected a column species or Z, got {', '.join(arrays)}")
    positions = arrays.get("pos")
    if positions is None or positions.shape != (n_atoms, 3):
        raise InputError(f"{where}: expected a column pos:R:3, got {', '.join(arrays)}")
    cell, pbc = _lattice(info, lines, where)
    units = declared(info, where)
    frame = _converted(
        species, np.array(positions, float), cell, pbc, info, arrays, units, name, where, asked
    )
    threes = [key for key, kind, count in columns if count == 3 and kind in "RI" and key != "pos"]
    frame.other_columns = tuple(key for key in threes if key not in frame.forces)
    return frame


def _converted(
    species: tuple[str, ...],
    positions: FloatArray,
    cell: FloatArray | None,
    pbc: tuple[bool, bool, bool],
    info: dict[str, object],
    arrays: dict[str, Any],
    units: Factors,
    name: str,
    where: str,
    asked: Collection[str],
) -> Frame:
    """Return the frame in eV and Å; where nothing else is declared every number stays as it is."""
    energies, others = energies_in(info, asked)
    forces = forces_in(arrays, len(species), asked)
    units.require_forces_unit(bool(forces), where)
    if units.length != 1.0:
        positions, cell = positions * units.length, None if cell is None else cell * units.length
    if units.energy != 1.0:
        energies = {key: value * units.energy for key, value in energies.items()}
    if units.force != 1.0:
        forces = {key: value * units.force for key, value in forces.items()}
    full = None if cell is None else checked_cell(cell, pbc, where)
    stresses = stresses_in(info, volume_of(cell, pbc), units)
    check_finite(where, position=positions, cell=full)
    structure = Structure(
        species,
        positions,
        full,
        pbc,
        name=name,
        state=state_in(info),
        magnetic_moment=moment_in(info),
        group=group_in(info),
    )
    return Frame(
        structure, energies, forces, stresses, others, unconverged=unconverged_in(info), units=units.said
    )


def _header(line: str, where: str, asked: Collection[str]) -> dict[str, object]:
    stresses = {
        found["key"]: re.sub(r"_JSON|[\[\]{}\"',]", " ", found["value"]).replace("D", "E").split()
        for found in _STRESS.finditer(line)
    }
    line = _STRESS.sub(" ", line)
    _refuse_two_values(line, where, asked)
    line = _CAPITALS.sub(lambda found: found[0].capitalize(), line)
    try:
        return {**(read_header(line) if line.strip() else {}), **stresses}
    except Exception as error:  # whatever the comment of a plain XYZ file makes it raise
        if "Properties" in line or "Lattice" in line:
            raise InputError(f"{where}: expected key=value pairs in the header, got {error}") from error
        return {}


def _refuse_two_values(line: str, where: str, asked: Collection[str]) -> None:
    """Refuse a key that stands twice with different values: which one is taken would be chance."""
    values: dict[str, str] = {}
    for found in _PAIR.finditer(line):
        if found["key"] not in asked and not _ONCE.search(found["key"]):
            continue
        if values.setdefault(found["key"], found["value"]) != found["value"]:
            raise InputError(
                f"{where}: expected each key of the header once, got {found['key']} twice, with "
                f"{values[found['key']][:40]!a} and {found['value'][:40]!a}; remove one"
            )


def _columns(text: str, where: str) -> list[tuple[str, str, int]]:
    parts = text.split(":")
    try:
        found = [(n, k, int(c)) for n, k, c in zip(parts[::3], parts[1::3], parts[2::3], strict=True)]
    except ValueError:
        found = []
    if not found or any(kind not in "RISL" or not 0 < count < 1000 for _, kind, count in found):
        raise InputError(f"{where}: expected Properties=NAME:TYPE:COLUMNS:..., got {text[:60]!a}")
    return found


def _arrays(
    rows: list[list[str]], columns: list[tuple[str, str, int]], where: str, asked: Collection[str]
) -> dict[str, Any]:
    """Return what is read: text of species, numbers of Z and pos, what is called a force or asked for."""
    arrays: dict[str, Any] = {}
    start = 0
    for key, kind, count in columns:
        cells = [row[start : start + count] for row in rows]
        start += count
        if key == "species":
            arrays[key] = [tokens[0] for tokens in cells]
        elif key in ("Z", "pos") or (
            (kind == "R" and "force" in key.lower()) or (kind in "RI" and key in asked)
        ):
            values = _numbers(cells, key, where)
            arrays[key] = values[:, 0] if key == "Z" and count == 1 else values
    return arrays


def _numbers(cells: list[list[str]], key: str, where: str) -> FloatArray:
    try:
        return np.array([[float(token) for token in tokens] for tokens in cells])
    except ValueError:
        pass
    try:  # Fortran's double precision
        return np.array([[number(token) for token in tokens] for tokens in cells])
    except ValueError:
        row, bad = next(
            (i, token) for i, tokens in enumerate(cells) for token in tokens if not is_number(token)
        )
        why = ", which did not fit its column" if "**" in bad else ""
        raise InputError(
            f"{where}: expected numbers in the column {key}, got {bad[:20]!a}{why} (atom {row + 1})"
        ) from None


def _lattice(
    info: dict[str, object], lines: _Lines, where: str
) -> tuple[FloatArray | None, tuple[bool, bool, bool]]:
    """Return lattice vectors as rows and periodicity, from the header or from lines ``VEC1`` … below."""
    vectors = []
    for at, line in lines:
        if not re.match(r"\s*VEC[123]\s", line):
            lines.push((at, line))
            break
        vectors.append(line.split()[1:4])
    flags = info.get("pbc")
    try:
        if vectors:
            cell = np.zeros((3, 3))
            cell[: len(vectors)] = np.array(vectors, float)
            return cell, (True, len(vectors) > 1, len(vectors) > 2)
        # the vectors stand one after another; ASE gives them as columns
        lattice = info.get("Lattice")
        cell = np.zeros((3, 3)) if lattice is None else np.array(lattice, float).reshape(3, 3).T
    except ValueError:
        raise InputError(f"{where}: expected nine numbers in Lattice, got something else") from None
    if flags is None:
        return cell, (lattice is not None, lattice is not None, lattice is not None)
    given = np.ravel(np.array(flags)).tolist()
    given = given * 3 if len(given) == 1 else given
    if len(given) != 3 or not all(isinstance(flag, (bool, int)) for flag in given):
        raise InputError(f"{where}: expected pbc of three values T or F, got {flags!a}")
    return cell, (bool(given[0]), bool(given[1]), bool(given[2]))
