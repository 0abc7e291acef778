"""Outputs of CP2K with printed coordinates, energies and forces (``ENERGY_FORCE``, ``FORCES ON``).

Owns their layout in all versions since 6. Trajectories of CP2K are files of their own, and not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.frames.declared_units import BOHR, GPA, HARTREE
from aenet_gpr_cli.io.frames.frame import (
    NOT_REACHED,
    Frame,
    LeftOut,
    check_finite,
    checked_cell,
    volume_of,
)
from aenet_gpr_cli.io.frames.stress import stresses_in
from aenet_gpr_cli.structures import FloatArray, Structure

_FLOAT = r"[-+]?\d*\.?\d+(?:[EeDd][-+]?\d+)?"
_VECTOR = re.compile(rf"CELL\| Vector ([abc]) \[angstrom\]:?\s+({_FLOAT})\s+({_FLOAT})\s+({_FLOAT})")
_PERIODIC = re.compile(r"CELL\| Periodicity\s+([XYZ]+|NONE)\s*$")
_ATOM = re.compile(rf"\s*\d+\s+\d+\s+([A-Z][a-z]?)\s+(\d+)\s+({_FLOAT})\s+({_FLOAT})\s+({_FLOAT})\s")
_ENERGY = re.compile(rf"ENERGY\| Total FORCE_EVAL.*?({_FLOAT})\s*$")
_FORCE = re.compile(
    rf"\s*(?:\d+\s+\d+\s+\S+|FORCES\|\s+\d+)\s+({_FLOAT})\s+({_FLOAT})\s+({_FLOAT})(?:\s+{_FLOAT})?\s*$"
)
_STRESS = re.compile(rf"\s*(?:STRESS\|)?\s+[XYZxyz]\s+({_FLOAT})\s+({_FLOAT})\s+({_FLOAT})\s*$")
_STATE = re.compile(r"DFT\| (Charge|Multiplicity)\s+([-+]?\d+)\s*$")
_TABLES = (
    ("atoms", re.compile(r"ATOMIC COORDINATES IN angstrom", re.IGNORECASE), _ATOM),
    ("forces", re.compile(r"ATOMIC FORCES in \[a\.u\.\]|FORCES\| Atomic forces \[hartree/bohr\]"), _FORCE),
    ("stress", re.compile(r"STRESS\| Analytical stress tensor \[GPa\]|^\s*STRESS TENSOR \[GPa\]"), _STRESS),
)


@dataclass(slots=True)
class _Calculation:
    cell: FloatArray
    pbc: tuple[bool, bool, bool]
    atoms: list[tuple[str, ...]] = field(default_factory=list)
    forces: list[tuple[str, ...]] = field(default_factory=list)
    stress: list[tuple[str, ...]] = field(default_factory=list)
    energy: float | None = None
    converged: bool = True
    further: int = 0  # steps of a relaxation or dynamics, whose coordinates are in another file


def iter_cp2k(path: Path, name: str, where: str) -> Iterator[Frame | LeftOut]:
    """Iterate over the calculations of an output: one for each printed table of coordinates.

    The printed stress is the negative of ours. A table without energy is a frame that was cut short. Energies
    of further steps belong to coordinates that are not in the output: the first one belongs to the table.

    Raises
    ------
    InputError
        If there are no coordinates, or numbers that cannot be read.
    """
    cell, pbc = np.zeros((3, 3)), (True, True, True)
    state: dict[str, float] = {}
    found: list[_Calculation] = []
    reading: tuple[str, re.Pattern[str]] | None = None
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if vector := _VECTOR.search(line):
                cell["abc".index(vector[1])] = [_float(text) for text in vector.groups()[1:]]
            elif periodic := _PERIODIC.search(line):
                pbc = ("X" in periodic[1], "Y" in periodic[1], "Z" in periodic[1])
            elif said := _STATE.search(line):
                state[said[1].lower()] = float(said[2])
            elif table := next(((key, row) for key, title, row in _TABLES if title.search(line)), None):
                reading = table
                if table[0] == "atoms":
                    found.append(_Calculation(cell.copy(), pbc))
                elif found and found[-1].further:
                    reading = None
                elif found:
                    getattr(found[-1], table[0]).clear()
            elif found and (energy := _ENERGY.search(line)):
                if found[-1].energy is None:
                    found[-1].energy = _float(energy[1])
                else:
                    found[-1].further += 1
                    reading = None
            elif found and "SCF run" in line and found[-1].energy is None:
                found[-1].converged = "NOT converged" not in line
            elif found and reading and (row := reading[1].match(line)):
                rows = getattr(found[-1], reading[0])
                if reading[0] != "stress" or len(rows) < 3:
                    rows.append(row.groups())
    if not found:
        raise InputError(
            f"{where}: expected coordinates, energies and forces in the output, got no coordinates in Å"
        )
    many = len(found) > 1
    for index, item in enumerate(found):
        label = f"{name}#{index}"
        cut_short = item is found[-1] and 0 < len(item.forces) < len(item.atoms)
        if item.energy is None or cut_short:
            yield LeftOut(label, "cut short")
            continue
        yield _frame(item, state, label, f"{where}, frame {index}" if many else where)
    for further in range(sum(item.further for item in found)):
        why = "a further step, whose coordinates are not in the output but in those of the trajectory"
        yield LeftOut(f"{name}#{len(found) + further}", why)


def _frame(
    item: _Calculation,
    state: dict[str, float],
    name: str,
    where: str,
) -> Frame:
    positions = np.array([[_float(text) for text in row[2:]] for row in item.atoms]).reshape(-1, 3)
    forces = np.array([[_float(text) for text in row] for row in item.forces]).reshape(-1, 3)
    if len(positions) == 0 or len(forces) not in (0, len(positions)):
        raise InputError(
            f"{where}: expected forces of the {len(positions)} atoms, got those of {len(forces)}; is the "
            "output complete?"
        )
    pbc = item.pbc
    full = checked_cell(item.cell, pbc, where)
    check_finite(where, position=positions, cell=full)
    from ase.data import chemical_symbols

    structure = Structure(
        tuple(chemical_symbols[int(row[1])] for row in item.atoms),
        positions,
        full,
        pbc if any(pbc) else (False, False, False),
        name=name,
        state=tuple(sorted(state.items())),
    )
    printed = np.array([[_float(text) for text in row] for row in item.stress])
    return Frame(
        structure,
        {} if item.energy is None else {"energy": item.energy * HARTREE},
        {} if len(forces) == 0 else {"forces": forces * HARTREE / BOHR},
        stresses_in({"stress": -printed * GPA}, volume_of(item.cell, pbc)),
        unconverged="" if item.converged else NOT_REACHED,
    )


def _float(text: str) -> float:
    return float(text.replace("D", "E").replace("d", "e"))
