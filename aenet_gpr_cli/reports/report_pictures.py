"""Pictures of the report: from artefacts to inline pictures with captions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from aenet_gpr_cli.evaluation.parity_samples import ATOMS
from aenet_gpr_cli.figures import energy_distributions, error_bars, learning_curves, parity_plot, spread_plot
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.reports import finished_run
from aenet_gpr_cli.reports.finished_run import SURROGATE
from aenet_gpr_cli.reports.html_page import picture
from aenet_gpr_cli.structures import FloatArray

COLUMNS = 4  # panels side by side


def summary(totals: Mapping[str, Any], best: str | None = None) -> str:
    """Draw the comparison of all models, the best one marked."""
    caption = "Mean absolute errors on the evaluated structures, on logarithmic axes"
    caption += f"; the star is {best}, the model to use." if best else "."
    return picture(error_bars.plot_models(totals, best=best), caption)


def energies(split: Path) -> list[str]:
    """Draw the energies of training and test structures above the lowest of their subset."""
    parts = energies_by_part(split)
    caption = "Energies of the reference structures above the lowest of their subset."
    return [picture(energy_distributions.plot(parts), caption)] if parts else []


def augmented(folder: Path) -> list[str]:
    """Draw the energies of the copies of the longest sweep over those of their parents."""
    run = finished_run.read_run(folder)
    sets = finished_run.sets_of_sweep(run)
    titles = finished_run.titles_of(run, sets)
    caption = "Energies of the displaced copies (lines) over those of the training structures (grey)."
    figure = energy_distributions.plot_augmented(*augmented_energies(run.split, sets), titles)
    return [picture(figure, caption)]


def curves(models: Sequence[Path]) -> list[str]:
    """Draw the learning curves, so many side by side as fit."""
    from aenet_gpr_cli.stages.train_ann.members import read_error_curves  # brings torch, unlike the others

    blocks = []
    for start in range(0, len(models), COLUMNS):
        found = {}
        for path in models[start : start + COLUMNS]:
            curve = read_error_curves(path)
            found[path.stem] = learning_curves.LearningCurve(curve.training, curve.validation, curve.quantity)
        figure = learning_curves.plot(found, "epoch or iteration")
        caption = "Errors while training: median of the committee, shaded from best to worst."
        if any("weighted" in curve.quantity for curve in found.values()):
            caption += (
                " The weighted error is the root of the loss, of energies and forces as they count in it."
            )
        blocks.append(picture(figure, caption))
    return blocks


def predictions(folder: Path) -> str:
    """Draw predictions of the surrogate and of one network for each mode against the reference."""
    run = finished_run.read_run(folder)
    surrogate = {name: "" for name in run.results if name == SURROGATE}
    models = surrogate | finished_run.shown_models(run)
    caption = "Energy, ‖F‖ and the angle to the reference force; dashed lines mark errors of 1 eV/Å."
    if len(models) < len(run.results):
        caption += " Of several networks of a mode, the one with the smallest error of ‖F‖."
    samples = finished_run.samples_of(run, models or dict.fromkeys(run.results, ""))
    if any(item.zero == ATOMS for item in samples.values()):
        caption += " Energies count from those of atoms, fitted to the compositions."
    return picture(parity_plot.plot(samples, run.totals, models), caption)


def spread(metrics: Path) -> list[str]:
    """Draw the error of each committee against its spread; nothing where there is no committee."""
    with open_artefact(metrics, "evaluate") as file:
        results = json.loads(file.attrs["metrics"])
        names = [name for name, result in results.items() if result["members"]]
        found = {name: _spread_of(file, name) for name in names}
    caption = (
        "Error of the committee's energy against the spread of its members, one point per structure. On the "
        "solid line both are equal; above the dashed line the error is more than twice the spread."
    )
    return [picture(spread_plot.plot(found), caption)] if found else []


def _spread_of(file: h5py.File, model: str) -> spread_plot.Spread:
    deviations, errors = [], []
    for subset, predicted in file[f"models/{model}"].items():
        energies = predicted["predicted_energies"][()]
        deviations.append(energies.std(axis=0, ddof=1))
        errors.append(np.abs(energies.mean(axis=0) - file[f"reference/{subset}/reference_energies"][()]))
    return spread_plot.Spread(np.concatenate(deviations), np.concatenate(errors))


def energies_by_part(split: Path) -> dict[str, FloatArray]:
    """Read the energies of each part of a split above the lowest of their subset, eV."""
    lowest = _lowest(split)
    parts = {part: _relative(split, part, lowest) for part in ("train", "test")}
    return {part: values for part, values in parts.items() if len(values)}


def augmented_energies(split: Path, sets: Mapping[str, Path]) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Read the energies of the training structures and of the copies from the same zero, eV."""
    lowest = _lowest(split)
    copies = {name: _copies(path, lowest) for name, path in sets.items()}
    return _relative(split, "train", lowest), copies


def _lowest(split: Path) -> dict[str, float]:
    lowest: dict[str, float] = {}
    for part in ("train", "test"):
        for name, subset in load_split(split, part).items():
            if subset.energies is not None and len(subset):
                value = float(subset.energies.min())
                lowest[name] = min(value, lowest.get(name, value))
    return lowest


def _relative(split: Path, part: str, lowest: Mapping[str, float]) -> FloatArray:
    subsets = load_split(split, part).items()
    energies = [s.energies - lowest[name] for name, s in subsets if s.energies is not None]
    return np.concatenate(energies) if energies else np.zeros(0)


def _copies(path: Path, lowest: Mapping[str, float]) -> FloatArray:
    with open_artefact(path, "augment") as file:
        groups = file["subsets"]
        return np.concatenate([groups[name]["energies"][()] - lowest[name] for name in groups])
