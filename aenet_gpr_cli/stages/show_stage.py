"""`show`: what an artefact says about itself: provenance, its table, every array with its unit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import yaml

from aenet_gpr_cli.io.artefacts.artefact import open_artefact, read_summary
from aenet_gpr_cli.stages.shared.context import Summary
from aenet_gpr_cli.units import BYTES_PER_GIB

HASH_SHOWN = 12


def run(path: Path) -> list[Summary]:
    """Return the tables about an artefact: provenance, what its stage said, arrays.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of Summary

    Raises
    ------
    InputError
        If it is no complete artefact.
    """
    with open_artefact(path) as file:
        kind, attributes = str(file.attrs["kind"]), dict(file.attrs)
        arrays = _arrays(file)
    stored = read_summary(path)
    tables = [Summary(f"{path.name}: output of {kind}", ("", ""), _provenance(attributes))]
    if stored:
        notes = [note for note in stored["notes"] if not note.startswith("wrote ")]
        tables.append(Summary(stored["title"], stored["columns"], stored["rows"], notes))
    tables.append(Summary("Arrays", ("name", "shape", "type", "unit", "meaning"), arrays))
    return tables


def configuration(path: Path) -> str:
    """Return the configuration that an artefact was made with, as YAML.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str
    """
    with open_artefact(path) as file:
        values: dict[str, Any] = json.loads(file.attrs["config"])
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _provenance(attributes: dict[str, Any]) -> list[list[str]]:
    inputs, versions = json.loads(attributes["inputs"]), json.loads(attributes["versions"])
    rows = [
        ["created", str(attributes["created"])],
        ["wall time", f"{float(attributes['wall_time_s']):.1f} s"],
        ["peak memory", f"{float(attributes['peak_rss_bytes']) / BYTES_PER_GIB:.2f} GiB"],
        ["seed", str(attributes["seed"])],
        ["format version", str(attributes["format_version"])],
    ]
    if "part" in attributes:
        part, whole = json.loads(attributes["part"]), json.loads(attributes["whole"])
        rows.append(["part", f"{', '.join(part)} of {', '.join(whole)}"])
    rows += [[f"input {name}", f"SHA-256 {digest[:HASH_SHOWN]}…"] for name, digest in inputs.items()]
    return [*rows, ["versions", ", ".join(f"{name} {number}" for name, number in versions.items())]]


def _arrays(file: h5py.File) -> list[list[str]]:
    rows: list[list[str]] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            kind = "text" if h5py.check_string_dtype(item.dtype) else str(item.dtype)
            unit, meaning = (str(item.attrs.get(key, "")) for key in ("unit", "meaning"))
            rows.append([name, " × ".join(map(str, item.shape)) or "scalar", kind, unit, meaning])

    file.visititems(visit)
    return rows
