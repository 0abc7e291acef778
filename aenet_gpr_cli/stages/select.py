"""`select`: gpr.h5 or ann.h5 and a pool of structures → selected.h5 and a work list of files."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aenet_gpr_cli.config.select import SelectConfig
from aenet_gpr_cli.descriptors.build import InverseDistanceSettings
from aenet_gpr_cli.descriptors.coverage import farthest_points
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.gpr.surrogate import Geometry
from aenet_gpr_cli.io.artefact import open_artefact, publish, write_field
from aenet_gpr_cli.io.predictions import PredictedStructure, write_structure_files
from aenet_gpr_cli.io.sources import read_sources, source_hashes
from aenet_gpr_cli.io.structures import read_structures, write_structures
from aenet_gpr_cli.stages.base import Context, Summary, log, make_job, nothing_to_do, planned
from aenet_gpr_cli.stages.predictors import blocks, load_predictor
from aenet_gpr_cli.structures import FloatArray, IntArray, Structure, StructureSet
from aenet_gpr_cli.subsystems.grouping import group
from aenet_gpr_cli.subsystems.ordering import in_file_order
from aenet_gpr_cli.units import MEV_PER_EV

KIND = "select"
COLUMNS = ("subset", "pool", "selected", "median σ / meV", "largest σ / meV", "smallest selected σ / meV")


@dataclass(frozen=True, slots=True)
class Ranked:
    """A subset of the pool with the uncertainty of each structure."""

    structures: StructureSet
    sigma: FloatArray


def run(
    config: SelectConfig,
    model: Path,
    pool: Sequence[Path],
    output: Path,
    context: Context,
    exclude: Collection[str] = (),
) -> Summary:
    """Select the structures of a pool that deserve a reference calculation.

    Parameters
    ----------
    config : SelectConfig
    model : Path
        Output of `fit-gpr`, or of `train-ann` with at least two members.
    pool : sequence of Path
        Files, folders and archives of structures; labels are not needed.
    output : Path
        The work list is written beside it under the same name.
    context : Context
    exclude : collection of str
        Names of structures of the pool that are not to be selected.

    Returns
    -------
    Summary

    Raises
    ------
    InputError
        If the model does not fit the structures.
    ConfigError
        If the model is a single network, which has no uncertainty.
    """
    hashes = {f"{n}:{Path(p).name}": h for n, (p, h) in enumerate(source_hashes(pool).items())}
    hashes |= {"excluded": json.dumps(sorted(exclude))} if exclude else {}
    job = make_job(KIND, config, {"model": model}, context, hashes)
    if (done := nothing_to_do(output, job, context)) is not None:
        return done
    given = [s for s in read_sources(pool, context.report) if s.name not in set(exclude)]
    if context.dry_run:
        return planned(KIND, output, [f"{len(given)} structures ranked by {model}"])
    if not given:
        raise InputError("select: no structure is left in the pool")
    ranked = _rank(config, model, given, context)
    chosen = choose(config, ranked)
    with publish(output, job) as file:
        for name, item in ranked.items():
            part = file.create_group(f"pool/{name}")
            write_field(part, "names", item.structures.names)
            write_field(part, "sigma", item.sigma)
            if len(chosen[name]):
                part = file.create_group(f"subsets/{name}")
                write_structures(part, item.structures.select(chosen[name]))
                write_field(part, "sigma", item.sigma[chosen[name]])
        listed = [s for name, item in ranked.items() for s in _work(item, chosen[name])]
        written = write_structure_files(output, listed, config.write)
        rows = [_row(name, item, chosen[name]) for name, item in ranked.items()]
        summary = Summary(
            "Selected structures", COLUMNS, rows, [f"wrote {path}" for path in (output, *written)]
        )
        file.attrs["summary"] = summary.to_json()
        file.attrs["largest_sigma"] = max(float(item.sigma.max()) for item in ranked.values())
    return summary


def load_selected(path: Path) -> list[Structure]:
    """Read the selected structures, with the labels that the pool had.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of Structure
    """
    with open_artefact(path, KIND) as file:
        sets = [read_structures(part) for part in file["subsets"].values()] if "subsets" in file else []
    return [s.structure(i) for s in sets for i in range(len(s))]


def choose(config: SelectConfig, ranked: Mapping[str, Ranked]) -> dict[str, IntArray]:
    """Choose structures of each subset, the most uncertain first.

    Parameters
    ----------
    config : SelectConfig
    ranked : mapping of str to Ranked

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
        entries = [entries[i] for i in order]
    else:
        entries.sort(key=lambda entry: -entry[2])
    if config.n_select is None:
        return {name: _of(entries, name) for name in ranked}
    best = {name: _of(entries[: config.n_select], name) for name in ranked}
    if config.strategy == "random" or config.diversity == 1.0:
        return best
    wide = entries[: int(np.ceil(config.diversity * config.n_select))]
    return {name: _spread_out(item, _of(wide, name), len(best[name])) for name, item in ranked.items()}


def _of(entries: Sequence[tuple[str, int, float]], name: str) -> IntArray:
    return np.array([i for subset, i, _ in entries if subset == name], np.int64)


def _spread_out(item: Ranked, candidates: IntArray, count: int) -> IntArray:
    """Return ``count`` of the candidates far apart, the first one always among them."""
    if count >= len(candidates) or count == 0:
        return candidates[:count]
    some = item.structures.select(candidates)
    values = Geometry.of(some, InverseDistanceSettings(1.0)).make_descriptor().values(some.positions)
    values = values - values.mean(axis=0)
    others = 1 + farthest_points(values[1:], count - 1, covered=values[:1])
    return candidates[np.sort(np.concatenate([[0], others]))]


def _rank(config: SelectConfig, model: Path, given: list[Structure], context: Context) -> dict[str, Ranked]:
    predictor = load_predictor(model, config.sigma, config.sigma_max_rows, config.max_memory_gib)
    ranked = {}
    for name, members in group(given).items():
        subset, sigma = StructureSet.from_structures(members), []
        for start, block in blocks(subset, config.block_size):
            context.report(start, len(subset), f"ranking {name}")
            found = predictor(block, None).sigma
            if found is None:
                raise ConfigError(f"{model}: a single network has no uncertainty; train n_members >= 2")
            sigma.append(found)
        ranked[name] = Ranked(subset, np.concatenate(sigma))
        log.info("%s: %d structures ranked", name, len(subset))
    return ranked


def _work(item: Ranked, chosen: IntArray) -> list[PredictedStructure]:
    """The work list: geometries only, so that no old label is taken for a new one."""
    return [
        PredictedStructure(_without_labels(item.structures.structure(i)), float(item.sigma[i]), None, None)
        for i in chosen.tolist()
    ]


def _without_labels(s: Structure) -> Structure:
    return in_file_order(replace(s, energy=None, forces=None))


def _row(name: str, item: Ranked, chosen: IntArray) -> list[str]:
    scaled = item.sigma * MEV_PER_EV
    last = f"{scaled[chosen].min():.2f}" if len(chosen) else "–"
    return [
        name,
        str(len(item.structures)),
        str(len(chosen)),
        f"{np.median(scaled):.2f}",
        f"{scaled.max():.2f}",
        last,
    ]
