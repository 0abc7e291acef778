"""One block of copies: displaced, labelled, gated, chosen. What `augment` does in each of its processes.

A block is some parents with all their copies, or a part of the copies of one parent. It depends on the
configuration, the inputs and its place only, and is computed by one thread: the same numbers for any number
of processes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from aenet_gpr_cli.augmentation.adaptive import AdaptiveSettings, adaptive_shifts
from aenet_gpr_cli.augmentation.copy_selection import most_informative
from aenet_gpr_cli.augmentation.displacements import displace, displacement_per_atom, free_atoms
from aenet_gpr_cli.augmentation.gates import GateResult, Gates, apply_gates, keep_copies
from aenet_gpr_cli.augmentation.normal_modes import degrees_of_freedom, may_turn
from aenet_gpr_cli.augmentation.spacing import neighbour_steps
from aenet_gpr_cli.augmentation.surrogate_labels import label_with_gp
from aenet_gpr_cli.augmentation.taylor_labels import label_with_taylor
from aenet_gpr_cli.augmentation.thermal import ThermalSettings, thermal_shifts
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.descriptors.build import InverseDistanceSettings
from aenet_gpr_cli.gpr.subset_lookup import find_surrogate
from aenet_gpr_cli.gpr.surrogate import Geometry, Surrogate
from aenet_gpr_cli.gpr.typical_sigma import typical_sigma
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.stored_gps import load_gps
from aenet_gpr_cli.io.artefacts.structure_sets import append_augmented, load_split
from aenet_gpr_cli.stages.augment.copy_statistics import Statistics, statistics_of
from aenet_gpr_cli.stages.shared.context import Progress
from aenet_gpr_cli.structures import AugmentedSet, FloatArray, IntArray, StructureSet

# σ at which thermal runs turn back, in units of what is usual for structures that training did not see
FENCE = 2.0


@dataclass(frozen=True, slots=True)
class Sources:
    """The inputs of all blocks.

    Attributes
    ----------
    split : Path
    gpr : Path or None
    hashes : tuple of str
        SHA-256 of both: files of the same name may change while a process lives.
    """

    split: Path
    gpr: Path | None
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Some copies of some parents of a subset.

    Attributes
    ----------
    subset : str
    number : int
        Within the subset.
    parents : tuple of two int
        First parent, and the one after the last.
    copies : tuple of two int
        First copy of each of them, and the one after the last.
    n_all : int
        Copies that each parent has, in this block and in others.
    """

    subset: str
    number: int
    parents: tuple[int, int]
    copies: tuple[int, int]
    n_all: int

    @property
    def name(self) -> str:
        """Name of the block, unique in a run; sorts in the order of the copies."""
        return f"{self.subset}.{self.number:07d}"


def plan_blocks(subset: str, counts: Sequence[int], block_size: int, whole_parents: bool) -> list[Block]:
    """Divide the copies of a subset into blocks.

    Parameters
    ----------
    subset : str
    counts : sequence of int
        Copies of each parent.
    block_size : int
        Copies per block, at most where that is possible.
    whole_parents : bool
        Keep all copies of a parent together.

    Returns
    -------
    list of Block
    """
    blocks: list[Block] = []

    def add(parents: tuple[int, int], copies: tuple[int, int]) -> None:
        blocks.append(Block(subset, len(blocks), parents, copies, counts[parents[0]]))

    parent = 0
    while parent < len(counts):
        count, stop = counts[parent], parent + 1
        if count > block_size and not whole_parents:
            for first in range(0, count, block_size):
                add((parent, stop), (first, min(first + block_size, count)))
        elif count > 0:
            while stop < len(counts) and counts[stop] == count and (stop + 1 - parent) * count <= block_size:
                stop += 1
            add((parent, stop), (0, count))
        parent = stop
    return blocks


def make_block(
    config: AugmentConfig, sources: Sources, block: Block, path: Path, job: Job, progress: Progress
) -> None:
    """Make a block and publish it, with its statistics.

    Parameters
    ----------
    config : AugmentConfig
    sources : Sources
    block : Block
    path : Path
        File of the block.
    job : Job
        Its job.
    progress : callable
    """
    with threadpool_limits(1):
        material = _kept.material(config, sources, block.subset)
        copies, statistics = _copies(config, material, block, progress)
        with publish(path, job) as file:
            append_augmented(file.create_group(f"subsets/{block.subset}"), copies)
            file.attrs["statistics"] = json.dumps(asdict(statistics))


def forget() -> None:
    """Free the data and models that this process has kept for the next block."""
    _kept.drop()


@dataclass(frozen=True, slots=True)
class _Material:
    """All that the blocks of a subset have in common."""

    structures: StructureSet
    geometry: Geometry
    surrogate: Surrogate | None
    sigma: Callable[[FloatArray], FloatArray] | None
    allowed_sigma: float = 0.0
    neighbours: FloatArray | None = None


