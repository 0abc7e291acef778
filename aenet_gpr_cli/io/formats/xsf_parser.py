"""Parser of ænet's XSF dialect: text in, structure out, errors as ``file:line: expected ..., got ...``.

Strict about content, tolerant about layout; never drops anything. Files and writing are left to `xsf`.
"""

from __future__ import annotations

import math
import re
from typing import NoReturn

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.frames.xsf_steps import divided, without_blocks
from aenet_gpr_cli.structures import NOT_PERIODIC, FloatArray, Pbc, Structure

_PERIODIC_TABLE = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr "
    "Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb "
    "Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf "
    "Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
)
SYMBOLS = tuple(_PERIODIC_TABLE.split())

_SYMBOL_OF = {symbol: symbol for symbol in SYMBOLS} | {str(z): s for z, s in enumerate(SYMBOLS, start=1)}
_PERIODIC_MARKERS = {"CRYSTAL", "SLAB", "POLYMER"}
_MARKERS = _PERIODIC_MARKERS | {"MOLECULE"}
_VECTORS = {"PRIMVEC", "CONVVEC"}
_ATOMS = {"ATOMS", "PRIMCOORD"}
_SKIPPED = {"CONVCOORD"}  # the same atoms in the conventional cell
_KEYWORDS = _MARKERS | _VECTORS | _ATOMS | _SKIPPED
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eEdD][+-]?[0-9]+)?")
_TOTAL = re.compile(r"total\s+energy\s*[=:]\s*(\S*)\s*(\S*)", re.IGNORECASE)
_COHESIVE = re.compile(r"cohesive\s+energy\s*[=:]", re.IGNORECASE)
_PBC = re.compile(r"pbc\s*=\s*([TF])\s+([TF])\s+([TF])", re.IGNORECASE)
_STATE = re.compile(r"\s*(charge|multiplicity|spin)\s*=\s*(\S+)\s*", re.IGNORECASE)
_OTHER_UNITS = {
    *("ha", "hartree", "hartrees", "ry", "rydberg", "a.u.", "au", "mev", "kev"),
    *("kj/mol", "kcal/mol", "j", "ev/atom", "cm-1"),
}

_Row = tuple[int, list[str]]


def parse_xsf(text: str, name: str, where: str | None = None) -> Structure:
    """Parse one structure with its total energy and forces from XSF text.

    As in ænet's own reader, keywords may stand in any order, other comments and blank lines mean
    nothing, and ``PRIMVEC`` alone makes a structure periodic in all three directions, whether
    ``CRYSTAL``, ``SLAB`` or ``POLYMER`` is written. A comment ``# pbc = T T F``, which the writer of
    this module leaves, restores other periodicities. Unlike ænet's reader, nothing is ever dropped:
    the number of atoms must be the declared one, and all atom lines must have the same columns.

    Parameters
    ----------
    name : str
        Name of the structure.
    where : str, optional
        File name for messages; `name` if not given.

    Returns
    -------
    Structure
        Energy in eV, forces in eV/Å (F = -dE/dR); None for each of the two that the text lacks.

    Raises
    ------
    InputError
        With ``file:line``, what was expected and what was found.
    """
    where = where or name
    found = parse_xsf_frames(text, name, where)
    if len(found) != 1:
        _fail(where, 1, "one structure", f"{len(found)} frames (ANIMSTEPS)")
    return found[0]


def parse_xsf_frames(text: str, name: str, where: str) -> list[Structure]:
    """Parse all structures of XSF text: one, or those of ``ANIMSTEPS``, called ``name#i``.

    Sections that say nothing about the atoms (``CONVCOORD``, ``BEGIN_…`` … ``END_…``) are passed over. The
    energy of a frame stands in a comment before its atoms.

    Raises
    ------
    InputError
        With ``file:line``, what was expected and what was found.
    """
    rows, comments = _tokenise(text)
    if not rows:
        _fail(where, 1, "an XSF structure", "an empty file" if not comments else "only comments")
    frames = divided(without_blocks(rows, where), comments, where)
    if len(frames) == 1:
        return [_structure(*frames[0], name, where)]
    found = [_structure(*frame, f"{name}#{i}", where) for i, frame in enumerate(frames)]
    n_energies = sum(s.energy is not None for s in found)
    if n_energies not in (0, len(found)):
        expected = (
            f"'# total energy = ... eV' before the atoms of each of the {len(found)} frames (ANIMSTEPS)"
        )
        _fail(where, 1, expected, f"{n_energies}")
    return found


