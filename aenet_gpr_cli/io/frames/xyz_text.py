"""Text of extended XYZ files: the comment line read, frames written, both as ASE does.

ASE itself would import its whole io, longer than a prediction takes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TextIO

import numpy as np

from aenet_gpr_cli.structures import FloatArray, Structure

MATRICES = frozenset({"Lattice", "virial", "stress"})  # nine numbers, column after column
CLOSING = {"'": "'", '"': '"', "{": "}", "[": "]"}
FLAGS = dict.fromkeys(("T", "true", "True", "TRUE"), True) | dict.fromkeys(
    ("F", "false", "False", "FALSE"), False
)


def read_header(text: str) -> dict[str, Any]:
    """Return the keys and values of a comment line.

    Returns
    -------
    dict
        Numbers (int, float, or arrays of them), flags, matrices (3, 3), what follows ``_JSON``, else text; a
        key alone is true.

    Raises
    ------
    ValueError
        If a matrix has not nine numbers, or what follows ``_JSON`` is something else.
    IndexError
        If a value has no key.
    """
    found: dict[str, Any] = {}
    for parts in _words(text.strip()):
        key, value = parts[0], "=".join(parts[1:]) if len(parts) > 1 else "T"
        found[key] = value if key.lower() == "uid" else _value(key, value)
    return found


def _words(text: str) -> list[list[str]]:
    """Key and value of each pair, and what further equals signs separate; brackets and quotes hold."""
    pairs, closing, escaped = [[""]], "", False
    for char in text:
        if escaped:
            pairs[-1][-1] += char
            escaped = False
        elif char == "\\":
            escaped = True
        elif closing:
            if char == closing:
                closing = ""
            else:
                pairs[-1][-1] += char
        elif char in CLOSING:
            closing = CLOSING[char]
        elif char.isspace():
            if pairs[-1][-1]:
                pairs.append([""])
        elif char == "=":
            if pairs[-1] == [""]:
                del pairs[-1]
            pairs[-1].append("")
        else:
            pairs[-1][-1] += char
    return pairs


def _value(key: str, text: str) -> Any:
    parts = re.findall(r"[^\s,]+", text)
    numbers = _numbers(parts)
    if key in MATRICES:
        if numbers is None or numbers.shape != (9,):
            raise ValueError(f"{key}: expected nine numbers, got {text[:40]!a}")
        return numbers.reshape((3, 3), order="F")
    if numbers is not None:
        return numbers[0] if len(numbers) == 1 else numbers
    if all(part in FLAGS for part in parts):
        flags = [FLAGS[part] for part in parts]
        return flags[0] if len(flags) == 1 else flags
    if not text.startswith("_JSON "):
        return text
    stored = json.loads(text.removeprefix("_JSON "))
    array = np.array(stored)
    return array if array.dtype.kind in "ifb" else stored


def _numbers(parts: list[str]) -> np.ndarray[Any, Any] | None:
    for kind in (int, float):
        try:
            return np.array(parts, dtype=kind)
        except (ValueError, OverflowError):
            pass
    return None


def write_frame(
    file: TextIO, structure: Structure, info: Mapping[str, Any], columns: Mapping[str, FloatArray | None]
) -> None:
    """Write a structure.

    Parameters
    ----------
    info : mapping
        What the comment line says besides lattice and periodicity, in this order; without what is None.
    columns : mapping of str to ndarray of shape (n_atoms,) or (n_atoms, n), or None
        Besides species and positions.
    """
    arrays = {"pos": structure.positions} | {k: v for k, v in columns.items() if v is not None}
    flat = {name: values.reshape(structure.n_atoms, -1) for name, values in arrays.items()}
    kinds = "".join(f":{name}:R:{values.shape[1]}" for name, values in flat.items())
    cell = structure.cell
    lattice = "" if cell is None or not cell.any() else f'Lattice="{" ".join(map(str, cell.ravel()))}" '
    said = {**{k: v for k, v in info.items() if v is not None}, "pbc": np.array(structure.pbc)}
    pairs = " ".join(f"{_escaped(key)}={_escaped(_text(key, value))}" for key, value in said.items())
    file.write(f"{structure.n_atoms}\n{lattice}Properties=species:S:1{kinds} {pairs}\n")
    rows = np.hstack(list(flat.values()))
    form = "%-2s" + " %16.8f" * rows.shape[1] + "\n"
    file.writelines(
        form % (symbol, *row) for symbol, row in zip(structure.species, rows.tolist(), strict=True)
    )


def _text(key: str, value: Any) -> str:
    """Return a value as the comment line has it."""
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray):
        flat = value.ravel(order="F") if key in MATRICES else value
        if flat.ndim > 1:
            return f"_JSON {json.dumps(flat.tolist())}"
        return " ".join(_text("", one) for one in flat)
    if isinstance(value, (bool, np.bool_)):
        return "T" if value else "F"
    return f"{value}"


def _escaped(text: str) -> str:
    if not any(char in text for char in " \"'{}[]"):
        return text
    return '"' + text.replace('"', '\\"') + '"'
