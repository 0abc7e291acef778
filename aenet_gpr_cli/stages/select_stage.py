"""`select`: gpr.h5 or ann.h5 and a pool of structures → selected.h5 and a work list of files."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from aenet_gpr_cli.config.stages.active_config import SelectConfig
from aenet_gpr_cli.descriptors.descriptor_settings import InverseDistanceSettings
from aenet_gpr_cli.descriptors.interface.feature_distances import farthest_points
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.gpr.surrogate import Geometry
from aenet_gpr_cli.io.artefacts.artefact import open_artefact, publish_with_files
from aenet_gpr_cli.io.artefacts.fields import write_field
from aenet_gpr_cli.io.artefacts.side_files import beside
from aenet_gpr_cli.io.artefacts.structure_sets import read_structures, write_structures
from aenet_gpr_cli.io.formats.prediction_files import (
    PredictedStructure,
    structure_endings,
    write_structure_files,
)
from aenet_gpr_cli.io.formats.source_files import source_hashes
from aenet_gpr_cli.io.formats.sources import read_sources
from aenet_gpr_cli.stages.ranking import GREEDY, Ranked, one_after_another, rank, unranked
from aenet_gpr_cli.stages.shared.context import Context, Summary, by_name, make_job, nothing_to_do, planned
from aenet_gpr_cli.stages.shared.outputs import claim
from aenet_gpr_cli.structures import IntArray, Structure
from aenet_gpr_cli.subsystems.ordering import in_file_order
from aenet_gpr_cli.units import MEV_PER_EV

KIND = "select"
COLUMNS = ("subset", "pool", "selected", "σ of", "median σ", "largest σ", "smallest selected σ")


def run(
    config: SelectConfig,
    model: Path | None,
    pool: Sequence[Path],
    output: Path,
    context: Context,
    exclude: Collection[str] = (),
) -> Summary:
    """Select the structures of a pool that deserve a reference calculation.

    Parameters
    ----------
    model : Path or None
        Output of `fit-gpr`, or of `train-ann` with at least two members; None (with strategy: random): there
        is none yet.
    pool : sequence of Path
        Files, folders and archives of structures; labels are not needed.
    output : Path
        The work list is written beside it: ``NAME_xsf``, ``NAME_structures.extxyz``.
    exclude : collection of str
        Names of structures of the pool that are not to be selected.

    Raises
    ------
    InputError
        If the model does not fit the structures.
    ConfigError
        If the model is a single network, which has no uncertainty.
    """
    if model is None and config.strategy != "random":
        raise ConfigError("select: expected a model, or strategy: random, got neither")
    endings = structure_endings(config.write)
    claim(KIND, output, [model, *pool], endings)
    hashes = by_name(source_hashes(pool))
    hashes |= {"excluded": json.dumps(sorted(exclude))} if exclude else {}
    job = make_job(KIND, config, {"model": model} if model else {}, context, hashes)
    if (done := nothing_to_do(output, job, context)) is not None:
        return done
    known = set(exclude)
    given = [s for s in read_sources(pool, context.report) if s.name not in known]
    if context.dry_run:
        return planned(
            KIND,
            output,
            [f"{len(given)} structures ranked by {model}" if model else f"a choice of {len(given)}"],
        )
    if not given:
        raise InputError("select: no structure is left in the pool")
    ranked = rank(config, model, given, context) if model else unranked(given)
    chosen = choose(config, ranked)
    sigma = "force_sigma" if config.rank_by == "forces" else "sigma"
    with publish_with_files(output, job) as (file, folder):
        for name, item in ranked.items():
            _write(file, name, item, chosen[name], sigma)
        listed = [s for name, item in ranked.items() for s in _work(config, item, chosen[name])]
        write_structure_files(folder, output.stem, listed, endings)
        written = [beside(output, ending) for ending in endings]
        rows = [_row(config, name, item, chosen[name]) for name, item in ranked.items()]
        summary = Summary(
            "Selected structures", COLUMNS, rows, [f"wrote {path}" for path in (output, *written)]
        )
        file.attrs["summary"] = summary.to_json()
        file.attrs["largest_sigma"] = max(float(item.sigma.max()) for item in ranked.values())
    return summary


def _write(file: h5py.File, name: str, item: Ranked, chosen: IntArray, sigma: str) -> None:
    part = file.create_group(f"pool/{name}")
    write_field(part, "names", item.structures.names)
    write_field(part, sigma, item.sigma)
    if len(chosen):
        part = file.create_group(f"subsets/{name}")
        write_structures(part, item.structures.select(chosen))
        write_field(part, sigma, item.sigma[chosen])


def load_selected(path: Path) -> list[Structure]:
    """Read the selected structures, with the labels that the pool had."""
    with open_artefact(path, KIND) as file:
        sets = [read_structures(part) for part in file["subsets"].values()] if "subsets" in file else []
    return [s.structure(i) for s in sets for i in range(len(s))]


def choose(config: SelectConfig, ranked: Mapping[str, Ranked]) -> dict[str, IntArray]:
    """Choose structures of each subset, the most uncertain first.

    Returns
    -------
    dict of str to ndarray of int
        Indices into each subset.
    """
    entries = [(name, i, s) for name, item in ranked.items() for i, s in enumerate(item.sigma.tolist())]
    if config.threshold is not None:
        entries = [entry for entry in entries if entry[2] > config.threshold]
    if config.strategy == "random":
        order = np.random.default_rng([config.seed, 5]).permutation(len(entries))
        return _by_subset([entries[i] for i in order[: config.n_select]], ranked)
    if config.n_select is None:
        return _by_subset(entries, ranked)
    if config.batch in GREEDY and all(item.process is not None for item in ranked.values()):
        return one_after_another(config, ranked, config.n_select)
    entries.sort(key=lambda entry: -entry[2])
    best = _by_subset(entries[: config.n_select], ranked)
    if config.batch == "ranked":
        return best
    wide = _by_subset(entries[: int(np.ceil(config.diversity * config.n_select))], ranked)
    return {name: _spread_out(item, wide[name], len(best[name])) for name, item in ranked.items()}


def _by_subset(
    entries: Sequence[tuple[str, int, float]], ranked: Mapping[str, Ranked]
) -> dict[str, IntArray]:
    return {name: np.array([i for subset, i, _ in entries if subset == name], np.int64) for name in ranked}


def _spread_out(item: Ranked, candidates: IntArray, count: int) -> IntArray:
    """Return ``count`` of the candidates far apart, the first one always among them."""
    if count >= len(candidates) or count == 0:
        return candidates[:count]
    some = item.structures.select(candidates)
    values = Geometry.of(some, InverseDistanceSettings(1.0)).make_descriptor().values(some.positions)
    values = values - values.mean(axis=0)
    others = 1 + farthest_points(values[1:], count - 1, covered=values[:1])
    return candidates[np.sort(np.concatenate([[0], others]))]


def _work(config: SelectConfig, item: Ranked, chosen: IntArray) -> list[PredictedStructure]:
    """The work list: geometries only, so that no old label is taken for a new one."""
    of_energies = config.rank_by == "energies"
    return [
        PredictedStructure(
            _without_labels(item.structures.structure(i)),
            float(item.sigma[i]) if of_energies else None,
            None,
            None,
            force_std=None if of_energies else float(item.sigma[i]),
        )
        for i in chosen.tolist()
    ]


def _without_labels(s: Structure) -> Structure:
    return in_file_order(replace(s, energy=None, forces=None, stress=None))


def _row(config: SelectConfig, name: str, item: Ranked, chosen: IntArray) -> list[str]:
    unit = "force / eV/Å" if config.rank_by == "forces" else "energy / meV"
    scaled = item.sigma * (1.0 if config.rank_by == "forces" else MEV_PER_EV)
    shown = [np.median(scaled), scaled.max(), *([scaled[chosen].min()] if len(chosen) else [])]
    numbers = [f"{value:.4f}" if config.rank_by == "forces" else f"{value:.2f}" for value in shown]
    return [name, str(len(item.structures)), str(len(chosen)), unit, *numbers, *["–"] * (3 - len(numbers))]