def _structure(rows: list[_Row], comments: list[tuple[int, str]], name: str, where: str) -> Structure:
    if not rows:
        _fail(where, 1, "a section ATOMS or PRIMCOORD", "other blocks only")
    cell, atoms, markers = _sections(rows, where)
    last = rows[-1][0]
    if atoms is None:
        _fail(where, last, "a section ATOMS or PRIMCOORD", "the end of the file")
    if cell is None and (markers & _PERIODIC_MARKERS or (atoms[0] == "PRIMCOORD" and not markers)):
        _fail(where, last, "PRIMVEC with three lattice vectors", "a periodic structure without it")
    species, values = _atoms(atoms[1], where)
    return Structure(
        species=species,
        positions=np.ascontiguousarray(values[:, :3]),
        cell=cell,
        pbc=NOT_PERIODIC if cell is None else _periodicity(comments),
        energy=_energy(comments, where),
        forces=np.ascontiguousarray(values[:, 3:]) if values.shape[1] == 6 else None,
        name=name,
        state=tuple(
            sorted(
                (found[1].lower(), _number(found[2], where, line))
                for line, comment in comments
                if (found := _STATE.fullmatch(comment))
            )
        ),
    )


def _fail(where: str, line: int, expected: str, got: str) -> NoReturn:
    raise InputError(f"{where}:{line}: expected {expected}, got {got}")


def _tokenise(text: str) -> tuple[list[_Row], list[tuple[int, str]]]:
    rows: list[_Row] = []
    comments: list[tuple[int, str]] = []
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        if "#" in line:
            line, _, comment = line.partition("#")
            comments.append((number, comment))
        elif "nergy" in line:  # ænet reads an energy from any line, with or without '#'
            comments.append((number, line))
            continue
        tokens = line.split()
        if tokens:
            rows.append((number, tokens))
    return rows, comments


def _sections(
    rows: list[_Row], where: str
) -> tuple[FloatArray | None, tuple[str, list[_Row]] | None, set[str]]:
    """Return lattice vectors, the keyword and rows of the atoms, and the markers."""
    cell: FloatArray | None = None
    atoms: tuple[str, list[_Row]] | None = None
    seen: set[str] = set()
    for line, keyword, body in _split_at_keywords(rows, where):
        if keyword in seen or (keyword in _ATOMS and atoms is not None):
            _fail(where, line, "one structure per file", f"a second section {keyword}")
        seen.add(keyword)
        if keyword in _VECTORS:
            vectors = _cell(body, keyword, line, where)
            cell = vectors if keyword == "PRIMVEC" else cell
        elif keyword in _ATOMS:
            atoms = keyword, _counted(body, line, where) if keyword == "PRIMCOORD" else body
            if not atoms[1]:
                _fail(where, line, f"at least one atom after {keyword}", "none")
        elif body and keyword not in _SKIPPED:
            _fail(where, body[0][0], f"a keyword after {keyword}", _quote(body[0][1]))
    return cell, atoms, seen & _MARKERS


def _split_at_keywords(rows: list[_Row], where: str) -> list[tuple[int, str, list[_Row]]]:
    """Return (line, keyword, rows that follow); what shares a line with a keyword counts as a row."""
    sections: list[tuple[int, str, list[_Row]]] = []
    for line, tokens in rows:
        start = 0
        while start < len(tokens) and (keyword := tokens[start].upper()) in _KEYWORDS:
            sections.append((line, keyword, []))
            start += 1
        if start < len(tokens):
            if not sections:
                expected = "a keyword (ATOMS, CRYSTAL, PRIMVEC, PRIMCOORD, ...)"
                _fail(where, line, expected, _quote(tokens))
            sections[-1][2].append((line, tokens[start:]))
    return sections


def _cell(body: list[_Row], keyword: str, line: int, where: str) -> FloatArray:
    if len(body) != 3:
        _fail(where, body[-1][0] if body else line, f"3 lattice vectors after {keyword}", str(len(body)))
    for number, tokens in body:
        if len(tokens) != 3:
            _fail(where, number, "3 numbers in a lattice vector", _quote(tokens))
    cell = np.array([[_number(token, where, number) for token in tokens] for number, tokens in body])
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(cell, axis=1)
        volume = abs(float(np.linalg.det(cell / np.where(lengths > 0, lengths, 1.0)[:, None])))
    # Below this the vectors are parallel to the digits that a file usually carries.
    if not volume > 1e-10:
        _fail(where, body[0][0], "three independent lattice vectors", "a cell without volume")
    return cell


