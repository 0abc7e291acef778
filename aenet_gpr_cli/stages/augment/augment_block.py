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

from aenet_gpr_cli.augmentation.adaptive import (
    adaptive_displacements,
    adaptive_strains,
    degrees_of_freedom,
    may_turn,
    room_between,
)
from aenet_gpr_cli.augmentation.copy_labels import label_with_gp, label_with_taylor, missed_by
from aenet_gpr_cli.augmentation.displacements import displace, free_atoms, placed
from aenet_gpr_cli.augmentation.gates import GateResult, apply_gates, most_informative
from aenet_gpr_cli.augmentation.strains import random_strains, strain_freedom, strained
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.descriptors.descriptor_settings import InverseDistanceSettings
from aenet_gpr_cli.gpr.local.local_model import LocalModel
from aenet_gpr_cli.gpr.process import Process, SigmaOf
from aenet_gpr_cli.gpr.subset_lookup import LOCAL, find_process
from aenet_gpr_cli.gpr.surrogate import Geometry, Surrogate
from aenet_gpr_cli.gpr.uncertainty.energy_sigma import exact_sigma_cost
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.stored_gps import load_gps
from aenet_gpr_cli.io.artefacts.structure_sets import append_augmented, load_split
from aenet_gpr_cli.stages.augment.copy_statistics import Statistics, statistics_of
from aenet_gpr_cli.stages.shared.context import Progress, log
from aenet_gpr_cli.structures import AugmentedSet, FloatArray, IntArray, StructureSet
from aenet_gpr_cli.subsystems.grouping import varies

PIECE = 8192  # copies displaced between two looks at a request to stop


