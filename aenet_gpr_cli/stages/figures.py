"""`figures`: the artefacts of a working folder → the paper's figures of that case, as PDF and PNG.

Which figures come out follows from what the folder holds: comparison of models, parity and direction (4, 6),
energies of the split (S12, S14) and of the copies (S13, S15), errors against δ (2e-h, 3, 5) and M (S8, S9).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures import parity, summary, sweep
from aenet_gpr_cli.figures.style import save
from aenet_gpr_cli.io.artefact import open_artefact, sha256_of
from aenet_gpr_cli.stages import report_pictures as pictures
from aenet_gpr_cli.stages.base import Context, Summary
from aenet_gpr_cli.stages.pictures import parity_of

SUFFIXES = (".pdf", ".png")
MOST_MODELS = 6  # side by side in parity plots


def run(folder: Path, output: Path, context: Context) -> Summary:
    """Draw the figures of a working folder.

    Parameters
    ----------
    folder : Path
        Working folder of `run`.
    output : Path
        Folder of the pictures.
    context : Context

    Returns
    -------
    Summary

    Raises
    ------
    InputError
        If the folder holds no evaluation.
    """
    if not (folder / "metrics.h5").is_file():
        raise InputError(f"{folder}: expected metrics.h5 of a finished run, got none")
    output.mkdir(parents=True, exist_ok=True)
    notes = []
    for number, (name, figure) in enumerate(_figures(folder)):
        context.report(number, 0, f"drawing {name}")
        for suffix in SUFFIXES:
            save(figure, output / f"{name}{suffix}")
        notes.append(f"wrote {output / name}{{{','.join(SUFFIXES)}}}")
    return Summary(f"Figures of {folder}", notes=notes)


def _figures(folder: Path) -> Iterator[tuple[str, Figure]]:
    split = folder / "split.h5"
    with open_artefact(folder / "metrics.h5", "evaluate") as file:
        results = json.loads(file.attrs["metrics"])
        smallest = json.loads(file.attrs["config"])["smallest_force"]
        shown = list(results)[:MOST_MODELS]
        samples = {name: parity_of(file, name, smallest) for name in shown}
    totals = {name: result["total"] for name, result in results.items()}
    yield "errors", summary.plot({name: totals[name] for name in shown})
    yield "parity", parity.plot(samples, totals)
    yield "energies", pictures.distributions.plot(pictures.energies_by_part(split))
    sets = {p.stem.removeprefix("augmented_"): p for p in sorted(folder.glob("augmented_*.h5"))}
    if sets:
        yield "augmented", pictures.distributions.plot_augmented(*pictures.augmented_energies(split, sets))
    rows = sweep_rows(folder, totals)
    for against in ("displacement", "n_copies"):
        if (chosen := _varying(rows, against)) is not None:
            yield f"errors_against_{against}", sweep.plot(chosen, against)


def sweep_rows(folder: Path, totals: dict[str, Any]) -> list[dict[str, Any]]:
    """Join the errors of each network with the augmentation it was trained on, by the hash of that file."""
    augmented = {}
    for path in folder.glob("augmented_*.h5"):
        with open_artefact(path, "augment") as file:
            augmented[sha256_of(path)] = json.loads(file.attrs["config"])
    rows = []
    for name, metrics in totals.items():
        if not name.startswith("ann_"):
            continue
        with open_artefact(folder / f"{name}.h5", "train-ann") as file:
            source = augmented.get(json.loads(file.attrs["inputs"]).get("augmented", ""), {})
        keys = ("method", "displacement", "n_copies")
        rows.append({"model": name, **{key: source.get(key) for key in keys}, **metrics})
    return rows


def _varying(rows: list[dict[str, Any]], against: str) -> list[dict[str, Any]] | None:
    """Return the rows of the longest sweep over one key, per method, with the models that have none."""
    other = "n_copies" if against == "displacement" else "displacement"
    chosen = [row for row in rows if row["method"] is None]
    found = False
    for method in ("gpr", "taylor"):
        own = [row for row in rows if row["method"] == method]
        if not own:
            continue
        held = [[r for r in own if r[other] == value] for value in {row[other] for row in own}]
        longest = max(held, key=lambda group: len({row[against] for row in group}))
        found |= len({row[against] for row in longest}) > 1
        chosen += longest
    return chosen if found else None
