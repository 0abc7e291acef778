"""Systems of DeePMD: a folder of ``type.raw``, ``type_map.raw`` and ``set.*/*.npy``, in eV and Å."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.frames.frame import COLUMNS, TOTAL, Frame, check_finite, checked_cell, volume_of
from aenet_gpr_cli.io.frames.recognise import parts_of_deepmd
from aenet_gpr_cli.io.frames.stress import stresses_in
from aenet_gpr_cli.structures import FloatArray, Structure


def iter_deepmd(path: Path, name: str, where: str) -> Iterator[Frame]:
    """Iterate over the structures of a system, through all its sets.

    Parameters
    ----------
    path : Path
        ``type.raw`` of the system.

    Raises
    ------
    InputError
        If a file is missing, has another shape, or does not hold plain numbers.
    """
    folder = path.parent
    species = _species(folder, where)
    periodic = not (folder / "nopbc").exists()
    pbc = (periodic, periodic, periodic)
    index = 0
    for coordinates in (part for part in parts_of_deepmd(path) if part.name == "coord.npy"):
        here = coordinates.parent
        if (here / "real_atom_types.npy").exists():
            raise InputError(
                f"{here}: expected one system with one composition, got deepmd's mixed type; dpdata (format "
                "deepmd/mixed) writes systems of their own"
            )
        positions = _array(coordinates, (-1, len(species), 3))
        n = len(positions)
        energies = _optional(here / "energy.npy", (n,))
        forces = _optional(here / "force.npy", (n, len(species), 3))
        virials = _optional(here / "virial.npy", (n, 3, 3))
        cells = _array(here / "box.npy", (n, 3, 3)) if periodic else None
        for i in range(n):
            at = f"{here}, frame {i}"
            check_finite(at, position=positions[i], cell=None if cells is None else cells[i])
            cell = None if cells is None else checked_cell(cells[i], pbc, at)
            structure = Structure(species, positions[i], cell, pbc, name=f"{name}#{index}")
            yield Frame(
                structure,
                {} if energies is None else {TOTAL: float(energies[i])},
                {} if forces is None else {COLUMNS: forces[i]},
                {} if virials is None else stresses_in({"virial": virials[i]}, volume_of(cell, pbc)),
            )
            index += 1


def _species(folder: Path, where: str) -> tuple[str, ...]:
    from ase.data import chemical_symbols

    if not (folder / "type_map.raw").is_file():
        raise InputError(f"{where}: expected type_map.raw with the elements beside type.raw, got none")
    try:
        types = [int(word) for word in (folder / "type.raw").read_text("utf-8").split()]
        names = (folder / "type_map.raw").read_text("utf-8").split()
    except (OSError, ValueError) as error:
        raise InputError(f"{where}: expected whole numbers, got: {error}") from error
    unknown = sorted(set(names) - set(chemical_symbols[1:]))
    if not types or unknown or min(types) < 0 or max(types) >= len(names):
        got = f"types {sorted(set(types))[:5]} of {', '.join(names)[:40]}"
        raise InputError(f"{where}: expected types of the elements in type_map.raw, got {got}")
    return tuple(names[number] for number in types)


def _optional(path: Path, shape: tuple[int, ...]) -> FloatArray | None:
    return _array(path, shape) if path.exists() else None


def _array(path: Path, shape: tuple[int, ...]) -> FloatArray:
    try:
        values = np.load(path, allow_pickle=False)
        return np.array(values, float).reshape(shape)
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise InputError(f"{path}: expected numbers of shape {shape}, got: {error}") from error
