"""XSF files of several frames (ANIMSTEPS), and blocks of an XSF file that say nothing about its atoms.

Owns how lines are divided among frames. What they mean is left to `xsf_parser`.
"""

from __future__ import annotations

from aenet_gpr_cli.errors import InputError

Row = tuple[int, list[str]]
Comment = tuple[int, str]

_SHARED = {"CRYSTAL", "SLAB", "POLYMER", "MOLECULE"}
_STEPPED = {"PRIMVEC", "CONVVEC", "PRIMCOORD", "CONVCOORD", "ATOMS"}
_MAX_STEPS = 10_000_000


def without_blocks(rows: list[Row], where: str) -> list[Row]:
    """Return the rows outside ``BEGIN_…`` … ``END_…`` (data grids, band grids, infos).

    Raises
    ------
    InputError
        If a block has no end.
    """
    kept: list[Row] = []
    open_block: tuple[int, str] | None = None
    for line, tokens in rows:
        word = tokens[0].upper()
        if open_block is None and word.startswith("BEGIN_"):
            open_block = line, word.replace("BEGIN_", "END_", 1)
        elif open_block is None:
            kept.append((line, tokens))
        elif word == open_block[1] or (word.startswith("END_") and open_block[1].startswith(word)):
            open_block = None
    if open_block is not None:
        raise InputError(f"{where}:{open_block[0]}: expected {open_block[1]}, got the end of the file")
    return kept


def divided(rows: list[Row], comments: list[Comment], where: str) -> list[tuple[list[Row], list[Comment]]]:
    """Return rows and comments of each frame; a file without ``ANIMSTEPS`` is one frame.

    A frame has what stands before the first one (kind of structure, fixed lattice vectors) and its own
    sections (``PRIMVEC 2``, ``PRIMCOORD 2`` or ``ATOMS 2``). Comments belong to the frame before whose atoms
    they stand; those at the end to the last.

    Raises
    ------
    InputError
        If the steps are not those that are declared.
    """
    at = next((i for i, (_, tokens) in enumerate(rows) if tokens[0].upper() == "ANIMSTEPS"), None)
    if at is None:
        return [(rows, comments)]
    line, tokens = rows[at]
    if len(tokens) != 2 or not tokens[1].isdecimal() or not 0 < int(tokens[1][:9]) < _MAX_STEPS:
        raise InputError(
            f"{where}:{line}: expected ANIMSTEPS and the number of frames, got {' '.join(tokens)[:60]!a}"
        )
    shared: list[Row] = []
    steps: dict[int, list[Row]] = {}
    atoms_at: dict[int, int] = {}
    current = shared
    for line, tokens in [*rows[:at], *rows[at + 1 :]]:
        word = tokens[0].upper()
        if word in _STEPPED and len(tokens) == 2 and tokens[1].isdecimal():
            step = int(tokens[1][:9])
            current = steps.setdefault(step, [])
            current.append((line, [tokens[0]]))
            if word in ("PRIMCOORD", "ATOMS"):
                atoms_at[step] = line
        else:
            if word in _SHARED or word in _STEPPED:
                current = shared
            current.append((line, tokens))
    expected = int(rows[at][1][1])
    if sorted(steps) != list(range(1, expected + 1)) or len(atoms_at) != expected:
        raise InputError(
            f"{where}:{rows[at][0]}: expected PRIMCOORD 1 to {expected} (or ATOMS) for ANIMSTEPS, "
            f"got {len(atoms_at)} of them"
        )
    own: dict[int, list[Comment]] = {step: [] for step in steps}
    for number, comment in comments:
        later = [step for step in sorted(atoms_at) if atoms_at[step] > number]
        own[later[0] if later else expected].append((number, comment))
    return [([*shared, *steps[step]], own[step]) for step in sorted(steps)]
