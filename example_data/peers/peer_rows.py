"""The one table of peers and of our models: a row for all test structures, and one for each group."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COLUMNS = (
    *("set", "model", "settings", "group", "structures"),
    *("energy_mev", "energy_per_atom_mev", "force_component", "force_norm", "force_norm_of_difference"),
    *("fit_cpu_s", "fit_wall_s", "fit_mib", "step_ms", "step_atoms", "predict_cpu_s"),
)
ALL = "all"  # the group of all test structures
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Cost:
    """CPU and wall seconds, and largest resident memory in MiB, of programs with one thread."""

    cpu_s: float
    wall_s: float
    mib: float

    def __add__(self, other: Cost) -> Cost:
        """Return what both take, one after the other."""
        return Cost(self.cpu_s + other.cpu_s, self.wall_s + other.wall_s, max(self.mib, other.mib))


def errors(found: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return mean absolute errors of some structures: energies in meV, forces in eV/Å.

    ``force_norm`` is what our own tables call ‖F‖ MAE: the error of the magnitude, never more than the
    magnitude of the error, ``force_norm_of_difference``, and about half of it.
    """
    atoms = [force for item in found for force in item["forces"]]
    norms = [norm for item in found for norm in item["norms"]]
    return {
        "structures": len(found),
        "energy_mev": 1000 * sum(abs(item["energy"]) for item in found) / len(found),
        "energy_per_atom_mev": 1000
        * sum(abs(item["energy"]) / len(item["forces"]) for item in found)
        / len(found),
        "force_component": sum(abs(x) for force in atoms for x in force) / (3 * len(atoms)),
        "force_norm": sum(map(abs, norms)) / len(norms),
        "force_norm_of_difference": sum(sum(x * x for x in force) ** 0.5 for force in atoms) / len(atoms),
    }


def rows_of(head: Mapping[str, str], measured: Mapping[str, Any], fit: Cost, predicting: Cost) -> list[Row]:
    """Return the row of all structures, with what fit, step and prediction cost, and those of groups."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in measured["structures"]:
        groups[item["group"]].append(item)
    cost = {
        "fit_cpu_s": fit.cpu_s,
        "fit_wall_s": fit.wall_s,
        "fit_mib": fit.mib,
        "step_ms": measured["step"]["ms"],
        "step_atoms": measured["step"]["atoms"],
        "predict_cpu_s": predicting.cpu_s,
    }
    rows: list[Row] = [{**head, "group": ALL, **errors(measured["structures"]), **cost}]
    if len(groups) > 1:
        rows += [{**head, "group": name, **errors(items)} for name, items in sorted(groups.items())]
    return rows


def write_rows(rows: Sequence[Row], output: Path) -> None:
    """Write rows as CSV."""
    with output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({k: round(v, 5) if isinstance(v, float) else v for k, v in r.items()} for r in rows)


def print_rows(rows: Sequence[Row]) -> None:
    """Print rows as columns of text."""
    for row in rows:
        print(
            "  ".join(
                f"{key} {value:.4g}" if isinstance(value, float) else str(value) for key, value in row.items()
            )
        )
