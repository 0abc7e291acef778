"""One point of the benchmark, in a process of its own: ``python -m …benchmark_point POINT RESULT``.

POINT is a JSON file with the keys of a `Point`, RESULT that with the measurement. Under ``torchrun`` the
processes train together and the first one writes.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.execution.surroundings import Processes, Surroundings
from aenet_gpr_cli.ann.training import train
from aenet_gpr_cli.augmentation.copy_labels import label_with_taylor
from aenet_gpr_cli.augmentation.displacements import Placement, displace
from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.descriptors.interface.neighbour_list import neighbour_list
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.evaluation.clusters import clusters
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.structure_sets import load_split, write_structures
from aenet_gpr_cli.io.process_memory import current_memory, peak_memory
from aenet_gpr_cli.stages.augment import augment_stage as augment
from aenet_gpr_cli.stages.benchmark.benchmark_grid import Point
from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage as fit_gpr
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.shared.torchrun import torchrun_processes
from aenet_gpr_cli.structures import AugmentedSet, StructureSet

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def measure(point: Point, processes: Processes) -> dict[str, Any]:
    """Measure a point; see `measure_surrogate` and `measure_training` for what is found."""
    references = _references(point)
    if point.training is None:
        return measure_surrogate(point, references)
    return measure_training(point, point.training, list(references.values()), processes)


def measure_surrogate(point: Point, references: dict[str, StructureSet]) -> dict[str, Any]:
    """Fit the Gaussian processes and label the copies, with the stages that do so.

    Returns
    -------
    dict
        ``fit_seconds`` with the choice of hyperparameters, ``label_seconds`` with the bounds of σ,
        ``surrogate_memory`` (bytes, peak).
    """
    with tempfile.TemporaryDirectory() as folder:
        split, gpr, copies = (Path(folder, f"{name}.h5") for name in ("split", "gpr", "augmented"))
        with publish(split, Job("split", {}, {})) as file:
            for name, subset in references.items():
                write_structures(file.create_group(f"train/{name}"), subset)
            file.create_group("test")
        clock = CLOCKS[point.clock]
        ticks = [clock()]
        fit_gpr.run(point.fit_gpr, split, gpr, Context())
        ticks.append(clock())
        augment.run(point.augment, split, gpr, copies, Context())
        ticks.append(clock())
    return {
        "fit_seconds": ticks[1] - ticks[0],
        "label_seconds": ticks[2] - ticks[1],
        "surrogate_memory": peak_memory(),
    }


def measure_training(
    point: Point, config: TrainAnnConfig, references: list[StructureSet], processes: Processes
) -> dict[str, Any]:
    """Train for a few epochs.

    Returns
    -------
    dict
        ``n_atoms`` of the largest structure, ``neighbours`` per atom within the radial cutoff,
        ``n_structures`` with copies, ``processes``, ``setup_seconds`` (all before the first epoch, which
        holds the descriptors), ``seconds_per_epoch`` (median), ``memory_before`` (bytes, libraries and
        references) and ``peak_memory`` (bytes), both of all processes together.
    """
    memory_before = current_memory()
    copies = [_augmented(subset, point) for subset in references] if config.with_copies else []
    data = TrainingSet.collect(references, copies, None)
    clock = CLOCKS[point.clock]
    ticks = [clock()]
    around = Surroundings(lambda done, total, message: ticks.append(clock()), processes=processes)
    train(data, config.network.basis(data.species), config, config.seed, around=around)
    if len(ticks) < 3:
        raise NumericalError("expected more than one epoch, but the training stopped after the first")
    epochs = np.diff(ticks)
    memory = processes.add_array(np.array([memory_before, peak_memory()], float))
    largest = max(references, key=lambda subset: subset.n_atoms)
    return {
        "n_atoms": largest.n_atoms,
        "neighbours": _neighbours(largest, config.network.radial_cutoff),
        "n_structures": len(data),
        "processes": processes.size,
        "setup_seconds": float(epochs[0] - np.median(epochs[1:])),
        "seconds_per_epoch": float(np.median(epochs[1:])),
        "memory_before": int(memory[0]),
        "peak_memory": int(memory[1]),
    }


def _references(point: Point) -> dict[str, StructureSet]:
    if point.split is None:
        name = f"EC{point.n_molecules}"
        return {name: clusters(point.n_molecules, point.n_structures, point.augment.seed)}
    found = load_split(Path(point.split), "train")
    if point.max_structures:
        found = {name: subset.select(slice(0, point.max_structures)) for name, subset in found.items()}
    return found


def _augmented(subset: StructureSet, point: Point) -> AugmentedSet:
    """Return M copies; their labels do not change what an epoch costs, so the cheapest serve."""
    keys = point.augment
    placement = Placement(displacement=keys.displacement)
    positions, parents, copies = displace(subset, placement, keys.n_copies, keys.seed)
    return label_with_taylor(subset, positions, parents, copies)


def _neighbours(subset: StructureSet, cutoff: float) -> float:
    cells = None if subset.cells is None else subset.cells[:1]
    found = neighbour_list(subset.positions[:1], cells, subset.pbc, cutoff)
    return len(found.index) / subset.n_atoms


def main(given: Path, result: Path) -> None:
    """Measure the point of a JSON file, and write the result to another from the first process."""
    point = build(Point, json.loads(given.read_text()), given.name)
    with torchrun_processes("cpu") as (processes, _):
        measured = measure(point, processes)
    if processes.rank == 0:
        result.write_text(json.dumps(measured))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