def _counted(body: list[_Row], line: int, where: str) -> list[_Row]:
    """Return the atom rows after the count of PRIMCOORD, which they must match."""
    if not body or len(body[0][1]) > 2 or not body[0][1][0].isascii() or not body[0][1][0].isdecimal():
        got = _quote(body[0][1]) if body else "the end of the section"
        _fail(where, body[0][0] if body else line, "the number of atoms after PRIMCOORD", got)
    (line, tokens), atoms = body[0], body[1:]
    declared = tokens[0].lstrip("0") or "0"  # compared as text: a digit string may be too long for int()
    if declared != str(len(atoms)):
        wanted = int(declared) if len(declared) < 10 else math.inf
        last = atoms[int(wanted)][0] if wanted < len(atoms) else (atoms[-1][0] if atoms else line)
        _fail(where, last, f"{declared[:20]} atoms", str(len(atoms)))
    return atoms


def _atoms(rows: list[_Row], where: str) -> tuple[tuple[str, ...], FloatArray]:
    """Return the species and the numbers (x y z, or x y z fx fy fz) of the atom rows."""
    first, width = rows[0][0], len(rows[0][1])
    for line, tokens in rows:
        if len(tokens) not in (4, 7):
            _fail(
                where,
                line,
                "4 columns (El x y z) or 7 (El x y z fx fy fz)",
                f"{len(tokens)}: {_quote(tokens)}",
            )
        if len(tokens) != width:
            _fail(where, line, f"{width} columns as in line {first}", str(len(tokens)))
    species = tuple(_SYMBOL_OF.get(tokens[0]) or _unknown(tokens[0], where, line) for line, tokens in rows)
    flat = " ".join([token for _, tokens in rows for token in tokens[1:]])
    try:
        # float() also takes '1_0' and other scripts' digits; the slow way below refuses them.
        values = list(map(float, flat.split())) if flat.isascii() and "_" not in flat else None
    except ValueError:
        values = None
    if values is None or not all(map(math.isfinite, values)):
        values = [_number(token, where, line) for line, tokens in rows for token in tokens[1:]]
    return species, np.array(values).reshape(len(rows), width - 1)


def _number(token: str, where: str, line: int) -> float:
    if _NUMBER.fullmatch(token):
        value = float(token.replace("D", "e").replace("d", "e"))  # Fortran's double precision exponent
        if math.isfinite(value):
            return value
    _fail(where, line, "a finite number", _quote([token]))


def _unknown(token: str, where: str, line: int) -> NoReturn:
    hint = f" (did you mean {token.capitalize()}?)" if token.capitalize() in _SYMBOL_OF else ""
    _fail(where, line, "an element symbol or atomic number", _quote([token]) + hint)


def _energy(comments: list[tuple[int, str]], where: str) -> float | None:
    energy, cohesive = None, None
    for line, comment in comments:
        if _COHESIVE.search(comment):
            cohesive = line
        found = _TOTAL.search(comment)
        if not found:
            continue
        value, unit = _number(found[1], where, line), found[2].strip(",;()[]")
        if unit.lower() in _OTHER_UNITS:
            _fail(where, line, "the total energy of the structure in eV", f"the unit {unit}")
        if energy is not None and value != energy:
            _fail(where, line, f"one total energy ({energy:.17g} eV)", f"another, {value:.17g} eV")
        energy = value
    if energy is None and cohesive is not None:
        got = "only a cohesive energy, which is not a total energy (the atomic energies are missing)"
        _fail(where, cohesive, "'# total energy = ... eV'", got)
    return energy


def _periodicity(comments: list[tuple[int, str]]) -> Pbc:
    for _, comment in comments:
        found = _PBC.search(comment)
        if found:
            a, b, c = (flag in "Tt" for flag in found.groups())
            return a, b, c
    return True, True, True


def _quote(tokens: list[str]) -> str:
    text = " ".join(tokens[:8])
    return ascii(text if len(text) <= 60 else text[:57] + "...")
