"""The uncertainty of every structure of a pool, by a Gaussian process or a committee, for `select`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aenet_gpr_cli.config.stages.active_config import SelectConfig
from aenet_gpr_cli.errors import ConfigError, ResourceError
from aenet_gpr_cli.gpr.greedy_batch import GreedyBatch, take_best
from aenet_gpr_cli.gpr.local.local_model import LocalModel
from aenet_gpr_cli.gpr.process import Process
from aenet_gpr_cli.gpr.solvers.cholesky import choose_solver, dense_bytes
from aenet_gpr_cli.gpr.subset_lookup import find_process
from aenet_gpr_cli.gpr.surrogate import Surrogate
from aenet_gpr_cli.gpr.uncertainty.force_sigma import ForceSigmaBound, random_probes
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.stored_gps import load_gps
from aenet_gpr_cli.stages.shared.context import Context, log
from aenet_gpr_cli.stages.shared.predictors import Prediction, load_predictor, std_over_members
from aenet_gpr_cli.structures import FloatArray, IntArray, Structure, StructureSet
from aenet_gpr_cli.subsystems.grouping import group
from aenet_gpr_cli.units import BYTES_PER_GIB

PROBES, CANDIDATES = 6, 7  # keep their random streams apart from that of random choice
GREEDY = ("variance_reduction", "conditioned")


@dataclass(frozen=True, slots=True)
class Ranked:
    """A subset of the pool with the uncertainty of each structure.

    Attributes
    ----------
    structures : StructureSet
    sigma : ndarray of shape (n_structures,)
        Of forces (eV/Å) or energies (eV), as asked for.
    process : ForceSigmaBound or None
        What gave it, where that was a Gaussian process that knows about forces.
    positions : ndarray of shape (n_structures, n_atoms, 3), Å, or None
        As the process takes them: in the periodic images of its reference.
    """

    structures: StructureSet
    sigma: FloatArray
    process: ForceSigmaBound | None = None
    positions: FloatArray | None = None


def rank(
    config: SelectConfig, model: Path, given: Sequence[Structure], context: Context
) -> dict[str, Ranked]:
    """Return the uncertainty of each structure, by subset.

    Parameters
    ----------
    model : Path
        Output of `fit-gpr`, or of `train-ann` with at least two members.

    Raises
    ------
    InputError
        If the model does not fit the structures.
    ConfigError
        If the model cannot give what is asked for.
    """
    sets = {name: StructureSet.from_structures(members) for name, members in group(given).items()}
    with open_artefact(model) as file:
        is_process = file.attrs["kind"] == "fit-gpr"
    if is_process and config.over_atoms == "max":
        raise ConfigError(f"over_atoms: max needs a committee, {model} is a Gaussian process; expected mean")
    if is_process and (config.rank_by == "forces" or config.batch in GREEDY):
        return _by_process(config, load_gps(model), sets, context)
    predictor, ranked = load_predictor(model, config.sigma, config.sigma_max_rows, config.max_memory_gib), {}
    for name, subset in sets.items():
        parts = predictor.blocks(subset, None, config.block_size, context.report, f"ranking {name}")
        ranked[name] = Ranked(subset, np.concatenate([_spread(config, model, part) for part in parts]))
        log.info("%s: %d structures ranked", name, len(subset))
    return ranked


def unranked(given: Sequence[Structure]) -> dict[str, Ranked]:
    """Return the subsets of a pool where there is no model yet.

    Returns
    -------
    dict of str to Ranked
        σ is infinite.
    """
    sets = {name: StructureSet.from_structures(members) for name, members in group(given).items()}
    return {name: Ranked(subset, np.full(len(subset), np.inf)) for name, subset in sets.items()}


def one_after_another(config: SelectConfig, ranked: Mapping[str, Ranked], count: int) -> dict[str, IntArray]:
    """Choose structures one after another, those before counted as calculated.

    Parameters
    ----------
    ranked : mapping of str to Ranked
        With their processes.

    Returns
    -------
    dict of str to ndarray of int
        Indices into each subset, in the order in which they were taken.
    """
    batches, candidates = {}, {}
    for name, item in ranked.items():
        assert item.process is not None  # the caller looked
        assert item.positions is not None
        candidates[name] = _candidates(config, item, _affordable(config, item.process, count))
        positions = item.positions[candidates[name]]
        # every structure of the pool counts, and every force component where forces are looked at
        share = len(item.sigma) / len(positions) * (positions[0].size if config.rank_by == "forces" else 1)
        batches[name] = GreedyBatch(item.process, positions, config.batch == "variance_reduction", share)
    reduce_all = config.batch == "variance_reduction"
    taken = take_best(batches, count, config.rank_by, reduce_all, config.threshold)
    return {
        name: np.array([candidates[name][i] for subset, i, _ in taken if subset == name], np.int64)
        for name in ranked
    }


def _candidates(config: SelectConfig, item: Ranked, count: int) -> IntArray:
    """All, or half the most uncertain ones and half any: these stand for the pool."""
    if len(item.sigma) <= count:
        return np.arange(len(item.sigma))
    order = np.argsort(-item.sigma, kind="stable")
    most, rest = order[: (count + 1) // 2], order[(count + 1) // 2 :]
    rng = np.random.default_rng([config.seed, CANDIDATES])
    return np.sort(np.concatenate([most, rng.permutation(np.sort(rest))[: count // 2]]))


def _affordable(config: SelectConfig, process: ForceSigmaBound, count: int) -> int:
    """Candidates whose covariances with all rows, and with each other, fit into the memory."""
    rows, each = process.n_rows + count * (1 + process.probes[0].size), 1 + len(process.probes)
    for m in range(config.candidates, 1, -1):
        if 3 * 8 * m * each * (rows + m * each) <= config.max_memory_gib * BYTES_PER_GIB:
            return m
    return 1


def _by_process(
    config: SelectConfig,
    processes: Mapping[str, Process],
    sets: Mapping[str, StructureSet],
    context: Context,
) -> dict[str, Ranked]:
    ranked = {}
    for name, subset in sets.items():
        surrogate = processes[find_process(processes, subset.structure(0), None)]
        if isinstance(surrogate, LocalModel):
            ranked[name] = Ranked(subset, _local_sigma(config, surrogate, subset, context, name))
            continue
        assert isinstance(surrogate, Surrogate)  # the two kinds there are
        rng = np.random.default_rng([config.seed, PROBES])
        probes = random_probes(subset.n_atoms, config.n_probes, rng)
        process = surrogate.force_sigma(probes, _rows(config, surrogate))
        positions, sigma = surrogate.prepare(subset).positions, []
        for start in range(0, len(subset), config.block_size):
            context.report(start, len(subset), f"ranking {name}")
            found = process(positions[start : start + config.block_size])
            sigma.append(found[1 if config.rank_by == "forces" else 0])
        ranked[name] = Ranked(subset, np.concatenate(sigma), process, positions)
        log.info("%s: %d structures ranked", name, len(subset))
    return ranked


def _local_sigma(
    config: SelectConfig, model: LocalModel, subset: StructureSet, context: Context, name: str
) -> FloatArray:
    deviation = model.force_sigma if config.rank_by == "forces" else model.energy_sigma
    found = []
    for start in range(0, len(subset), config.block_size):
        context.report(start, len(subset), f"ranking {name}")
        found.append(deviation(subset.select(slice(start, start + config.block_size))))
    return np.concatenate(found)


def _rows(config: SelectConfig, surrogate: Surrogate) -> int | None:
    """Observations behind each σ; None for all."""
    if config.sigma == "bound":
        return config.sigma_max_rows
    n, n_atoms = surrogate.model.n_structures, surrogate.model.n_atoms
    if choose_solver(n, n_atoms, config.max_memory_gib * BYTES_PER_GIB) != "cholesky":
        raise ResourceError(
            f"sigma: exact needs {dense_bytes(n, n_atoms) / BYTES_PER_GIB:.1f} GiB for the forces of {n} "
            f"structures, more than max_memory_gib ({config.max_memory_gib:g}); use sigma: bound"
        )
    return None


def _spread(config: SelectConfig, model: Path, found: Prediction) -> FloatArray:
    """Uncertainty of a block as asked for."""
    if config.rank_by == "energies":
        sigma = found.sigma
    else:
        spread = std_over_members(found.forces)
        square = None if spread is None else (spread**2).mean(axis=2)  # of each atom
        reduce = np.max if config.over_atoms == "max" else np.mean
        sigma = None if square is None else np.sqrt(reduce(square, axis=1))
    if sigma is None:
        if found.sigma is not None:
            raise ConfigError(
                f"rank_by: the forces of a single network, {model}, have no uncertainty; expected energies, "
                "whose σ it has, or n_members >= 2 in training"
            )
        raise ConfigError(f"{model}: a single network has no uncertainty; train n_members >= 2")
    return sigma