class _Kept:
    """The material of the last block, for the next one of the same subset."""

    def __init__(self) -> None:
        self._last: tuple[Any, _Material] | None = None

    def material(self, config: AugmentConfig, sources: Sources, subset: str) -> _Material:
        asked = (replace(config, workers=1), sources, subset)
        if self._last is None or self._last[0] != asked:
            self._last = None  # frees the memory first
            self._last = (asked, _material(*asked))
        return self._last[1]

    def drop(self) -> None:
        self._last = None


_kept = _Kept()


def _material(config: AugmentConfig, sources: Sources, subset: str) -> _Material:
    """Read what a subset needs."""
    structures = load_split(sources.split, "train")[subset]
    if sources.gpr is None:
        geometry = Geometry.of(structures, InverseDistanceSettings(1.0))
        return _Material(structures, geometry, None, None)
    models = load_gps(sources.gpr)
    surrogate = models[find_surrogate(models, structures.structure(0), subset)]
    sigma = surrogate.sigma(config.sigma, config.sigma_max_rows)
    if config.mode in ("gaussian", "along_bond"):
        return _Material(structures, surrogate.geometry, surrogate, sigma)
    given = config.adaptive.target_sigma if config.mode == "adaptive" else config.thermal.fence
    usual = given or typical_sigma(surrogate, config.sigma, config.sigma_max_rows, config.seed)
    if config.mode == "thermal":
        return _Material(structures, surrogate.geometry, surrogate, sigma, given or FENCE * usual)
    allowed = given or max(usual, config.adaptive.tolerated_sigma)
    free = free_atoms(structures, config.fixed_atoms)
    freedom, turns = degrees_of_freedom(structures, free), may_turn(structures, free)
    neighbours = neighbour_steps(structures, freedom, turns)
    return _Material(structures, surrogate.geometry, surrogate, sigma, allowed, neighbours)


def _copies(
    config: AugmentConfig, material: _Material, block: Block, progress: Progress
) -> tuple[AugmentedSet, Statistics]:
    parents = material.structures.select(np.arange(*block.parents))
    positions, index, numbers = _place(config, material, parents, block)
    if material.surrogate is None:
        candidates = label_with_taylor(parents, positions, index, numbers)
    else:
        label, domain = material.surrogate.energies, material.surrogate.domain
        candidates = label_with_gp(
            parents, positions, index, numbers, label, material.sigma, progress=progress, domain=domain
        )
    assert material.structures.energies is not None  # every labelling needs them and has checked
    gates = Gates(config.max_sigma, config.minimum_distance or None, config.energy_window)
    result = apply_gates(candidates, gates, float(material.structures.energies.min()))
    index = index[result.keep]
    if config.candidates > 1:
        result, index = _choose(config, material, parents, block, result, index)
    return result.accepted, statistics_of(len(candidates), result, parents, index)


def _place(
    config: AugmentConfig, material: _Material, parents: StructureSet, block: Block
) -> tuple[FloatArray, IntArray, IntArray]:
    """Return positions, parents and numbers of the candidates."""
    first, stop = block.copies
    count = stop - first
    if config.mode in ("gaussian", "along_bond"):
        delta = displacement_per_atom(config.displacement, config.species_displacement, parents.species)
        mode, fixed = config.mode, config.fixed_atoms
        return displace(parents, delta, count, config.seed, mode, fixed, first)
    surrogate, sigma = material.surrogate, material.sigma
    assert surrogate is not None  # the configuration has checked
    assert sigma is not None

    def forces(positions: FloatArray) -> FloatArray:
        return surrogate.energies_and_forces(positions)[1]

    free = free_atoms(parents, config.fixed_atoms)
    if config.mode == "adaptive":
        assert material.neighbours is not None
        a = config.adaptive
        far = AdaptiveSettings(material.allowed_sigma, a.smallest, a.largest, a.softness, a.n_probes)
        near = material.neighbours[slice(*block.parents)]
        shifts = adaptive_shifts(
            parents, count, config.seed, free, sigma, forces, near, far, first, block.n_all
        )
    else:
        t = config.thermal
        fence = material.allowed_sigma
        warm = ThermalSettings(t.temperature, t.timestep, t.steps, t.friction, fence, t.look_every)
        shifts = thermal_shifts(parents, count, config.seed, free, forces, sigma, warm, first)
    positions = (parents.positions[:, None] + shifts).reshape(-1, *parents.positions.shape[1:])
    index = np.repeat(np.arange(len(parents)), count)
    return positions, index, np.tile(np.arange(first, stop), len(parents))


def _choose(
    config: AugmentConfig,
    material: _Material,
    parents: StructureSet,
    block: Block,
    result: GateResult,
    index: IntArray,
) -> tuple[GateResult, IntArray]:
    """Keep the most informative of the copies that passed the gates."""
    wanted = -(-(block.copies[1] - block.copies[0]) // config.candidates)
    descriptor = material.geometry.make_descriptor()
    values, own = (
        descriptor.values(x).reshape(len(x), -1)
        for x in (result.accepted.structures.positions, parents.positions)
    )
    chosen = most_informative(values, index, own, wanted)
    return replace(result, accepted=keep_copies(result.accepted, chosen)), index[chosen]
