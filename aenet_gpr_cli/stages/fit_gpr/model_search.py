"""The search for descriptor, length scale, noise and permutations of one subset, and how it is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import h5py
import numpy as np

from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.descriptors.structure.permutation import PermutationImages
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.gpr.covariance.observation_order import n_rows
from aenet_gpr_cli.gpr.hyperparameters.objectives import Problem
from aenet_gpr_cli.gpr.hyperparameters.search import MIN_SEARCHED, Optimum, Trial, optimise
from aenet_gpr_cli.gpr.process_settings import Hyperparameters
from aenet_gpr_cli.gpr.surrogate import Geometry
from aenet_gpr_cli.io.artefacts.fields import as_attributes, write_field
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.stages.fit_gpr.candidates import candidates, likely_group, short_name
from aenet_gpr_cli.stages.shared.context import log
from aenet_gpr_cli.structures import IntArray, StructureSet
from aenet_gpr_cli.subsystems.molecular_symmetry import GroupTrial

GROUP_SHARE = 2  # groups of permutations are compared on this many times fewer rows


@dataclass(frozen=True, slots=True)
class Choice:
    """What a process is fitted with, and how that was found.

    Attributes
    ----------
    geometry : Geometry
    parameters : Hyperparameters
    method : str
        What was compared; empty where nothing was searched.
    candidates : tuple of str
        Descriptors in short.
    trials : tuple of Trial
    groups : tuple of GroupTrial
    at_bound : bool
        Whether the length scale ended at the edge of what was compared.
    """

    geometry: Geometry
    parameters: Hyperparameters
    method: str = ""
    candidates: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()
    groups: tuple[GroupTrial, ...] = ()
    at_bound: bool = False

    def write(self, group: h5py.Group) -> None:
        """Store the search, where there was one."""
        if not self.trials and not self.groups:
            return
        stored = group.create_group("search")
        as_attributes(stored, {"method": self.method, "candidates": list(self.candidates)})
        for name, values in _columns(self.trials).items():
            write_field(stored, name, values)
        if self.groups:
            groups = stored.create_group("permutations_tried")
            write_field(groups, "group_order", np.array([len(g.permutations) for g in self.groups]))
            write_field(groups, "score", np.array([g.score for g in self.groups]))


def search_process(
    config: FitGprConfig, name: str, subset: StructureSet, progress: Progress, quiet: bool = False
) -> Choice:
    """Choose power, length scale, noise and permutations of one descriptor by the training data alone.

    Parameters
    ----------
    config : FitGprConfig
        Of one descriptor, see `FitGprConfig.alternatives`.
    name : str
        Of the subset, for messages.
    quiet : bool
        Say nothing of what is found, for example on few structures.
    """
    geometries, lengths = candidates(config, name, subset, quiet), config.length_scales
    if len(geometries) == len(lengths) == 1 and not config.search.fit_noise:
        choice = Choice(geometries[0], config.at(lengths[0]))
    else:
        # with permutations to come, on fewer structures: the search ends with them
        search = config.search
        if config.searches_permutations:
            search = replace(search, max_rows=max(1, search.max_rows // GROUP_SHARE))
        searched = replace(config, search=search)
        choice = _searched(searched, name, subset, geometries, progress, quiet)
    if not config.searches_permutations:
        return choice
    group, tried = likely_group(config, name, subset, _group_score(config, subset, choice), quiet)
    choice = replace(choice, groups=tuple(tried), method=choice.method or _method(config, subset))
    geometry = replace(choice.geometry, permutations=group)
    if not choice.trials or len(lengths) == 1:
        return replace(choice, geometry=geometry)
    again = _searched(config, name, subset, [geometry], progress, quiet, choice.parameters)
    names = (*choice.candidates, *again.candidates)
    later = tuple(replace(trial, descriptor=len(names) - 1) for trial in again.trials)
    return replace(again, candidates=names, trials=(*choice.trials, *later), groups=tuple(tried))


def _searched(
    config: FitGprConfig,
    name: str,
    subset: StructureSet,
    geometries: Sequence[Geometry],
    progress: Progress,
    quiet: bool,
    start: Hyperparameters | None = None,
) -> Choice:
    descriptors = [geometry.make_descriptor() for geometry in geometries]
    n_centres = geometries[0].n_centres
    found = optimise(subset, descriptors, config, config.max_jitter, config.seed, progress, n_centres, start)
    if not quiet:
        _report(name, geometries[found.descriptor], found)
    return Choice(
        geometries[found.descriptor],
        found.parameters,
        found.method,
        tuple(f"{short_name(g.settings)} ×{g.n_centres}" for g in geometries),
        found.table,
        at_bound=found.at_bound,
    )


def _method(config: FitGprConfig, subset: StructureSet) -> str:
    return config.search.method_for(n_rows(len(subset), subset.n_atoms))


def _report(name: str, geometry: Geometry, found: Optimum) -> None:
    log.info(
        "%s: %s, length scale %.3g by %s on %d structures, %d evaluations",
        name,
        short_name(geometry.settings),
        found.parameters.length_scale,
        found.method,
        found.n_structures,
        len(found.table),
    )


def _group_score(config: FitGprConfig, subset: StructureSet, choice: Choice) -> Callable[[IntArray], float]:
    """Return the log marginal likelihood per observation of a group, at the parameters found so far."""
    count = max(MIN_SEARCHED, config.search.max_rows // GROUP_SHARE // n_rows(1, subset.n_atoms))
    order = np.random.default_rng(config.seed).permutation(len(subset))
    structures, plain = subset.select(order[:count]), choice.geometry.make_descriptor()

    def score(group: IntArray) -> float:
        descriptor = PermutationImages(plain, group) if len(group) > 1 else plain
        problem = Problem.of(structures, descriptor, config.kernel, config.max_jitter, len(group))
        try:
            return problem.likelihood(choice.parameters, with_gradient=False).value / len(problem.targets)
        except NumericalError:
            return -np.inf

    return score


def _columns(trials: Sequence[Trial]) -> dict[str, np.ndarray]:
    def floats(values: Sequence[float | None]) -> np.ndarray:
        return np.array([np.nan if value is None else value for value in values], float)

    return {
        "descriptor_tried": np.array([t.descriptor for t in trials], dtype=np.int64),
        "n_structures_compared": np.array([t.n_structures for t in trials], dtype=np.int64),
        "length_scale": floats([t.parameters.length_scale for t in trials]),
        "noise_energy": floats([t.parameters.noise_energy for t in trials]),
        "noise_force": floats([t.parameters.noise_force for t in trials]),
        "score": floats([t.value for t in trials]),
        "signal_std": floats([t.signal_std for t in trials]),
    }
