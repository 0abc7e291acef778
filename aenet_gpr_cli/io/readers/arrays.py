"""Structures in arrays of numpy: sGDML and rMD17 (``.npz``).

Owns their names and units. Nothing is unpickled.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.frames.declared_units import declared
from aenet_gpr_cli.io.frames.frame import COLUMNS, TOTAL, Frame, check_finite, checked_cell
from aenet_gpr_cli.structures import FloatArray, Structure

_RMD17 = {"nuclear_charges": "z", "coords": "R", "energies": "E", "forces": "F"}
_DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile)


def iter_npz(path: Path, name: str, where: str) -> Iterator[Frame]:
    """Iterate over the structures of an ``.npz`` file of sGDML (``z R E F``) or rMD17.

    Units are those of ``e_unit`` and ``r_unit``; without them kcal/mol and Å, as in all published sets.

    Raises
    ------
    InputError
        If arrays are missing, have other shapes, or the file is damaged.
    """
    data = _loaded(path, where)
    found = {_RMD17.get(key, key): value for key, value in data.items()}
    missing = [key for key in ("z", "R", "E") if key not in found]
    if missing:
        raise InputError(
            f"{where}: expected the arrays z, R, E, F (sGDML) or nuclear_charges, coords, energies, forces "
            f"(rMD17), got {', '.join(data) or 'none'}"
        )
    e_unit, r_unit = (
        str(found.get(key, default)) for key, default in (("e_unit", "kcal/mol"), ("r_unit", "Ang"))
    )
    units = declared(
        {"energy_unit": e_unit, "length_unit": r_unit, "force_unit": f"{e_unit}/{r_unit}"}, where
    )
    positions = np.asarray(found["R"], float) * units.length
    energies = np.ravel(np.asarray(found["E"], float)) * units.energy
    forces = np.asarray(found["F"], float) * units.force if "F" in found else None
    _check_shapes(positions, energies, forces, np.ravel(found["z"]).size, where)
    species = _species(np.ravel(found["z"]), where)
    lattice = found.get("lattice")  # of sGDML: vectors as columns
    cell = None if lattice is None else np.asarray(lattice, float).reshape(3, 3).T * units.length
    cell = None if cell is None else checked_cell(cell, (True, True, True), where)
    yield from _frames(species, positions, cell, energies, forces, units.said, name, where)


def _frames(
    species: tuple[str, ...],
    positions: FloatArray,
    cell: FloatArray | None,
    energies: FloatArray,
    forces: FloatArray | None,
    said: str,
    name: str,
    where: str,
) -> Iterator[Frame]:
    periodic = cell is not None
    for i, place in enumerate(positions):
        check_finite(f"{where}, frame {i}", position=place)
        structure = Structure(species, place, cell, (periodic, periodic, periodic), name=f"{name}#{i}")
        own = {} if forces is None else {COLUMNS: forces[i]}
        yield Frame(structure, {TOTAL: float(energies[i])}, own, units=said)


def _check_shapes(
    positions: FloatArray, energies: FloatArray, forces: FloatArray | None, n_atoms: int, where: str
) -> None:
    expected = (len(energies), n_atoms, 3)
    if positions.shape != expected or (forces is not None and forces.shape != expected) or not len(energies):
        got = f"{positions.shape} and {None if forces is None else forces.shape}"
        raise InputError(f"{where}: expected positions and forces of shape {expected}, got {got}")


def _species(numbers: Any, where: str) -> tuple[str, ...]:
    from ase.data import chemical_symbols

    values = np.asarray(numbers)
    if values.dtype.kind not in "iu" or not ((values > 0) & (values < len(chemical_symbols))).all():
        raise InputError(f"{where}: expected atomic numbers, got {values[:3]}")
    return tuple(chemical_symbols[int(number)] for number in values)


def _loaded(path: Path, where: str) -> dict[str, Any]:
    names = {*_RMD17, "z", "R", "E", "F", "e_unit", "r_unit", "lattice"}
    try:
        with np.load(path, allow_pickle=False) as data:
            return {key: data[key] for key in data.files if key in names}
    except _DAMAGED as error:
        raise InputError(f"{where}: expected an .npz file of plain arrays, got: {error}") from error
