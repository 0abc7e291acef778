"""One point of the benchmark, in a process of its own: ``python -m …benchmark_point REQUEST RESULT``.

REQUEST is a JSON file with the point, RESULT that with the measurement. Under ``torchrun`` the processes
train together and the first one writes.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.execution import distributed as parallel
from aenet_gpr_cli.ann.training import train
from aenet_gpr_cli.augmentation.copy_labels import label_with_taylor
from aenet_gpr_cli.augmentation.displacements import Placement, displace
from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.train_ann_config import (
    AdamWConfig,
    LevenbergMarquardtConfig,
    LossConfig,
    NetworkConfig,
    TrainAnnConfig,
)
from aenet_gpr_cli.descriptors.interface.neighbour_list import neighbour_list
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.evaluation.clusters import clusters
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.structure_sets import load_split, write_structures
from aenet_gpr_cli.io.process_memory import current_memory, peak_memory
from aenet_gpr_cli.stages.augment import augment_stage as augment
from aenet_gpr_cli.stages.benchmark.benchmark_grid import SURROGATE
from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage as fit_gpr
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.train_ann.train_ann_stage import make_basis, training_settings
from aenet_gpr_cli.structures import AugmentedSet, StructureSet

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Measure what a request of `benchmark_grid.requested` asks for.

    Parameters
    ----------
    request : dict

    Returns
    -------
    dict
        See `measure_surrogate` and `measure_training`.
    """
    references = _references(request)
    if request["mode"] == SURROGATE:
        return measure_surrogate(request, references)
    with parallel.session("cpu"):
        return measure_training(request, list(references.values()))


def measure_surrogate(request: dict[str, Any], references: dict[str, StructureSet]) -> dict[str, Any]:
    """Fit the Gaussian processes and label the copies, with the stages that do so.

    Parameters
    ----------
    request : dict
    references : dict of str to StructureSet

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
        clock = CLOCKS[request["clock"]]
        ticks = [clock()]
        fit_gpr.run(build(FitGprConfig, request["fit_gpr"], "fit_gpr"), split, gpr, Context())
        ticks.append(clock())
        keys = {key: request[key] for key in ("n_copies", "displacement", "seed")}
        augment.run(AugmentConfig(**keys), split, gpr, copies, Context())
        ticks.append(clock())
    return {
        "fit_seconds": ticks[1] - ticks[0],
        "label_seconds": ticks[2] - ticks[1],
        "surrogate_memory": peak_memory(),
    }


def measure_training(request: dict[str, Any], references: list[StructureSet]) -> dict[str, Any]:
    """Train for a few epochs.

    Parameters
    ----------
    request : dict
    references : list of StructureSet

    Returns
    -------
    dict
        ``n_atoms`` of the largest structure, ``neighbours`` per atom within the radial cutoff,
        ``n_structures`` with copies, ``processes``, ``setup_seconds`` (all before the first epoch, which
        holds the descriptors), ``seconds_per_epoch`` (median), ``memory_before`` (bytes, libraries and
        references) and ``peak_memory`` (bytes), both of all processes together.
    """
    memory_before = current_memory()
    copies = [_augmented(subset, request) for subset in references] if request["mode"] == "gpr" else []
    data = TrainingSet.collect(references, copies, None)
    config = _config(request)
    clock = CLOCKS[request["clock"]]
    ticks = [clock()]
    train(
        data,
        make_basis(config.network, data.species),
        training_settings(config),
        request["seed"],
        lambda done, total, message: ticks.append(clock()),
    )
    if len(ticks) < 3:
        raise NumericalError("expected more than one epoch, but the training stopped after the first")
    epochs = np.diff(ticks)
    memory = parallel.add_array(np.array([memory_before, peak_memory()], float), "cpu")
    largest = max(references, key=lambda subset: subset.n_atoms)
    return {
        "n_atoms": largest.n_atoms,
        "neighbours": _neighbours(largest, request["radial_cutoff"]),
        "n_structures": len(data),
        "processes": parallel.size(),
        "setup_seconds": float(epochs[0] - np.median(epochs[1:])),
        "seconds_per_epoch": float(np.median(epochs[1:])),
        "memory_before": int(memory[0]),
        "peak_memory": int(memory[1]),
    }


def _references(request: dict[str, Any]) -> dict[str, StructureSet]:
    if request["n_molecules"]:
        name = f"EC{request['n_molecules']}"
        return {name: clusters(request["n_molecules"], request["cluster_structures"], request["seed"])}
    found = load_split(Path(request["split"]), "train")
    if request["max_structures"]:
        found = {name: subset.select(slice(0, request["max_structures"])) for name, subset in found.items()}
    return found


def _config(request: dict[str, Any]) -> TrainAnnConfig:
    """Return the configuration of a training that does not stop early and holds nothing out."""
    epochs = request["n_epochs"] + 1
    return TrainAnnConfig(
        mode=request["mode"],
        network=build(NetworkConfig, request["network"], "network"),
        n_members=request["n_members"],
        optimiser=request["optimiser"],
        adamw=AdamWConfig(
            learning_rate=1e-4,
            batch_size=request["batch_size"],
            epochs=epochs,
            patience=epochs,
            schedule="constant",
        ),
        levenberg_marquardt=LevenbergMarquardtConfig(iterations=epochs, patience=epochs, tolerance=0.0),
        loss=LossConfig(force_fraction=1.0),
        validation_fraction=0.0,
    )


def _augmented(subset: StructureSet, request: dict[str, Any]) -> AugmentedSet:
    """Return M copies; their labels do not change what an epoch costs, so the cheapest serve."""
    placement = Placement(displacement=request["displacement"])
    positions, parents, copies = displace(subset, placement, request["n_copies"], request["seed"])
    return label_with_taylor(subset, positions, parents, copies)


def _neighbours(subset: StructureSet, cutoff: float) -> float:
    cells = None if subset.cells is None else subset.cells[:1]
    found = neighbour_list(subset.positions[:1], cells, subset.pbc, cutoff)
    return len(found.index) / subset.n_atoms


def main(request: Path, result: Path) -> None:
    """Measure, and write the result from the first process.

    Parameters
    ----------
    request, result : Path
        JSON files.
    """
    measured = measure(json.loads(request.read_text()))
    if os.environ.get("RANK", "0") == "0":
        result.write_text(json.dumps(measured))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
