"""What a finished run holds: errors, augmentation behind each network, sweeps, and which networks to show."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.evaluation.parity_samples import ParitySamples
from aenet_gpr_cli.figures.style import label_style
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.hdf5.checksums import identity
from aenet_gpr_cli.stages.evaluate.evaluation_pictures import parity_of

Row = dict[str, Any]
SURROGATE = "gpr"  # name of the Gaussian process behind the networks
LOCAL = "gpr_local"  # that of a local process beside it, compare_gpr.local
METHODS = ("taylor", "gpr")
UNGIVEN_DISPLACEMENT = ("adaptive", "thermal")  # modes of augment; thermal in artefacts of 0.1.0 only
SOURCE_KEYS = ("method", "mode", "displacement", "n_copies")
ORDER = ("ann_energy", "ann_taylor", "ann_gpr", "ann_direct", "ann_combined")  # of models side by side


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """Working folder of `run` with its tables.

    Attributes
    ----------
    results : dict
        Metrics by model, as in metrics.json.
    smallest_force : float, eV/Å
        Reference forces must be larger for their direction to be compared.
    rows : tuple of dict
        One per network: ``model``, ``method``, ``mode``, ``displacement`` (Å; of adaptive copies the
        root mean square) and ``n_copies`` of its augmentation (None without, and where forces are trained
        on with them), ``force_fraction`` (0 but in direct force training), and its total errors.
    augmented : dict of Path to dict
        Configuration of each augmented set.
    """

    folder: Path
    results: dict[str, Any]
    smallest_force: float
    rows: tuple[Row, ...]
    augmented: dict[Path, Row]

    @property
    def split(self) -> Path:
        """The reference structures."""
        return self.folder / "split.h5"

    @property
    def metrics(self) -> Path:
        """The artefact of `evaluate`."""
        return self.folder / "metrics.h5"

    @property
    def totals(self) -> dict[str, Any]:
        """Errors of each model on all structures."""
        return {name: result["total"] for name, result in self.results.items()}


def read_run(folder: Path) -> FinishedRun:
    """Read the tables of a finished run.

    Raises
    ------
    InputError
        If the folder holds no evaluation.
    """
    if not (folder / "metrics.h5").is_file():
        raise InputError(f"{folder}: expected metrics.h5 of a finished run, got none")
    with open_artefact(folder / "metrics.h5", "evaluate") as file:
        results = stored_metrics(file.attrs)
        smallest = json.loads(file.attrs["config"])["smallest_force"]
    augmented, by_hash = {}, {}
    for path in sorted(folder.glob("augmented_*.h5")):
        with open_artefact(path, "augment") as file:
            augmented[path] = by_hash[identity(path)] = made_copies(file)
    rows = []
    for name in results:
        if name.startswith("ann_"):
            with open_artefact(folder / f"{name}.h5", "train-ann") as file:
                training = json.loads(file.attrs["config"])
                source = by_hash.get(json.loads(file.attrs["inputs"]).get("augmented", ""), {})
                if training.get("mode") == "combined":
                    source = {}  # compared with the sweeps over copies, not part of them
            settings = {key: source.get(key) for key in SOURCE_KEYS}
            settings["force_fraction"] = _force_fraction(training)
            rows.append({"model": name, **settings, **results[name]["total"]})
    return FinishedRun(folder, results, smallest, tuple(rows), augmented)


def stored_metrics(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Read the metrics of all models from the attributes of an evaluation, those of 0.1.0 included."""
    results: dict[str, Any] = json.loads(attributes["metrics"])
    for result in results.values():
        parts = [result[kind].values() for kind in ("subsets", "species", "groups") if kind in result]
        for metrics in (result["total"], *itertools.chain(*parts, result["members"])):
            metrics |= {
                new: metrics[old]
                for old in list(metrics)
                if (new := old.replace("_msd", "_spread")) not in metrics
            }
    return results


