"""Reader and writer for ænet's XSF dialect: energy in a comment, forces in the atom lines, eV and Å.

Owns files and the writer; the grammar is in `xsf_parser`. Folders and archives are left to `sources`,
missing labels to `subsystems.label_checks`. ASE must not read these files: it takes the forces for Hartree/Å
and drops the energy.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.files import written_whole
from aenet_gpr_cli.io.formats.xsf_parser import SYMBOLS, parse_xsf, parse_xsf_frames
from aenet_gpr_cli.structures import FloatArray, Structure

__all__ = [
    *("MAX_BYTES", "SYMBOLS", "decode_xsf", "format_xsf", "parse_xsf", "parse_xsf_frames", "read_xsf"),
    *("read_xsf_frames", "write_xsf"),
]

MAX_BYTES = 64 * 2**20  # about half a million atoms; a larger file is not a training structure


def read_xsf(path: Path | str, name: str | None = None) -> Structure:
    """Read one structure with its total energy and forces from an XSF file.

    Parameters
    ----------
    name : str, optional
        Name of the structure; the file name if not given.

    Returns
    -------
    Structure
        Energy in eV, forces in eV/Å (F = -dE/dR); None for each of the two that the file lacks.

    Raises
    ------
    InputError
        If the file cannot be opened, is too large, or is not a complete XSF file.
    """
    path = Path(path)
    return parse_xsf(_text(path, str(path)), name or path.name, str(path))


def read_xsf_frames(path: Path, name: str, where: str) -> list[Structure]:
    """Read all structures of an XSF file, see `parse_xsf_frames`.

    Raises
    ------
    InputError
        As `read_xsf`.
    """
    return parse_xsf_frames(_text(path, where), name, where)


def _text(path: Path, where: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{where}: expected a readable XSF file, got: {error.strerror or error}") from error
    return decode_xsf(data, where)


def decode_xsf(data: bytes, where: str) -> str:
    """Turn the bytes of an XSF file into text.

    Parameters
    ----------
    data : bytes
    where : str
        File name for messages.

    Raises
    ------
    InputError
        If the data are larger than 64 MiB or not text.
    """
    if len(data) > MAX_BYTES:
        raise InputError(
            f"{where}: expected an XSF file of at most {MAX_BYTES // 2**20} MiB, got a larger one"
        )
    if b"\0" in data:
        raise InputError(f"{where}: expected an XSF file (plain text), got binary data")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # an old comment with Å in it; numbers and symbols are ASCII anyway


def format_xsf(structure: Structure) -> str:
    """Write one structure as XSF text with 17 significant digits (a bit-exact round trip).

    An isolated structure becomes ``ATOMS`` and a periodic one ``PRIMVEC`` and ``PRIMCOORD``. ænet treats
    every ``PRIMVEC`` as fully periodic; a structure that is not keeps its periodicity in a comment.
    The cell of an isolated structure has no meaning and is not written; a stress has no place in XSF. Charge
    and spin become comments, which the reader knows (``# charge = 1``).

    Parameters
    ----------
    structure : Structure
        Energy in eV, positions in Å, forces in eV/Å.

    Raises
    ------
    InputError
        If a number is not finite, a symbol is unknown, or a periodic structure has no cell.
    """
    columns = [structure.positions] if structure.forces is None else [structure.positions, structure.forces]
    values = np.hstack(columns)
    _check_writable(structure, values)
    lines = []
    if structure.energy is not None:
        lines.append(f"# total energy = {structure.energy:.17g} eV")
    lines += [f"# {name} = {value:.17g}" for name, value in structure.state]
    if any(structure.pbc):
        assert structure.cell is not None  # checked above
        if not all(structure.pbc):
            lines.append("# pbc = " + " ".join("T" if periodic else "F" for periodic in structure.pbc))
        lines += [
            "",
            {(True, True, False): "SLAB", (True, False, False): "POLYMER"}.get(structure.pbc, "CRYSTAL"),
        ]
        lines += ["PRIMVEC", *(_numbers(row) for row in structure.cell.tolist())]
        lines += ["PRIMCOORD", f"{structure.n_atoms} 1"]
    else:
        lines += ["", "ATOMS"]
    lines += [f"{s:<2}{_numbers(row)}" for s, row in zip(structure.species, values.tolist(), strict=True)]
    return "\n".join(lines) + "\n"


def write_xsf(structure: Structure, path: Path | str) -> None:
    """Write one structure to an XSF file; the file appears complete or not at all.

    Parameters
    ----------
    structure : Structure
        Energy in eV, positions in Å, forces in eV/Å.

    Raises
    ------
    InputError
        If the structure cannot be written (see `format_xsf`) or the folder cannot be used.
    ResourceError
        If the disk is full or may not be written.
    """
    path = Path(path)
    text = format_xsf(structure)
    try:
        with written_whole(path, durable=False) as temporary:  # there may be thousands of these
            temporary.write_text(text, encoding="ascii")
    except OSError as error:
        raise InputError(f"{path}: cannot write: {error.strerror}") from error


def _check_writable(structure: Structure, values: FloatArray) -> None:
    where = structure.name or structure.formula
    if not np.isfinite(values).all() or (
        structure.energy is not None and not math.isfinite(structure.energy)
    ):
        raise InputError(f"{where}: expected finite positions, energy and forces, got NaN or infinity")
    unknown = sorted(set(structure.species) - set(SYMBOLS))
    if unknown or not structure.species:
        raise InputError(f"{where}: expected element symbols, got {', '.join(unknown) or 'no atoms'}")
    if any(structure.pbc) and (structure.cell is None or not np.isfinite(structure.cell).all()):
        raise InputError(f"{where}: expected lattice vectors of a periodic structure, got none")


def _numbers(row: list[float]) -> str:
    return "".join([f" {value:24.17g}" for value in row])
