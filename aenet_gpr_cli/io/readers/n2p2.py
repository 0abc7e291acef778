"""``input.data`` of n2p2 and RuNNer: ``begin`` … ``end``, one line per atom."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.frames.declared_units import Factors, declared
from aenet_gpr_cli.io.frames.frame import (
    COLUMNS,
    TOTAL,
    Frame,
    Incomplete,
    LeftOut,
    check_finite,
    checked_cell,
    unconverged_in,
)
from aenet_gpr_cli.structures import Structure

log = logging.getLogger(__name__)

_USUAL = {"energy_unit": "Hartree", "length_unit": "Bohr", "force_unit": "Hartree/Bohr"}
_KEYS = {"begin": 0, "comment": 0, "lattice": 3, "atom": 9, "energy": 1, "charge": 1, "end": 0}


def iter_n2p2(path: Path, name: str, where: str) -> Iterator[Frame | LeftOut]:
    """Iterate over the structures; the last one may be cut short.

    Units are those of a comment (``comment energy-unit=eV length-unit=Å force-unit=eV/Å``), else Hartree and
    Bohr, which is said: the file itself has none. Three lattice vectors make a structure periodic.

    Raises
    ------
    InputError
        Naming the line that is not what it should be.
    """
    lines: list[tuple[int, list[str]]] | None = None
    index = 0
    said = False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, text in enumerate(file, start=1):
            words = text.split()
            if not words or words[0].startswith("#"):
                continue
            keyword = words[0].lower()
            if keyword not in _KEYS or (lines is None) != (keyword == "begin"):
                expected = "begin" if lines is None else "atom, lattice, energy, charge, comment or end"
                raise InputError(f"{where}:{number}: expected {expected}, got {text.strip()[:40]!a}")
            if keyword == "begin":
                lines = []
            elif keyword == "end":
                assert lines is not None
                frame = _frame(lines, f"{name}#{index}", where, number)
                if frame.units == _assumed().said and not said:
                    said = True
                    log.warning(
                        "%s: no units in the file, read as Hartree and Bohr (usual for n2p2 and RuNNer); "
                        "for others write 'comment energy-unit=eV length-unit=Å force-unit=eV/Å' after begin",
                        where,
                    )
                yield frame
                lines, index = None, index + 1
            else:
                assert lines is not None
                lines.append((number, words))
    if lines is not None:
        if not index:
            problem = "expected begin ... end, got the end of the file within the first"
            raise Incomplete(where, problem, "cut short")
        yield LeftOut(f"{name}#{index}", "cut short")
    elif not index:
        raise Incomplete(where, "expected at least one structure, got none", "the file holds no structure")


def _assumed() -> Factors:
    return declared(_USUAL, "")


def _frame(lines: list[tuple[int, list[str]]], name: str, where: str, end: int) -> Frame:
    comments = " ".join(word for _, words in lines if words[0] == "comment" for word in words[1:])
    given = dict(pair.split("=", 1) for pair in comments.split() if pair.count("=") == 1)
    units = declared(given, where)
    if units == Factors() and not any("unit" in key.lower() for key in given):
        units = _assumed()
    species: list[str] = []
    rows: list[list[float]] = []
    vectors: list[list[float]] = []
    single: dict[str, float] = {}
    for number, words in lines:
        keyword, values = words[0].lower(), words[1:]
        if keyword == "comment":
            continue
        if keyword == "atom" and len(values) == _KEYS["atom"]:
            species.append(values.pop(3).capitalize())
        numbers = _numbers(values, where, number)
        expected = _KEYS[keyword] - (keyword == "atom")
        if len(numbers) != expected:
            raise InputError(
                f"{where}:{number}: expected {expected} numbers after {keyword}, got {len(numbers)}"
            )
        if keyword in ("atom", "lattice"):
            (rows if keyword == "atom" else vectors).append(numbers)
        else:
            single[keyword] = numbers[0]
    if not rows or len(vectors) not in (0, 3):
        raise InputError(
            f"{where}:{end}: expected atoms and 0 or 3 lattice vectors, got {len(rows)} and {len(vectors)}"
        )
    unknown = sorted(set(species) - _known())
    if unknown:
        raise InputError(f"{where}:{end}: expected atoms of known elements, got {unknown[0][:20]!a}")
    table = np.array(rows)  # x y z charge unused fx fy fz
    periodic = bool(vectors)
    cell = checked_cell(np.array(vectors) * units.length, (True,) * 3, where) if periodic else None
    positions = table[:, :3] * units.length
    check_finite(f"{where}:{end}", position=positions)
    structure = Structure(
        tuple(species),
        positions,
        cell,
        (periodic, periodic, periodic),
        name=name,
        state=(("charge", single["charge"]),) if "charge" in single else (),
    )
    energies = {TOTAL: single["energy"] * units.energy} if "energy" in single else {}
    return Frame(
        structure,
        energies,
        {COLUMNS: table[:, 5:] * units.force},
        unconverged=unconverged_in(given),
        units=units.said,
    )


def _numbers(values: list[str], where: str, number: int) -> list[float]:
    try:
        return [float(text.replace("D", "E").replace("d", "e")) for text in values]
    except ValueError as error:
        raise InputError(f"{where}:{number}: expected numbers, got {error}") from error


def _known() -> set[str]:
    from ase.data import chemical_symbols

    return set(chemical_symbols[1:])
