"""The format of a file, by its name or by its content; compressed files unpacked; what is known but not read.

Owns the list of accepted formats.
"""

from __future__ import annotations

import gzip
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TypeVar

from aenet_gpr_cli.errors import InputError

# Formats whose energies and forces ASE gives in eV and eV/Å. An explicit list: some of ASE's other formats
# carry no labels, and one executes Python code.
ASE_FORMATS = (
    *(
        "traj",
        "db",
        "json",
        "vasp-out",
        "vasp-xml",
        "aims-output",
        "espresso-out",
        "gaussian-out",
        "gpaw-out",
    ),
    *("orca-output", "nwchem-out", "castep-castep", "abinit-out", "gamess-us-out", "qbox"),
)
# Structures without energies, by ASE's names.
BARE_FORMATS = ("vasp", "cif")
AnyPath = TypeVar("AnyPath", bound=PurePath)
XSF, EXTXYZ, NPZ = "xsf", "extxyz", "npz"
CP2K, N2P2, DEEPMD = "cp2k", "n2p2", "deepmd"
SUFFIXES = {
    **{".xyz": EXTXYZ, ".extxyz": EXTXYZ, ".xsf": XSF, ".axsf": XSF},
    **{".traj": "traj", ".castep": "castep-castep"},
    **{".vasp": "vasp", ".poscar": "vasp", ".cif": "cif"},
}
FIXED_NAMES = {"outcar": "vasp-out", "vasprun.xml": "vasp-xml", "poscar": "vasp", "contcar": "vasp"}
MAX_UNPACKED = 8 * 2**30
HEAD_BYTES = 100_000  # that a format is known by

# Content that neither we nor ASE read, and what converts it.
_CONVERTERS = (
    (
        rb"CP2K\|",
        "CP2K output without coordinates",
        "dpdata (format cp2k/aimd_output) reads trajectories and writes extended XYZ; for single points set "
        "FORCE_EVAL/PRINT/FORCES ON",
    ),
    (
        rb"\A\x93NUMPY",
        "array",
        "of deepmd it is read as a folder with type.raw; other arrays as .npz of sGDML (z, R, E, F)",
    ),
    *(
        (words, f"output of {code}", f"dpdata (format {name}) reads it and writes extended XYZ")
        for words, code, name in (
            (rb"Psi4: An Open-Source", "Psi4", "psi4/out"),
            (rb"WELCOME TO SIESTA", "SIESTA", "siesta/output"),
            (rb"WELCOME TO ABACUS", "ABACUS", "abacus/scf, abacus/md or abacus/relax"),
        )
    ),
    (
        rb"[0-9.][ \t]+xlo[ \t]+xhi",
        "LAMMPS data",
        "it numbers its elements; in ASE read(FILE, format='lammps-data', Z_of_type={1: 29}) names them and "
        "write('start.extxyz', …) writes them",
    ),
    (rb"ITEM: TIMESTEP", "LAMMPS dump", "it holds no energies; a calculator or `label` gives them"),
)
_REAL = rb"[ \t]*[-+]?[.0-9][-+.0-9EeDd]*"
_POSCAR = re.compile(  # title, scale, lattice vectors, symbols, numbers of atoms, kind of coordinates
    rb"\A[^\n]*\n" + _REAL + rb"(?:[ \t]" + _REAL + rb"){0,2}\s*\n"
    rb"(?:" + _REAL + rb"(?:[ \t]" + _REAL + rb"){2}[^\n]*\n){3}"
    rb"(?:[ \t]*[A-Z][^\n]*\n)?[ \t]*[0-9][0-9 \t]*(?:![^\n]*)?\r?\n"
    rb"(?:[ \t]*[Ss][^\n]*\n)?[ \t]*[DdCcKk][^\n=]*\n"  # XDATCAR: Direct configuration= 1
)
# These begin like a POSCAR, too.
_GRIDS = re.compile(r"chg|aeccar|elfcar|locpot", re.IGNORECASE)
_CONTENT = (
    (re.compile(rb"\A\s*vasp\.[0-9]"), "vasp-out"),
    (re.compile(rb"<modeling>"), "vasp-xml"),
    (re.compile(rb"\A\s*[0-9]+[ \t]*\r?\n[^\n]*Properties=species:"), EXTXYZ),
    (re.compile(rb"^\s*(?:PRIMVEC|PRIMCOORD|ATOMS)\s*$", re.MULTILINE), XSF),
    (re.compile(rb"^ CP2K\|", re.MULTILINE), CP2K),
    (re.compile(rb"\A\s*begin\s*\n(?:\s*(?:comment|lattice|atom|energy|charge)\b.*\n)+"), N2P2),
    (re.compile(rb"\A- of Ulm"), "traj"),
    (re.compile(rb"\ASQLite format 3\0.*CREATE TABLE systems", re.DOTALL), "db"),
    (re.compile(rb"^_cell_length_a\s", re.MULTILINE), "cif"),
    (_POSCAR, "vasp"),
    (re.compile(rb"\A\{.*\"(?:ids|nextid|numbers)\"", re.DOTALL), "json"),
)
# Names that nobody takes for a structure; other files that are not recognised are named.
_NO_DATA = re.compile(
    r"(?:.*\.(?:md|rst|py|sh|ya?ml|toml|cfg|ini|png|pdf|svg|jpe?g|csv|h5|log|out|err|txt|ipynb|tex|html?|slurm|sub|stp|nn|in)"
    r"|readme|license|makefile|incar|kpoints|potcar|poscar|contcar|chg|chgcar|wavecar|doscar|eigenval|oszicar|procar"
    r"|ibzkpt|pcdat|xdatcar|report|locpot)",
    re.IGNORECASE,
)