@dataclass(frozen=True, slots=True)
class Sources:
    """The inputs of all blocks.

    Attributes
    ----------
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
    counts : sequence of int
        Copies of each parent.
    block_size : int
        Copies per block, at most where that is possible.
    whole_parents : bool
        Keep all copies of a parent together.
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
    """Make a block and publish it as ``path``, with its statistics."""
    with threadpool_limits(1):
        material = _material(config, sources, block.subset)
        copies, statistics = _copies(config, material, block, progress)
        with publish(path, job) as file:
            append_augmented(file.create_group(f"subsets/{block.subset}"), copies)
            file.attrs["statistics"] = json.dumps(asdict(statistics))


def forget() -> None:
    """Free the data and models that this process has kept for the next block."""
    _kept.clear()
    _local.clear()


@dataclass(frozen=True, slots=True)
class _Material:
    """All that the blocks of a subset have in common."""

    structures: StructureSet
    features: Callable[[StructureSet], FloatArray]  # in which copies are near to each other or far
    surrogate: Process | None
    sigma: SigmaOf | None
    target_sigma: float = 0.0
    room: FloatArray | None = None


_kept: list[tuple[Any, _Material]] = []  # of the last block, for the next one of the same subset
_local: list[tuple[Sources, dict[str, Process]]] = []  # the process that many subsets have, if there is one


def _material(config: AugmentConfig, sources: Sources, subset: str) -> _Material:
    asked = config, sources, subset
    if not _kept or _kept[0][0] != asked:
        _kept.clear()  # frees the memory first
        _kept.append((asked, _read(*asked)))
    return _kept[0][1]


def _read(config: AugmentConfig, sources: Sources, subset: str) -> _Material:
    """Read what a subset needs."""
    structures = load_split(sources.split, "train", [subset])[subset]
    if sources.gpr is None:
        return _Material(structures, _features(structures, None, bool(config.strain)), None, None)
    processes = _processes(sources, sources.gpr, subset)
    surrogate = processes[find_process(processes, structures.structure(0), subset)]
    if config.label_sigma == "exact" and isinstance(surrogate, Surrogate):
        cost = exact_sigma_cost(len(structures), structures.n_atoms, np.inf)
        log.info("%s: %s", subset, cost)
    sigma = surrogate.sigma(config.label_sigma, config.sigma_max_rows)
    features = _features(structures, surrogate, bool(config.strain))
    if config.mode != "adaptive" and config.strain != "auto":
        return _Material(structures, features, surrogate, sigma)
    target = config.adaptive.target_sigma or max(
        surrogate.typical_sigma(config.label_sigma, config.sigma_max_rows, config.seed),
        config.adaptive.tolerated_sigma,
    )
    if config.mode == "adaptive" and config.strain == "auto" and strain_freedom(structures):
        target /= np.sqrt(2.0)  # variances of both add up
    free = free_atoms(structures, config.fixed_atoms)
    room = room_between(structures, degrees_of_freedom(structures, free), may_turn(structures, free))
    return _Material(structures, features, surrogate, sigma, target, room)


def _processes(sources: Sources, gpr: Path, subset: str) -> dict[str, Process]:
    """Read the processes that a subset may have; all, for the message, where there is none."""
    if not _local or _local[0][0] != sources:
        _local[:] = [(sources, load_gps(gpr, [LOCAL]))]
    return load_gps(gpr, [subset]) | _local[0][1] or load_gps(gpr)


def _features(
    structures: StructureSet, surrogate: Process | None, strains: bool
) -> Callable[[StructureSet], FloatArray]:
    """Return what gives the features of some structures of a subset: those of its process."""
    if isinstance(surrogate, LocalModel):
        return surrogate.features
    if surrogate is None and (strains or varies(structures)):
        return _places
    if isinstance(surrogate, Surrogate):
        descriptor = surrogate.geometry.make_descriptor()
    else:
        descriptor = Geometry.of(structures, InverseDistanceSettings(1.0)).make_descriptor()
    return lambda some: descriptor.values(some.positions).reshape(len(some), -1)


def _copies(
    config: AugmentConfig, material: _Material, block: Block, progress: Progress
) -> tuple[AugmentedSet, Statistics]:
    parents = material.structures.select(np.arange(*block.parents))
    positions, index, numbers = _placed_in_pieces(config, material, parents, block, progress)
    cells = None
    if config.strain and strain_freedom(parents):
        strains = _strains(config, material, parents, block)
        positions, cells = strained(parents, positions, index, strains.reshape(-1, 3, 3))
    if material.surrogate is None:
        candidates = label_with_taylor(parents, positions, index, numbers, cells)
    else:
        label, domain = material.surrogate.energies, material.surrogate.domain
        candidates = label_with_gp(
            parents,
            positions,
            index,
            numbers,
            label,
            material.sigma,
            progress=progress,
            domain=domain,
            cells=cells,
            missed=_missed(config, material.surrogate, parents),
        )
        if isinstance(material.surrogate, LocalModel):
            candidates = replace(candidates, label_error=material.surrogate.left_out_error or None)
    assert material.structures.energies is not None  # every labelling needs them and has checked
    result = apply_gates(candidates, config, float(material.structures.energies.min()))
    index = index[result.keep]
    if config.candidates > 1:
        result, index = _choose(config, material, parents, block, result, index)
    return result.accepted, statistics_of(len(candidates), result, parents, index)


def _missed(config: AugmentConfig, surrogate: Process, parents: StructureSet) -> StructureSet | None:
    """Return what the process misses of the references, where labels are to be anchored there."""
    if not config.anchored or parents.forces is None:
        return None
    stress = None
    if isinstance(surrogate, LocalModel) and strain_freedom(parents) and config.strain:
        stress = surrogate.stresses(parents)
    return missed_by(parents, *surrogate.energies_and_forces(parents), stress)


def _placed_in_pieces(
    config: AugmentConfig, material: _Material, parents: StructureSet, block: Block, progress: Progress
) -> tuple[FloatArray, IntArray, IntArray]:
    """Return positions, parents and numbers of the candidates; between pieces, progress may ask to stop."""
    count = block.copies[1] - block.copies[0]
    some = count if config.mode == "along_bond" else min(count, PIECE)  # those of a bond belong together
    step, found = max(1, PIECE // some), []
    for parent in range(0, len(parents), step):
        for first in range(*block.copies, some):
            progress(parent * count + first - block.copies[0], len(parents) * count, "displacing copies")
            number = block.parents[0] + parent
            last = min(number + step, block.parents[1])
            piece = replace(block, parents=(number, last), copies=(first, min(first + some, block.copies[1])))
            chosen = parents.select(slice(parent, parent + step))
            positions, index, numbers = _place(config, material, chosen, piece)
            found.append((positions, index + parent, numbers))
    positions, index, numbers = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    return positions, index, numbers


def _place(
    config: AugmentConfig, material: _Material, parents: StructureSet, block: Block
) -> tuple[FloatArray, IntArray, IntArray]:
    """Return positions, parents and numbers of the candidates."""
    first, count = block.copies[0], block.copies[1] - block.copies[0]
    if config.mode != "adaptive":
        return displace(parents, config, count, config.seed, first)
    assert material.sigma is not None  # the configuration has checked
    assert material.room is not None
    displacements = adaptive_displacements(
        parents,
        count,
        config.seed,
        free_atoms(parents, config.fixed_atoms),
        material.sigma,
        material.target_sigma,
        material.room[slice(*block.parents)],
        config.adaptive,
        first,
        block.n_all,
    )
    return placed(parents, displacements, first)


def _strains(config: AugmentConfig, material: _Material, parents: StructureSet, block: Block) -> FloatArray:
    """Return the strains of the candidates, shape (n_parents, n_copies, 3, 3)."""
    first, count = block.copies[0], block.copies[1] - block.copies[0]
    if config.strain != "auto":
        return random_strains(parents, count, config.seed, first, config.strain)
    assert material.sigma is not None  # the configuration has checked
    target, settings = material.target_sigma, config.adaptive
    return adaptive_strains(parents, count, config.seed, material.sigma, target, settings, first, block.n_all)


def _places(structures: StructureSet) -> FloatArray:
    """Return positions and cells, the latter with the weight of all atoms."""
    n = len(structures)
    if structures.cells is None:
        return structures.positions.reshape(n, -1)
    cells = structures.n_atoms**0.5 * structures.cells
    return np.hstack([structures.positions.reshape(n, -1), cells.reshape(n, -1)])


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
    values, own = material.features(result.accepted.structures), material.features(parents)
    chosen = most_informative(values, index, own, wanted)
    return replace(result, accepted=result.accepted.select(np.flatnonzero(chosen))), index[chosen]
