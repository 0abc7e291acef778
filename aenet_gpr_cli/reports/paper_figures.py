"""The figures of the paper by their numbers: which tables of a finished run each is drawn from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures import (
    benchmark_plot,
    energy_curves,
    energy_distributions,
    error_bars,
    label_differences,
    parity_plot,
    structure_views,
    sweep_curves,
)
from aenet_gpr_cli.figures.style import AS_IN_THE_PAPER
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.reports import bond_curves, finished_run, label_pairs
from aenet_gpr_cli.reports.finished_run import LOCAL, SURROGATE, read_run, sweep_rows, varying
from aenet_gpr_cli.reports.report_pictures import augmented_energies, energies_by_part

Draw = Callable[..., Figure]  # of the folder, and of that of the paper's recipe where the figure shows it
FORMULA_NUMBER = re.compile(r"(?<=[A-Za-z])\d+")
FILE_NAME = re.compile(r"_?\d*(\.\w+)?$")  # the end of a structure's name: number and suffix
LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def _errors(
    against: str,
    folder: Path,
    paper: Path | None = None,
    *,
    quantities: Sequence[str] = tuple(sweep_curves.QUANTITIES),
) -> Figure:
    run = read_run(folder)
    rows = sweep_rows(run.rows, against)
    if rows is None:
        raise InputError(f"{folder}: expected networks with several values of {against}, got one")
    rows = rows + finished_run.process_rows(run)
    beside = finished_run.rows_of_recipe(read_run(paper), against) if paper else ()
    return sweep_curves.plot(rows, against, quantities, beside)


def _parity(folder: Path) -> Figure:
    run = read_run(folder)
    models = finished_run.shown_models(run) | {name: "" for name in run.results if name == LOCAL}
    return parity_plot.plot(finished_run.samples_of(run, models), run.totals, models)


def _modes(folder: Path, paper: Path | None = None) -> Figure:
    run = read_run(folder)
    processes = {name: "" for name in (SURROGATE, LOCAL) if name in run.results}
    remarks = processes | finished_run.best_models(run)
    table = {name: run.totals[name] for name in remarks}
    if paper:
        recipe = read_run(paper)
        for name in (SURROGATE, *finished_run.best_models(recipe)):
            own = f"{name}_{AS_IN_THE_PAPER.replace(' ', '_')}"  # drawn as its mode
            table[own] = recipe.totals[name]
            remarks[own] = AS_IN_THE_PAPER if name != SURROGATE else ""
    return error_bars.plot_models(table, remarks=remarks)


def _kernels(folder: Path) -> Figure:
    run = read_run(folder)
    models = finished_run.kernels_of(run)
    return parity_plot.plot(finished_run.samples_of(run, models), run.totals, models, whole_names=True)


def _benchmark(folder: Path) -> Figure:
    with open_artefact(folder / "benchmark.h5", "benchmark") as file:
        return benchmark_plot.plot(json.loads(file.attrs["table"]))


def _modes_along_bond(folder: Path, paper: Path | None = None) -> Figure:
    run = read_run(folder)
    models = finished_run.shown_models(run)
    both = [bond_curves.curves(run, models, quantity) for quantity in ("energy", "force")]
    if paper:
        recipe = read_run(paper)
        others = finished_run.shown_models(recipe)
        both = [
            bond_curves.beside_the_paper(ours, bond_curves.curves(recipe, others, quantity))
            for ours, quantity in zip(both, ("energy", "force"), strict=True)
        ]
    return energy_curves.plot_modes(*both)


def _baselines_along_bond(quantity: str, folder: Path) -> Figure:
    run = read_run(folder)
    models = {row["model"]: "" for row in run.rows if row["method"] is None}
    return energy_curves.plot(bond_curves.curves(run, models, quantity), quantity)


def _sweep_along_bond(method: str, quantity: str, folder: Path) -> Figure:
    run = read_run(folder)
    rows = [r for r in varying(run.rows, "displacement") or () if r["method"] == method]
    rows = sorted(rows, key=lambda row: float(row["displacement"]))
    models = {row["model"]: finished_run.source_text(row) for row in rows}
    return energy_curves.plot(bond_curves.curves(run, models, quantity), quantity)


def _labels_along_bond(folder: Path) -> Figure:
    run = read_run(folder)
    rows = varying(run.rows, "displacement") or []
    return energy_curves.plot(bond_curves.label_curves(run, rows), "energy")


def _label_errors(folder: Path) -> Figure:
    run = read_run(folder)
    rows = varying(run.rows, "displacement") or []
    return label_differences.plot_errors(bond_curves.label_errors(run, rows))


def _kernels_along_bond(quantity: str, folder: Path) -> Figure:
    run = read_run(folder)
    return energy_curves.plot(bond_curves.curves(run, finished_run.kernels_of(run), quantity), quantity)


def _split_energies(folder: Path) -> Figure:
    return energy_distributions.plot(energies_by_part(folder / "split.h5"))


def _augmented_energies(folder: Path) -> Figure:
    run = read_run(folder)
    sets = finished_run.sets_of_sweep(run)
    titles = finished_run.titles_of(run, sets)
    return energy_distributions.plot_augmented(*augmented_energies(run.split, sets), titles)


def _label_differences(folder: Path) -> Figure:
    return label_differences.plot(label_pairs.differences(read_run(folder)))


def _labels_along_a_line(folder: Path) -> Figure:
    return label_differences.plot_cut(label_pairs.cut(read_run(folder)))


def _subset_errors(quantity: str, folder: Path) -> Figure:
    run = read_run(folder)
    table = {model: run.results[model]["subsets"] for model in finished_run.shown_models(run)}
    for name in (SURROGATE, LOCAL):
        if name in run.results:  # σ of a process is no spread of members
            subsets = run.results[name]["subsets"]
            table[name] = {subset: finished_run.without_spread(row) for subset, row in subsets.items()}
    return error_bars.plot_subsets(table, quantity, _subset_labels(run.split))


def _subset_structures(folder: Path) -> Figure:
    split = folder / "split.h5"
    labels, test = _subset_labels(split), load_split(split, "test")
    views = []
    for name, subset in load_split(split, "train").items():
        source = FILE_NAME.sub("", subset.names[0].rpartition("/")[2]).replace("_", " ")
        numbers = f"{len(subset)} + {len(test[name]) if name in test else 0}"
        views.append(structure_views.StructureView(labels[name], f"{source}, {numbers}", subset.structure(0)))
    return structure_views.plot(views)


def _subset_labels(split: Path) -> dict[str, str]:
    """Write the formulae that subsets are named by with lowered numbers."""
    return {
        name: FORMULA_NUMBER.sub(lambda match: match[0].translate(LOWERED), name)
        for name in load_split(split, "train")
    }


FIGURES: Mapping[str, Draw] = {
    "2a-d": _modes_along_bond,
    "2e-h": partial(_errors, "displacement", quantities=("energy", "force_norm")),
    "3": partial(_errors, "displacement"),
    "4": _parity,
    "5": partial(_errors, "displacement"),
    "6": _parity,
    "7": _benchmark,
    "S1a-c": _labels_along_bond,
    "S1d": _label_errors,
    "S2": partial(_baselines_along_bond, "energy"),
    "S3": partial(_baselines_along_bond, "force"),
    "S4": partial(_sweep_along_bond, "taylor", "energy"),
    "S5": partial(_sweep_along_bond, "gpr", "energy"),
    "S6": partial(_sweep_along_bond, "taylor", "force"),
    "S7": partial(_sweep_along_bond, "gpr", "force"),
    "S8": partial(_errors, "n_copies"),
    "S9": partial(_errors, "n_copies"),
    "S10": partial(_subset_errors, "energy"),
    "S11": partial(_subset_errors, "force"),
    "S12": _split_energies,
    "S13a": _augmented_energies,
    "S13b": _label_differences,
    "S13c": _labels_along_a_line,
    "S14": _split_energies,
    "S15a": _augmented_energies,
    "S15b": _label_differences,
    "S16": _subset_structures,
    "S17ac": partial(_kernels_along_bond, "energy"),
    "S17bd": partial(_kernels_along_bond, "force"),
    "S18": _kernels,
    "S19": _kernels,
}


OTHERS: Mapping[str, Draw] = {"modes": _modes}
BESIDE = ("2a-d", "2e-h", "3", "5", "S8", "S9", "modes")  # which show the paper's recipe


def draw(number: str, folder: Path, paper: Path | None = None) -> Figure:
    """Draw a figure of the paper from a finished run.

    Parameters
    ----------
    number : str
        As in the paper: ``3``, ``S13b``; or ``modes``, errors of the training modes side by side.
    folder : Path
        Working folder of `run`, or of `benchmark` for Figure 7.
    paper : Path, optional
        Working folder of a run by the paper's recipe, drawn beside it, dashed, into a figure of `BESIDE`.

    Raises
    ------
    InputError
        If there is no such figure, or the run lacks what it shows, or it has no place for the recipe.
    """
    known = {**FIGURES, **OTHERS}
    if number not in known:
        raise InputError(f"figure {number}: expected one of {', '.join(known)}")
    if paper is None:
        return known[number](folder)
    if number not in BESIDE:
        raise InputError(f"figure {number}: the paper's recipe is drawn into {', '.join(BESIDE)} only")
    return known[number](folder, paper)
