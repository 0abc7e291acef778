"""`report`: the artefacts of a working folder → one self-contained HTML page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import mode_style, three_digits
from aenet_gpr_cli.guide.topics import glossary
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.files import write_text
from aenet_gpr_cli.reports import report_pictures as pictures
from aenet_gpr_cli.reports.finished_run import made_copies, stored_metrics
from aenet_gpr_cli.reports.html_page import (
    NOTHING,
    Section,
    bullets,
    folded,
    paragraph,
    render,
    table,
    terms,
    verbatim,
    verdict,
)
from aenet_gpr_cli.stages.shared.context import Context, Summary
from aenet_gpr_cli.stages.workflow_steps import ORDER
from aenet_gpr_cli.units import BYTES_PER_GIB, MEV_PER_EV

NEEDED = "evaluate"
MANY_NOTES = 6  # more are folded
SPREAD_COLUMNS = (
    "network", "E MAE / meV", "E spread / meV", "‖F‖ MAE / eV/Å", "‖F‖ spread / eV/Å", "direction MAE / °",
)  # fmt: skip
LEARNS_FROM = {  # by mode of training
    "energy_only": "energies of the references",
    "taylor": "energies of copies, which a Taylor expansion labels",
    "gpr": "energies of copies, which the Gaussian process labels",
    "direct": "energies and forces of the references",
    "combined": "energies and forces of the references, and copies",
}
UNITS = "Errors of energies are in meV, of a structure or, where that is said, per atom; of forces in eV/Å."


@dataclass(frozen=True, slots=True)
class Found:
    """One artefact of the folder with what it says about itself."""

    path: Path
    kind: str
    attributes: Mapping[str, Any]

    def nested(self, name: str) -> Any:
        """Return an attribute that is stored as JSON."""
        return json.loads(self.attributes[name])


def run(folder: Path, output: Path, context: Context) -> Summary:
    """Write the report of a working folder.

    Parameters
    ----------
    folder : Path
        Working folder of `run`.
    output : Path
        HTML page.

    Raises
    ------
    InputError
        If the folder holds no split and no evaluation.
    """
    found = _find(folder)
    parts = [
        ("Verdict", lambda: _verdict(found)),
        ("Errors", lambda: _errors(found)),
        ("Data", lambda: _data(found)),
        ("Gaussian process", lambda: _tables(found, "fit-gpr")),
        ("Augmentation", lambda: _augmentation(found, folder)),
        ("Training", lambda: _training(found)),
        ("Predictions", lambda: _predictions(folder)),
        ("Spread of the committees", lambda: _spread(found)),
        ("Cost", lambda: _cost(found)),
        ("Configuration", lambda: _configuration(found)),
        ("Environment", lambda: _environment(found)),
    ]
    sections = []
    for number, (title, make) in enumerate(parts):
        context.report(number, len(parts), f"writing {title}")
        if blocks := make():
            sections.append(Section(title, tuple(blocks)))
    name = folder.resolve().name
    lead = f"Report of aenet-gpr on the {len(found)} files of a run, from the data to the errors. {UNITS}"
    if not context.dry_run:
        write_text(output, render(name, lead, sections))
    titles = ", ".join(section.title for section in sections)
    last = f"would write {output}" if context.dry_run else f"wrote {output}"
    return Summary(f"Report of {folder}", notes=[f"sections: {titles}", last])


def _find(folder: Path) -> list[Found]:
    found = []
    for path in sorted(folder.glob("*.h5")) if folder.is_dir() else []:
        with open_artefact(path) as file:
            found.append(Found(path, str(file.attrs["kind"]), dict(file.attrs)))
    kinds = {item.kind for item in found}
    if not {"split", NEEDED} <= kinds:
        got = ", ".join(sorted(kinds)) or "no artefact"
        raise InputError(f"{folder}: expected split.h5 and metrics.h5 of a finished run, got {got}")
    return sorted((item for item in found if item.kind in ORDER), key=lambda item: ORDER.index(item.kind))


def _of(found: list[Found], kind: str) -> list[Found]:
    return [item for item in found if item.kind == kind]


def _tables(found: list[Found], kind: str, best: str | None = None) -> list[str]:
    """Return the tables that a stage ended with, those of several artefacts as one, and its warnings."""
    items = _of(found, kind)
    summaries = {item.path.stem: item.nested("summary") for item in items}
    blocks, notes = [], []
    for columns in dict.fromkeys(tuple(s["columns"]) for s in summaries.values()):
        own = {name: s for name, s in summaries.items() if tuple(s["columns"]) == columns}
        named = len(own) > 1 and columns[0] != "potential"  # which is the name already
        rows = [[name, *row] if named else row for name, s in own.items() for row in s["rows"]]
        blocks.append(paragraph(next(iter(own.values()))["title"]))
        if rows:
            blocks.append(table(("artefact", *columns) if named else columns, rows, best))
    told: dict[str, list[str]] = {}
    for name, summary in summaries.items():
        for note in summary["notes"]:
            told.setdefault(note.partition("wrote ")[0].rstrip("; "), []).append(name)
    for line, names in told.items():
        if line:  # what is true of all is said once
            notes.append(line if len(names) == len(items) else f"{', '.join(names)}: {line}")
    return (
        blocks
        + [paragraph(note) for note in notes if len(notes) <= MANY_NOTES]
        + ([folded(f"{len(notes)} notes", bullets(notes))] if len(notes) > MANY_NOTES else [])
    )


def _verdict(found: list[Found]) -> list[str]:
    """Say which model to use and how good it is, with one picture; older evaluations have the picture."""
    attributes = _of(found, "evaluate")[0].attributes
    totals = {name: result["total"] for name, result in _metrics(found).items()}
    if "verdict" not in attributes:
        return [pictures.summary(totals)]
    judged = json.loads(attributes["verdict"])
    statements = [(item["about"], item["text"]) for item in judged["statements"]]
    said = judged["headline"].removeprefix("Verdict: ")  # which is the title of the section
    return [
        verdict(said[0].upper() + said[1:], judged["grade"], statements),
        folded("What these words mean", terms(list(glossary().items()))),
        pictures.summary(totals, judged["best"]),
    ]


def _errors(found: list[Found]) -> list[str]:
    results = _metrics(found)
    totals = {name: result["total"] for name, result in results.items()}
    blocks = _tables(
        found, "evaluate", next((n for n, result in results.items() if result.get("best")), None)
    )
    blocks += [paragraph("The models"), _models(found, results)]
    for part in ("subsets", "species", "groups"):
        names = sorted({name for result in results.values() for name in result.get(part, {})})
        if len(names) > 1:
            blocks += _by_part(results, part, names, "force_norm_mae", "‖F‖ MAE / eV/Å", 1.0)
            if part != "species":
                label = "E MAE / meV per atom"
                blocks += _by_part(results, part, names, "energy_mae_per_atom", label, MEV_PER_EV)
                if any("stress_mae_gpa" in metrics for metrics in totals.values()):
                    blocks += _by_part(results, part, names, "stress_mae_gpa", "stress MAE / GPa", 1.0)
                    blocks += _by_part(results, part, names, "pressure_mae_gpa", "pressure MAE / GPa", 1.0)
    return blocks


def _models(found: list[Found], results: Mapping[str, Any]) -> str:
    """Say of each model how pictures call it and what it learns from."""
    modes = {item.path.stem: item.nested("config").get("mode") for item in _of(found, "train-ann")}
    processes = {item.path.stem for item in _of(found, "fit-gpr")}
    rows = []
    for name in results:
        said = LEARNS_FROM["direct"] if name in processes else LEARNS_FROM.get(str(modes.get(name)), NOTHING)
        rows.append((name, mode_style(name).label, said))
    return table(("model", "in pictures", "learns from"), rows, text=True)


def _by_part(
    results: Mapping[str, Any], part: str, names: Sequence[str], key: str, label: str, factor: float
) -> list[str]:
    rows = [
        [part, *results],
        *(
            [name, *(_cell(result.get(part, {}).get(name, {}), key, factor) for result in results.values())]
            for name in names
        ),
    ]
    if len(results) > len(names):  # the longer side goes down the page
        rows = [["model", *rows[0][1:]], *rows[1:]]
        rows = [list(column) for column in zip(*rows, strict=True)]
    return [paragraph(f"{label}, by {part}"), table(rows[0], rows[1:])]


def _metrics(found: list[Found]) -> dict[str, Any]:
    return stored_metrics(_of(found, "evaluate")[0].attributes)


def _data(found: list[Found]) -> list[str]:
    return [*_tables(found, "split"), *pictures.energies(_of(found, "split")[0].path)]


def _augmentation(found: list[Found], folder: Path) -> list[str]:
    items = _of(found, "augment")
    if not items:
        return []
    sets = {item.path.stem.removeprefix("augmented_"): item.path for item in items}
    rows = []
    for name, path in sets.items():
        with open_artefact(path) as file:
            made = made_copies(file)
        delta = "adaptive" if made["displacement"] is None else f"{made['displacement']:.3g}"
        rows.append([name, made["method"], delta, made["n_copies"]])
    return [
        table(("variant", "labels by", "δ / Å", "copies per structure"), rows),
        *_tables(found, "augment"),
        *pictures.augmented(folder),
    ]


def _training(found: list[Found]) -> list[str]:
    items = _of(found, "train-ann")
    return _tables(found, "train-ann") + pictures.curves([item.path for item in items])


def _predictions(folder: Path) -> list[str]:
    return [pictures.predictions(folder)]


def _spread(found: list[Found]) -> list[str]:
    rows = []
    for name, result in _metrics(found).items():
        if members := sorted(result["members"], key=lambda member: member["energy_mae"]):
            rows.append([f"{name}, mean of {len(members)}", *_cells(result["total"])])
            rows.append([f"{name}, best member", *_cells(members[0])])
            rows.append([f"{name}, worst member", *_cells(members[-1])])
    pictured = pictures.spread(_of(found, "evaluate")[0].path)
    return [table(SPREAD_COLUMNS, rows), *pictured] if rows else []


def _cells(metrics: Mapping[str, Any]) -> list[str]:
    keys = (
        ("energy_mae", MEV_PER_EV),
        ("energy_spread", MEV_PER_EV),
        ("force_norm_mae", 1.0),
        ("force_norm_spread", 1.0),
        ("force_direction_mae", 1.0),
    )
    return [_cell(metrics, key, factor) for key, factor in keys]


def _cell(metrics: Mapping[str, Any], key: str, factor: float) -> str:
    value = metrics.get(key)
    return NOTHING if value is None else three_digits(value * factor) if value else "0"


def _cost(found: list[Found]) -> list[str]:
    rows = [
        [
            item.path.name,
            item.kind,
            f"{item.attributes['wall_time_s']:.1f}",
            f"{item.attributes['peak_rss_bytes'] / BYTES_PER_GIB:.2f}",
            f"{item.path.stat().st_size / 1e6:.2f}",
        ]
        for item in found
    ]
    columns = ("artefact", "stage", "wall time / s", "peak memory / GiB", "size / MB")
    return [table(columns, rows), *_tables(found, "benchmark")]


def _configuration(found: list[Found]) -> list[str]:
    return [
        paragraph("All keys as they were used, defaults included."),
        *(folded(item.path.name, verbatim(json.dumps(item.nested("config"), indent=2))) for item in found),
    ]


def _environment(found: list[Found]) -> list[str]:
    last = _of(found, "evaluate")[0]
    rows = [[name, version] for name, version in last.nested("versions").items()]
    hashes = "\n".join(f"{k}  {v}" for k, v in last.nested("inputs").items())
    return [
        paragraph(f"Evaluated {last.attributes['created']}."),
        table(("package", "version"), rows),
        folded("SHA-256 of the inputs of the evaluation", verbatim(hashes)),
    ]
