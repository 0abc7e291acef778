"""POSCAR and CIF through ASE: structures without energies, refused where atoms are not known exactly."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.frames.frame import Frame
from aenet_gpr_cli.io.readers.ase_reader import from_ase
from aenet_gpr_cli.structures import StructureSet

if TYPE_CHECKING:
    from ase import Atoms

NAMES = {"vasp": "POSCAR", "cif": "CIF"}
_FULL = 1e-3  # by which an occupancy may differ from 1
_SAME_SITE = 0.2  # Å: images of one site whose coordinates have too few digits


def iter_bare(path: Path, file_format: str, name: str, where: str) -> Iterator[Frame]:
    """Iterate over the structures of a POSCAR or of the blocks of a CIF, as ASE reads them.

    Positions in Å, periodic in all directions; velocities and constraints are passed over.

    Parameters
    ----------
    file_format : str
        A key of `NAMES`.
    name : str
        Name of the source; structure i is called ``name#i``.
    where : str
        File for messages.

    Raises
    ------
    InputError
        If the file is damaged, a POSCAR has no element symbols, or sites of a CIF are occupied in part.
    """
    if file_format == "vasp":
        _require_symbols(path, where)
    for index, atoms in enumerate(_read(path, file_format, where)):
        at = f"{where}, structure {index}"
        if file_format == "cif":
            _require_whole_atoms(atoms, at)
        atoms.info.clear()  # the space group is no label
        frame = from_ase(atoms, f"{name}#{index}", at)
        if file_format == "cif":
            _require_single_sites(frame, at)
        yield frame


def _read(path: Path, file_format: str, where: str) -> list[Atoms]:
    from ase.io import read

    expected = f"expected a complete {NAMES[file_format]} that ASE can read"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of ASE, on names of space groups
            found = read(str(path), index=":", format=file_format)
    except Exception as error:  # ASE's parsers raise whatever goes wrong inside them
        got = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise InputError(f"{where}: {expected}, got {got}") from error
    structures = list(found) if isinstance(found, list) else [found]
    if not structures:
        raise InputError(f"{where}: {expected}, got no structure (fractional coordinates, cell and symmetry)")
    return structures


def _require_symbols(path: Path, where: str) -> None:
    """Refuse a POSCAR of VASP 4; ASE would take words of its title, or a POTCAR nearby, for the elements."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    words = lines[5].split() if len(lines) > 5 else []
    if words and words[0].isdecimal():
        raise InputError(
            f"{where}:6: expected the element symbols (VASP 5), got numbers of atoms {' '.join(words)!a}; "
            "write the symbols, in the order of POTCAR, in a line before them"
        )


def _require_whole_atoms(atoms: Atoms, where: str) -> None:
    sites = atoms.info.get("occupancy") or {}
    partial = [
        " + ".join(f"{share:g} {symbol}" for symbol, share in site.items())
        for site in sites.values()
        if len(site) != 1 or any(abs(share - 1.0) > _FULL for share in site.values())
    ]
    if partial:
        raise InputError(
            f"{where}: expected sites that one atom fills, got {len(partial)} of {len(sites)} with partial "
            f"occupancy, e.g. {partial[0]}; write an ordered structure (supercell) with other software"
        )


def _require_single_sites(frame: Frame, where: str) -> None:
    from aenet_gpr_cli.subsystems.contacts import close_contacts  # loads compiled code

    for _, i, j, distance in close_contacts(StructureSet.from_structures([frame.structure]), _SAME_SITE):
        raise InputError(
            f"{where}: expected each atom once, got atoms {i} and {j} at a distance of {distance:.3f} Å; "
            "alternatives of a disordered site, or coordinates of a special position with too few digits "
            "(0.333 instead of 0.33333)"
        )
