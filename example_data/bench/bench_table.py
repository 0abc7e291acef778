"""The table of the benchmark: CSV, and the comparison of two."""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from pathlib import Path

WORSE = 1.05  # an error larger by more than this is not the same accuracy
ERRORS = ("energy_mae_mev", "force_norm_mae", "force_component_mae")


@dataclass
class Result:
    """A row of the table; empty where it is not defined.

    ``cpu_s`` and ``wall_s`` are seconds of one ``unit`` (run, iteration, step), ``peak_mib`` the largest
    resident memory of the process, errors those on the test set (meV a structure; eV/Å). ``of_limit`` is
    ``limit_s``, what the products named by ``limit`` take at the measured rate of dgemm, over ``cpu_s``:
    above 1 where a method does without them.
    """

    row: str
    about: str = ""
    size: str = ""
    commit: str = ""
    unit: str = "run"
    repeats: int = 1
    cpu_s: float | None = None
    wall_s: float | None = None
    peak_mib: float | None = None
    energy_mae_mev: float | None = None
    force_norm_mae: float | None = None
    force_component_mae: float | None = None
    limit: str = ""
    limit_s: float | None = None
    of_limit: float | None = None
    note: str = ""
    threads: int = 1
    cpu_model: str = ""
    cores: str = ""
    load: str = ""
    dgemm_gflops: str = ""
    blas: str = ""
    python: str = ""
    versions: str = ""


NUMBERS = {field.name for field in fields(Result) if field.type == "float | None"}
WHOLE = {field.name for field in fields(Result) if field.type == "int"}


def write(path: Path, results: list[Result]) -> None:
    """Write the table; rows of an earlier one of this name that were not measured now stay."""
    names = {result.row for result in results}
    if path.exists():
        results = [old for old in read(path) if old.row not in names] + results
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Result)])
        writer.writeheader()
        for result in results:
            writer.writerow({k: _text(v) for k, v in vars(result).items()})


def read(path: Path) -> list[Result]:
    """Read a table."""
    if not path.is_file():
        raise SystemExit(
            f"{path}: no such table; give AGAINST=FILE.csv one of runs/bench, or a git reference"
        )
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        known = [field.name for field in fields(Result)]
        if not {"row", "cpu_s", "size"} <= set(reader.fieldnames or ()):
            raise SystemExit(
                f"{path}: expected a table of make bench, got the columns {reader.fieldnames}; "
                "give AGAINST=FILE.csv one of runs/bench"
            )
        return [Result(**{k: _value(k, line[k]) for k in known if line.get(k)}) for line in reader]  # type: ignore[arg-type]


def _text(value: object) -> object:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else value


def _value(name: str, text: str) -> str | float | int:
    return float(text) if name in NUMBERS else int(text) if name in WHOLE else text


def compare(old: list[Result], new: list[Result]) -> list[str]:
    """Return lines that set the rows of two tables side by side: old → new, old/new, and what got worse."""
    before = {result.row: result for result in old}
    pairs = [(before[result.row], result) for result in new if result.row in before]
    lines = _warnings(pairs)
    head = f"{'row':<20} {'unit':<9} {'CPU s, old → new':>22} {'old/new':>8} {'wall':>6} {'MiB':>6}  errors"
    lines += [head, "-" * len(head)]
    for a, b in pairs:
        if a.cpu_s is None or b.cpu_s is None:
            lines.append(f"{b.row:<20} {b.unit:<9} old: {a.note or 'ran'}; new: {b.note or 'ran'}")
            continue
        seconds = f"{a.cpu_s:.4g} → {b.cpu_s:.4g}"
        ratios = [_ratio(getattr(a, key), getattr(b, key)) for key in ("cpu_s", "wall_s", "peak_mib")]
        cells = f"{seconds:>22} {ratios[0]:>8} {ratios[1]:>6} {ratios[2]:>6}"
        lines.append(f"{b.row:<20} {b.unit:<9} {cells}  {_errors(a, b)}")
    return lines


def _warnings(pairs: list[tuple[Result, Result]]) -> list[str]:
    if not pairs:
        return ["no row is in both tables"]
    lines = []
    for key, what in (
        ("size", "data: the ratios mean nothing"),
        ("cpu_model", "machines"),
        ("versions", "libraries"),
        ("threads", "threads"),
    ):
        if any(getattr(a, key) != getattr(b, key) for a, b in pairs):
            lines.append(f"warning: the two tables are of different {what}")
    return lines


def _ratio(a: float | None, b: float | None) -> str:
    return f"{a / b:.2f}" if a and b else "–"


def _errors(a: Result, b: Result) -> str:
    values = [(getattr(a, key), getattr(b, key)) for key in ERRORS]
    shown = [f"{x:.3g} → {y:.3g}" for x, y in values if x is not None and y is not None]
    worse = any(y > WORSE * x for x, y in values if x is not None and y is not None)
    return ", ".join(shown) + ("  WORSE" if worse else "")
