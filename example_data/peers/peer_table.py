"""Join the tables of peers and of our models to one: as CSV, and as the guide shows it.

Run as ``python example_data/peers/peer_table.py FOLDER [--output peers.csv]``; needs only Python. Reads what
the other scripts wrote into the folder (``*.csv``), takes the rows of all test structures, and prints them
as the guide's topic `paper` has them, from which `draw_error_time.py` draws the picture of README.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peer_rows import ALL, COLUMNS, Row, write_rows

SETS = {  # in this order: names of folders, and what the table calls them
    "ec_dimer": "EC dimers",
    "ethanol": "ethanol",
    "li_ec": "EC on Li(100)",
    "li": "Li",
    "si": "Si",
}
MODELS = (
    *("full process", "local process", "GPR-ANN", "direct", "combined"),
    *("sGDML", "gap_fit", "MACE"),
)
HEAD = "| set | model | fit / s | fit / MiB | E / meV | per atom | F comp. / eV/Å | ‖F‖ | step / ms (atoms) |"
NONE = "–"  # what was not measured
NUMBERS = ("fit_cpu_s", "fit_mib", "energy_mev", "energy_per_atom_mev", "force_component", "force_norm")


def read_rows(folder: Path, but: Path | None = None) -> list[Row]:
    """Return the rows of all test structures of all tables of the folder, in the order of the table."""
    rows: list[Row] = []
    for path in sorted(folder.glob("*.csv")):
        if but is None or path.resolve() != but.resolve():
            with path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                if tuple(reader.fieldnames or ()) == COLUMNS:
                    rows += [row for row in reader if row["group"] == ALL]
                else:
                    print(f"{path}: left out, has other columns")
    return sorted(rows, key=place)


def place(row: Row) -> tuple[int, str, int, str]:
    """Return where a row stands: known sets and models first, in their order."""
    return (
        list(SETS).index(row["set"]) if row["set"] in SETS else len(SETS),
        row["set"],
        MODELS.index(row["model"]) if row["model"] in MODELS else len(MODELS),
        row["model"],
    )


def rounded(value: Any) -> str:
    """Return a number in three digits, without an exponent; a dash for none."""
    if value in (None, ""):
        return NONE
    text = f"{float(value):.3g}"
    return f"{float(text):.0f}" if "e+" in text else text if "e" not in text else f"{float(value):.6f}"


def to_markdown(rows: Sequence[Row]) -> str:
    """Return the table of the guide."""
    lines = [HEAD, "|" + HEAD.count("|", 1) * "---|"]
    for row in rows:
        numbers = [rounded(row.get(key)) for key in NUMBERS]
        step = f"{rounded(row.get('step_ms'))} ({row['step_atoms']})"
        cells = (SETS.get(row["set"], row["set"]), row["model"], *numbers, step)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def from_markdown(text: str) -> list[Row]:
    """Return the rows of the first such table of a text, with its numbers; `to_markdown` writes it."""
    names = {title: name for name, title in SETS.items()}
    rows: list[Row] = []
    for line in text.split(HEAD)[1].split("\n\n")[0].strip().splitlines()[1:]:
        title, model, *numbers, step = (cell.strip() for cell in line.strip().strip("|").split("|"))
        ms, atoms = step.rstrip(")").split(" (")
        values = dict(zip((*NUMBERS, "step_ms", "step_atoms"), (*numbers, ms, atoms), strict=True))
        known = {key: float(text) for key, text in values.items() if text != NONE}
        rows.append({"set": names.get(title, title), "model": model, **known, "step_atoms": int(atoms)})
    return rows


def main() -> None:
    """Write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, default=Path("peers.csv"))
    options = parser.parse_args()
    rows = read_rows(options.folder, options.output)
    if not rows:
        raise SystemExit(f"{options.folder}: no tables of peers")
    write_rows(rows, options.output)
    print(to_markdown(rows))


if __name__ == "__main__":
    main()
