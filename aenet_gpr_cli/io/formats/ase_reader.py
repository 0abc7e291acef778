"""Structures from extended XYZ, ASE trajectories and outputs of electronic-structure codes, through ASE.

Owns the list of accepted formats and how labels are taken from ASE. XSF never comes this way.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import NOT_PERIODIC, Structure

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)

# Formats whose energies and forces ASE gives in eV and eV/Å. An explicit list: some of ASE's other formats
# carry no labels, and one executes Python code.
FORMATS = (
    *("extxyz", "traj", "vasp-out", "vasp-xml", "aims-output", "espresso-out", "gaussian-out", "gpaw-out"),
    *("orca-output", "nwchem-out", "castep-castep", "abinit-out", "gamess-us-out", "qbox"),
)
SUFFIXES = {".xyz": "extxyz", ".extxyz": "extxyz", ".traj": "traj", ".castep": "castep-castep"}
OUTPUT_NAMES = {"outcar": "vasp-out", "vasprun.xml": "vasp-xml"}
MAYBE_SUFFIXES = (".out", ".log", ".pwo", ".nwo", ".txt")  # outputs if their content says so


def ase_format(path: Path) -> str | None:
    """Return ASE's name for the format of a file, None if it is not one of the accepted ones."""
    known = SUFFIXES.get(path.suffix.lower()) or OUTPUT_NAMES.get(path.name.lower())
    if known:
        return known
    from ase.io.formats import UnknownFileTypeError, match_magic

    # By content, not as ASE does by name first: for ASE every *.out is an output of Quantum ESPRESSO.
    try:
        with path.open("rb") as file:
            found = match_magic(file.read(100_000)).name
    except (UnknownFileTypeError, OSError):
        return None
    return found if found in FORMATS else None


def iter_ase(path: Path, file_format: str, name: str) -> Iterator[Structure]:
    """Iterate over the frames of a file that ASE reads.

    The labels are those of the single-point calculator that ASE attaches to a frame, as ASE gives
    them, in eV and eV/Å: the force-consistent energy (``free_energy``) where the code reports one,
    because that is the one whose gradient the forces are, and ``energy`` otherwise; the forces without
    ASE's constraints, which would set those of fixed atoms to zero. A frame lacking a label gets None.

    Parameters
    ----------
    file_format : str
        ASE's name of the format.
    name : str
        Name of the source; frame i is called ``name#i``.

    Raises
    ------
    InputError
        If ASE cannot read the file, or a number is not finite.
    """
    from ase.io import iread

    index = -1
    try:
        for index, atoms in enumerate(iread(str(path), index=":", format=file_format)):
            yield from_ase(atoms, f"{name}#{index}", f"{path}, frame {index}")
    except InputError:
        raise
    except Exception as error:  # ASE's parsers raise whatever goes wrong inside them
        got = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        where = f"{path}, after frame {index}" if index >= 0 else str(path)
        raise InputError(f"{where}: expected a complete file of format {file_format}, got {got}") from error
    if index < 0:
        raise InputError(f"{path}: expected at least one structure of format {file_format}, got none")


def from_ase(atoms: Atoms, name: str, where: str) -> Structure:
    """Convert one frame; see `iter_ase` for where energy and forces come from.

    Parameters
    ----------
    name : str
        Name of the structure.
    where : str
        File and frame for messages.

    Raises
    ------
    InputError
        If the frame has no atoms, unknown elements, no lattice vector in a periodic direction, or a
        number that is not finite.
    """
    results = {} if atoms.calc is None else dict(atoms.calc.results)
    energy = results.get("free_energy", results.get("energy"))
    forces = results.get("forces")
    if len(atoms) == 0 or 0 in atoms.numbers:
        raise InputError(
            f"{where}: expected atoms of known elements, got {'X' if len(atoms) else 'no atoms'}"
        )
    if forces is not None and np.shape(forces) != (len(atoms), 3):
        raise InputError(f"{where}: expected forces of shape ({len(atoms)}, 3), got {np.shape(forces)}")
    pbc = tuple(bool(periodic) for periodic in atoms.pbc)
    cell = np.array(atoms.cell.complete(), float) if any(pbc) else None
    if any(pbc) and not np.linalg.norm(atoms.cell, axis=1)[list(pbc)].all():
        raise InputError(f"{where}: expected a lattice vector for each periodic direction, got none")
    for label, value in (
        ("position", atoms.positions),
        ("energy", energy),
        ("force", forces),
        ("cell", cell),
    ):
        if value is not None and not np.isfinite(np.asarray(value, float)).all():
            raise InputError(f"{where}: expected finite numbers, got NaN or infinity in {label}")
    if energy is None:
        _hint_at_other_keys(atoms, where)
    return Structure(
        species=tuple(atoms.get_chemical_symbols()),
        positions=np.array(atoms.positions, float),
        cell=cell,
        pbc=(pbc[0], pbc[1], pbc[2]) if any(pbc) else NOT_PERIODIC,
        energy=None if energy is None else float(energy),
        forces=None if forces is None else np.array(forces, float),
        name=name,
    )


def _hint_at_other_keys(atoms: Atoms, where: str) -> None:
    """Say which keys look like an energy; guessing which one is meant would be worse than asking."""
    keys = sorted(str(key) for key in atoms.info if "energy" in str(key).lower())
    if keys:
        log.warning("%s: no key 'energy', but %s; rename the right one to 'energy'", where, ", ".join(keys))