def format_of(path: Path) -> str | None:
    """Return the format of a file (``xsf``, ``extxyz`` or ASE's name), None if it is not an accepted one.

    By name where the name is usual, by content otherwise, also within ``.gz``.
    """
    name = path.name.lower().removesuffix(".gz")
    known = SUFFIXES.get(Path(name).suffix) or FIXED_NAMES.get(name)
    if known:
        return known
    if name.endswith(".npz") and path.is_file():
        return NPZ if _members(path) & {"R.npy", "coords.npy"} else None
    if name == "type.raw":
        return DEEPMD if parts_of_deepmd(path) else None
    head = _head(path)
    for pattern, found in _CONTENT:
        if pattern.search(head[:4000]):
            if pattern is _POSCAR and _GRIDS.search(name):
                return None
            return found if found != CP2K or _has(path, b"ATOMIC COORDINATES IN") else None
    from ase.io.formats import UnknownFileTypeError, match_magic

    # By content, not as ASE does by name first: for ASE every *.out is an output of Quantum ESPRESSO.
    try:
        magic = match_magic(head).name if head.strip() else ""
    except UnknownFileTypeError:
        return None
    return magic if magic in ASE_FORMATS else None


def parts_of_deepmd(path: Path) -> list[Path]:
    """Return the files that belong to the ``type.raw`` of a system of DeePMD, empty if it is none."""
    sets = sorted(folder for folder in path.parent.glob("set.*") if (folder / "coord.npy").is_file())
    arrays = [file for folder in sets for file in sorted(folder.glob("*.npy"))]
    others = [path.parent / name for name in ("type_map.raw", "nopbc")] if arrays else []
    return [*(file for file in others if file.is_file()), *arrays]


def to_read(formats: Mapping[AnyPath, str]) -> tuple[list[AnyPath], list[AnyPath]]:
    """Choose among the files of one folder or archive, given with their formats.

    Returns
    -------
    chosen : list of path
        Without an ``OUTCAR`` beside its ``vasprun.xml``, which holds the same frames, and without structures
        that have no energies (`BARE_FORMATS`) where there are files of other formats.
    bare : list of path
        The latter, but for the POSCAR and CONTCAR of a calculation that is read.
    """
    both = {path.parent for path in formats if path.name.lower() in ("vasprun.xml", "vasprun.xml.gz")}
    calculated = {path.parent for path, found in formats.items() if found in ("vasp-out", "vasp-xml")}
    whole = [p for p in formats if p.name not in ("OUTCAR", "OUTCAR.gz") or p.parent not in both]
    others = [p for p in whole if formats[p] not in BARE_FORMATS]
    if not others:
        return whole, []
    bare = [p for p in whole if formats[p] in BARE_FORMATS]
    return others, [p for p in bare if formats[p] != "vasp" or p.parent not in calculated]


def looks_like_data(path: Path) -> bool:
    """Return whether a file that is not recognised might hold structures all the same."""
    return not _NO_DATA.fullmatch(path.name) or converter_of(path) != ""


def converter_of(path: Path) -> str:
    """Return what a file is that is not read here and what converts it; empty if that is not known."""
    head = _head(path)
    return next((f"{what}: {how}" for pattern, what, how in _CONVERTERS if re.search(pattern, head)), "")


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Give the file itself, or for the time of reading an unpacked copy of a ``.gz``.

    Raises
    ------
    InputError
        If it is damaged, or unpacks to more than 8 GiB.
    """
    if path.suffix.lower() != ".gz":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name[: -len(".gz")]
        try:
            with gzip.open(path) as packed, copy.open("wb") as plain:
                total = 0
                while block := packed.read(2**20):
                    total += len(block)
                    if total > MAX_UNPACKED:
                        raise InputError(f"{path}: expected at most 8 GiB unpacked, got more")
                    plain.write(block)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"{path}: expected a complete .gz file, got: {error}") from error
        yield copy


def _members(path: Path) -> set[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return set(archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return set()


def _has(path: Path, words: bytes) -> bool:
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            return any(words in line for line in file)
    except (OSError, EOFError, zlib.error):
        return False


def _head(path: Path) -> bytes:
    """Return the beginning of a regular file, unpacked; nothing if it cannot be read."""
    if not path.is_file():
        return b""
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path) as packed:
                return packed.read(HEAD_BYTES)
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""