def made_copies(file: h5py.File) -> Row:
    """Return the configuration of copies, with ``displacement`` and ``n_copies`` as they came out."""
    config: Row = json.loads(file.attrs["config"])
    subsets = list(file["subsets"].values())
    if config["mode"] in UNGIVEN_DISPLACEMENT:
        config["displacement"] = _rms_displacement(subsets)
    if config.get("n_total") is not None:
        parents = sum(len(np.unique(subset["parents"][()])) for subset in subsets)
        mean = sum(len(subset["energies"]) for subset in subsets) / max(1, parents)
        config["n_copies"] = int(mean) if mean.is_integer() else round(mean, 1)
    return config


def _rms_displacement(subsets: list[h5py.Group]) -> float | None:
    """Return it over all copies, Å; None without copies, or where it was not stored."""
    counts = [len(subset["energies"]) for subset in subsets]
    if not sum(counts) or any("rms_displacement" not in subset.attrs for subset in subsets):
        return None
    squares = [float(subset.attrs["rms_displacement"]) ** 2 for subset in subsets]
    return float(np.sqrt(np.average(squares, weights=counts)))


def _force_fraction(training: Mapping[str, Any]) -> float:
    """Return what was asked of direct force training; 1 where that is auto, which takes less of many."""
    share = training["loss"]["force_fraction"] if training.get("mode") == "direct" else 0.0
    return 1.0 if share == "auto" else float(share)


def varying(rows: tuple[Row, ...], against: str) -> list[Row] | None:
    """Return the longest sweep over ``displacement`` or ``n_copies``: networks that differ in nothing else.

    Of each method, with the networks that have no augmentation; None if nothing varies.
    """
    other = "n_copies" if against == "displacement" else "displacement"
    chosen = [row for row in rows if row["method"] is None]
    found = False
    for method in METHODS:
        own = [row for row in rows if row["method"] == method and row["mode"] not in UNGIVEN_DISPLACEMENT]
        if not own:
            continue
        held = [[r for r in own if r[other] == value] for value in {row[other] for row in own}]
        longest = max(held, key=lambda group: len({row[against] for row in group}))
        found |= len({row[against] for row in longest}) > 1
        chosen += longest
    return chosen if found else None


def sweep_rows(rows: tuple[Row, ...], against: str) -> list[Row] | None:
    """Return `varying`, and beside it the adaptive choice of δ with the same M; None if nothing varies."""
    chosen = varying(rows, against)
    if chosen is None:
        return None
    amounts = {row["n_copies"] for row in chosen if row["method"] == SURROGATE}
    free = [r for r in rows if r["mode"] == "adaptive" and r["displacement"] and r["n_copies"] in amounts]
    return chosen + free


def process_rows(run: FinishedRun) -> list[Row]:
    """Return rows of the surrogate and of the local process, as of networks without augmentation.

    Without spreads: σ of a process is none of members.
    """
    return [
        {"model": name, "method": None, **without_spread(run.totals[name])}
        for name in (SURROGATE, LOCAL)
        if name in run.results
    ]


def without_spread(metrics: Mapping[str, Any]) -> Row:
    """Leave the spread, which of a process is σ, out of metrics."""
    return {key: value for key, value in metrics.items() if "_spread" not in key and "_msd" not in key}


def rows_of_recipe(run: FinishedRun, against: str) -> list[Row]:
    """Return what stands beside a sweep over ``displacement`` or ``n_copies``: the run's own, or all rows.

    A recipe may have its best δ and M only, which are one point then.
    """
    rows = varying(run.rows, against) or list(run.rows)
    return [row for row in rows if row["method"] is None or row["mode"] not in UNGIVEN_DISPLACEMENT]


def shown_models(run: FinishedRun) -> dict[str, str]:
    """Choose one network for each mode, to be shown side by side, as the paper does.

    Of several δ of a method it is the network with the smallest error of ‖F‖ (of energy, without forces) on
    the evaluated structures: what the sweep over δ reached at best, and no recipe for choosing δ. Of several
    shares of the forces in direct force training it is the largest.

    Returns
    -------
    dict of str to str
        Model → δ and M, where there was a choice; empty otherwise. In the order energies only, Taylor
        expansion, GP, direct forces, forces and copies.
    """
    most = max((row["force_fraction"] for row in run.rows), default=0.0)
    fractions = {row["model"]: row["force_fraction"] for row in run.rows}
    return {name: remark for name, remark in best_models(run).items() if fractions[name] in (0.0, most)}


