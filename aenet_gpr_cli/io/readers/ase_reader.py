"""Frames of ASE trajectories and databases and of outputs of electronic-structure codes, through ASE.

Owns how labels are taken from ASE. XSF and XYZ never come this way.
"""

from __future__ import annotations

import io
import re
import tempfile
import warnings
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.frames.calculation import stated, unconverged
from aenet_gpr_cli.io.frames.declared_units import BOHR, HARTREE
from aenet_gpr_cli.io.frames.frame import (
    NOT_REACHED,
    Frame,
    Incomplete,
    LeftOut,
    check_finite,
    checked_cell,
    energies_in,
    forces_in,
    group_in,
    moment_in,
    state_in,
    unconverged_in,
    volume_of,
)
from aenet_gpr_cli.io.frames.stress import stresses_in
from aenet_gpr_cli.io.readers.aims_dynamics import with_structures
from aenet_gpr_cli.io.readers.gpaw_blocks import blocks_of_gpaw
from aenet_gpr_cli.structures import NOT_PERIODIC, Structure

if TYPE_CHECKING:
    from ase import Atoms

# What begins a frame in the outputs that ASE reads up to the last complete frame without a word, what makes
# it one (if not every beginning does), and what ends a file that is complete.
_BEGINS = {
    "orca-output": (r"CARTESIAN COORDINATES \(ANGSTROEM\)", "", ""),
    "vasp-xml": (r"<calculation>", "", ""),
    "vasp-out": (r"Iteration\s+\d+\(\s*1\)", "", r"General timing and accounting"),
    "espresso-out": (
        r"Program PWSCF|ATOMIC_POSITIONS",
        r"^!    total energy|Forces acting on atoms",
        r"JOB DONE",
    ),
    "gpaw-out": (r"^Positions:\s*$", "", ""),
}
# What ASE fails on as a whole where its last frame is cut short, and what begins a frame there.
_ALL_OR_NOTHING = {"aims-output": "Begin self-consistency loop: Re-init"}


class _Broken(InputError):
    """A frame with parts missing, as the last one of an output that was cut short."""


def iter_ase(
    path: Path, file_format: str, name: str, where: str, asked: Collection[str] = ()
) -> Iterator[Frame | LeftOut]:
    """Iterate over the frames of a file that ASE reads.

    The labels are those of the single-point calculator that ASE attaches to a frame, as ASE gives them, in eV
    and eV/Å, and everything else of the frame that is called an energy or a force; the forces without ASE's
    constraints, which would set those of fixed atoms to zero.

    Parameters
    ----------
    file_format : str
        ASE's name of the format.
    name : str
        Name of the source; frame i is called ``name#i``.
    where : str
        File for messages.
    asked : collection of str
        Names of an energy and of forces that are taken, too, whatever they say.

    Raises
    ------
    InputError
        If ASE cannot read the file, or a number is not finite.
    """
    frames: list[Frame] = []
    broken: _Broken | None = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of ASE, on what is found out and named here
            for index, atoms in enumerate(_atoms(path, file_format)):
                if broken is not None:
                    raise broken  # not the last frame
                try:
                    frames.append(from_ase(atoms, f"{name}#{index}", f"{where}, frame {index}", asked))
                except _Broken as error:
                    broken = error
        if broken is not None and not frames:
            raise broken
    except InputError:
        raise
    except Exception as error:  # ASE's parsers raise whatever goes wrong inside them
        broken = _Broken("cut") if frames and _begun(path, file_format) == len(frames) + 1 else None
        got = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        at = f"{where}, after frame {len(frames) - 1}" if frames else where
        if broken is None:
            if not frames and (shorter := _without_last_frame(path, file_format)):
                with tempfile.TemporaryDirectory() as folder:
                    copy = Path(folder) / path.name
                    copy.write_bytes(shorter)
                    items = iter_ase(copy, file_format, name, where, asked)
                    found = [item for item in items if isinstance(item, Frame)]
                while found and not found[-1].energies:  # begun more than once
                    found.pop()
                yield from found
                yield LeftOut(f"{name}#{len(found)}", "cut short")
                return
            hint = f"; {NOT_REACHED}" if unconverged(path, file_format, 1) else ""
            hint += "; its vasprun.xml has the same" if file_format == "vasp-out" else ""
            raise _unreadable(
                at, f"expected a complete file of format {file_format} as ASE reads it, got {got}{hint}"
            ) from error
    if not frames:
        raise _unreadable(where, f"expected at least one structure of format {file_format}, got none")
    for index in unconverged(path, file_format, len(frames)):
        frames[index].unconverged = NOT_REACHED
    if state := stated(path, file_format):
        for frame in frames:
            frame.structure = replace(frame.structure, state=state)
    yield from frames
    for index in range(len(frames), len(frames) + 1 if broken else _begun(path, file_format)):
        yield LeftOut(f"{name}#{index}", "cut short")


