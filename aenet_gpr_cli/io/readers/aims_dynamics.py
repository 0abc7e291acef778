"""Structures of molecular dynamics in outputs of FHI-aims, which ASE takes for isolated ones.

The output repeats atoms after each step without their lattice vectors, and the last ones under another title;
ASE gives frames without cell, and the last one at the positions of the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aenet_gpr_cli.structures import FloatArray

if TYPE_CHECKING:
    from ase import Atoms

_TITLE = re.compile(r"tomic structure \(and velocities\) as used in the preceding time step")
_ATOM = re.compile(r"\s*atom\s+(\S+)\s+(\S+)\s+(\S+)\s+([A-Z][a-z]?)\s*$")


def with_structures(frames: Iterable[Atoms], path: Path) -> Iterator[Atoms]:
    """Iterate over frames of ASE, those of dynamics at their own positions and in the cell of the input.

    A frame whose positions are not in the file, as where it ends, loses its energy.
    """
    cell, steps = _steps(path)
    for index, atoms in enumerate(frames):
        if steps:
            if not atoms.cell.any() and cell is not None:
                atoms.set_cell(cell)
                atoms.pbc = True
            if index < len(steps) and len(steps[index]) == len(atoms):
                atoms.positions[:] = steps[index]
            else:
                atoms.calc = None
        yield atoms


def _steps(path: Path) -> tuple[FloatArray | None, list[FloatArray]]:
    """Return the lattice vectors of the input, as rows in Å, and the positions of each step in Å."""
    cell: list[list[float]] = []
    steps: list[list[list[float]]] = []
    in_cell = in_step = False
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if in_cell and len(cell) < 3:
                cell.append([float(word) for word in line.split()[1:4]])
            elif "| Unit cell:" in line and not cell:
                in_cell = True
            elif _TITLE.search(line):
                steps.append([])
                in_step = True
            elif in_step and (atom := _ATOM.match(line)):
                steps[-1].append([float(word) for word in atom.groups()[:3]])
            elif in_step and line.startswith("---") and steps[-1]:
                in_step = False
    return np.array(cell) if len(cell) == 3 else None, [np.array(step) for step in steps]