def best_models(run: FinishedRun) -> dict[str, str]:
    """Choose as `shown_models` does, with all shares of the forces in direct force training.

    Returns
    -------
    dict of str to str
        As `shown_models`.
    """
    chosen = {row["model"]: "" for row in run.rows if row["method"] is None}
    for method in METHODS:
        own = [row for row in varying(run.rows, "displacement") or run.rows if row["method"] == method]
        if own:
            best = min(own, key=lambda row: row["force_norm_mae"] or row["energy_mae"])
            chosen[best["model"]] = source_text(best) if len(own) > 1 else ""

    def place(item: tuple[str, str]) -> int:
        return next((n for n, start in enumerate(ORDER) if item[0].startswith(start)), len(ORDER))

    return dict(sorted(chosen.items(), key=place))


def source_text(row: Mapping[str, Any]) -> str:
    """Write δ and M of a row."""
    delta = "adaptive δ" if row["mode"] == "adaptive" else f"δ = {row['displacement']:g} Å"
    return f"{delta}, M = {row['n_copies']}"


def kernels_of(run: FinishedRun) -> dict[str, str]:
    """Name the Gaussian processes with a kernel of whole structures, the surrogate of the networks last.

    Returns
    -------
    dict of str to str
        Model → descriptor, unless the name says it, and length scale; empty where subsets differ in them.
    """
    found = {}
    for name in run.results:
        if name.startswith("ann_") or name == LOCAL:
            continue
        with open_artefact(run.folder / f"{name}.h5", "fit-gpr") as file:
            kernels = {_kernel_text(name, group.attrs) for group in file["subsets"].values()}
        found[name] = kernels.pop() if len(kernels) == 1 else ""
    return dict(sorted(found.items(), key=lambda item: item[0] == SURROGATE))


def _kernel_text(model: str, attributes: Mapping[str, Any]) -> str:
    descriptor = str(attributes.get("descriptor", "local"))
    length = f"ℓ = {float(attributes['length_scale']):.2g}{' Å' if descriptor == 'cartesian' else ''}"
    if descriptor in model:
        return length
    if descriptor == "inverse_distance":
        power = float(attributes["power"])
        descriptor = "1/r" if power == 1.0 else f"1/r^{power:g}"
    return f"{descriptor}, {length}"


def samples_of(run: FinishedRun, models: Mapping[str, str]) -> dict[str, ParitySamples]:
    """Read what parity plots of some models show.

    Parameters
    ----------
    models : mapping of str to str
        Their names are the keys.
    """
    with open_artefact(run.metrics, "evaluate") as file:
        return {name: parity_of(file, name, run.smallest_force) for name in models}


def sets_of_sweep(run: FinishedRun) -> dict[str, Path]:
    """Return the augmented sets of the longest sweep over δ, or all where nothing was swept.

    Returns
    -------
    dict of str to Path
        By name of the variant, in rising order of δ.
    """
    rows = [row for row in varying(run.rows, "displacement") or () if row["method"]]
    keys = {tuple(row[key] for key in SOURCE_KEYS) for row in rows}
    sets = {
        path: config
        for path, config in run.augmented.items()
        if not keys or tuple(config.get(key) for key in SOURCE_KEYS) in keys
    }
    ordered = sorted(sets, key=lambda path: (sets[path]["method"], sets[path]["displacement"]))
    return {path.stem.removeprefix("augmented_"): path for path in ordered}


def titles_of(run: FinishedRun, sets: Mapping[str, Path]) -> dict[str, str]:
    """Write method, δ and M of augmented sets.

    Parameters
    ----------
    sets : mapping of str to Path
        Name of the variant → augmented set.

    Returns
    -------
    dict of str to str
        By name of the variant.
    """
    return {
        name: f"{label_style(run.augmented[path]['method']).label}, {source_text(run.augmented[path])}"
        for name, path in sets.items()
    }