def _unreadable(where: str, problem: str) -> Incomplete:
    why = f"the file is not complete, or ASE does not know its version ({problem})"
    return Incomplete(where, problem, why)


def from_ase(atoms: Atoms, name: str, where: str, asked: Collection[str] = ()) -> Frame:
    """Convert one frame; see `iter_ase` for where energies and forces come from.

    Parameters
    ----------
    name : str
        Name of the structure.
    where : str
        File and frame for messages.
    asked : collection of str
        See `iter_ase`.

    Raises
    ------
    InputError
        If the frame has no atoms, unknown elements, no lattice vector in a periodic direction, or a
        number that is not finite.
    """
    results = {} if atoms.calc is None else {k: v for k, v in atoms.calc.results.items() if v is not None}
    # databases of ASE keep what others have in `info` one level below
    info = atoms.info | dict(atoms.info.get("data") or {}) | dict(atoms.info.get("key_value_pairs") or {})
    if len(atoms) == 0:
        raise _Broken(f"{where}: expected atoms of known elements, got no atoms")
    if 0 in atoms.numbers:
        raise InputError(f"{where}: expected atoms of known elements, got X")
    forces = results.get("forces")
    if forces is not None and np.shape(forces) != (len(atoms), 3):
        raise _Broken(f"{where}: expected forces of shape ({len(atoms)}, 3), got {np.shape(forces)}")
    pbc = tuple(bool(periodic) for periodic in atoms.pbc)
    cell = checked_cell(np.array(atoms.cell, float), pbc, where)
    check_finite(where, position=atoms.positions, cell=cell)
    energies, other_numbers = energies_in(info, asked)
    columns = {k: v for k, v in (info | atoms.arrays).items() if k not in ("positions", "numbers")}
    named = forces_in(columns, len(atoms), asked)
    return Frame(
        Structure(
            species=tuple(atoms.get_chemical_symbols()),
            positions=np.array(atoms.positions, float),
            cell=cell,
            pbc=(pbc[0], pbc[1], pbc[2]) if any(pbc) else NOT_PERIODIC,
            name=name,
            state=state_in(info),
            magnetic_moment=moment_in(info | results),
            group=group_in(info),
        ),
        {
            **energies,
            **{k: v for k, v in energies_in(results)[0].items() if k in ("energy", "free_energy")},
        },
        {
            **named,
            **({} if forces is None else {"forces": np.array(forces, float)}),
        },
        stresses_in(
            info | {k: v for k, v in results.items() if k in ("stress", "virial")},
            volume_of(np.array(atoms.cell, float), pbc),
        ),
        other_numbers,
        tuple(str(k) for k, v in columns.items() if np.shape(v) == (len(atoms), 3) and k not in named),
        unconverged=unconverged_in(info),
    )


def _atoms(path: Path, file_format: str) -> Iterator[Atoms]:
    if file_format in ("db", "json"):
        from ase.db import connect

        with connect(str(path), type=file_format, serial=True) as database:
            for row in database.select():  # ASE's reader leaves out what else a row has
                yield row.toatoms(add_additional_information=True)
        return
    from ase.io import iread

    if file_format == "aims-output":
        found = iread(str(path), index=":", format=file_format, non_convergence_ok=True)
        yield from with_structures(found, path)
    elif file_format == "qbox":
        yield from map(_from_atomic_units, iread(str(path), index=":", format=file_format))
    elif file_format == "gpaw-out":
        for block in blocks_of_gpaw(path):
            yield from iread(io.StringIO(block), index=":", format=file_format)
    else:
        yield from iread(str(path), index=":", format=file_format)


def _from_atomic_units(atoms: Atoms) -> Atoms:
    """Convert a frame of Qbox, whose numbers ASE leaves as they are, without its stress (unit, sign)."""
    atoms.set_cell(atoms.cell * BOHR, scale_atoms=True)
    given = {} if atoms.calc is None else atoms.calc.results
    if given.get("energy") is not None and given.get("forces") is not None:
        given["energy"] *= HARTREE
        given["forces"] = np.asarray(given["forces"], float) * HARTREE / BOHR
    given.pop("stress", None)
    return atoms


def _begun(path: Path, file_format: str) -> int:
    """Return how many frames the file begins, 0 where that cannot be said."""
    if file_format not in _BEGINS:
        return 0
    begins, makes_one, ends = (re.compile(words) if words else None for words in _BEGINS[file_format])
    complete: list[bool] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if ends and ends.search(line):
                return 0
            if begins:
                complete += [not makes_one] * len(begins.findall(line))
            if makes_one and complete and makes_one.search(line):
                complete[-1] = True
    return sum(complete) + (len(complete) > 0 and not complete[-1])


def _without_last_frame(path: Path, file_format: str) -> bytes:
    """Return the file up to where its last frame begins; nothing where that is not needed or not known."""
    marker = _ALL_OR_NOTHING.get(file_format)
    head, found, _ = path.read_bytes().rpartition(marker.encode()) if marker else (b"", b"", b"")
    return head if found else b""
