"""One point of the benchmark, in a process of its own: ``python -m aenet_gpr_cli.stages.benchmark_point``.

Reads the point as JSON from standard input, trains for a few epochs, prints the measurement as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from aenet_gpr_cli.ann.dataset import TrainingSet
from aenet_gpr_cli.ann.training import train
from aenet_gpr_cli.augmentation.displacements import displace
from aenet_gpr_cli.augmentation.taylor import label_with_taylor
from aenet_gpr_cli.config.train_ann import AdamWConfig, LossConfig, NetworkConfig, TrainAnnConfig
from aenet_gpr_cli.evaluation.timing import current_memory, peak_memory
from aenet_gpr_cli.io.structures import load_split
from aenet_gpr_cli.stages.train_ann import make_basis, training_settings
from aenet_gpr_cli.structures import AugmentedSet, StructureSet


def measure(point: dict[str, Any]) -> dict[str, Any]:
    """Train for a few epochs and measure.

    Parameters
    ----------
    point : dict
        ``split``, ``mode``, ``batch_size``, ``n_epochs``, ``n_members``, ``n_copies``, ``displacement``,
        ``max_structures``, ``seed``, and ``network`` with the keys of `NetworkConfig`.

    Returns
    -------
    dict
        ``n_structures``, ``setup_seconds`` (all before the first epoch), ``seconds_per_epoch``
        (median), ``memory_before`` (bytes, libraries only) and ``peak_memory`` (bytes).
    """
    memory_before = current_memory()
    references = list(load_split(Path(point["split"]), "train").values())
    if point["max_structures"]:
        references = [subset.select(slice(0, point["max_structures"])) for subset in references]
    copies = [_augmented(subset, point) for subset in references] if point["mode"] == "gpr" else []
    data = TrainingSet.collect(references, copies, None)
    config = TrainAnnConfig(
        mode=point["mode"],
        network=NetworkConfig(**point["network"]),
        n_members=point["n_members"],
        optimiser="adamw",
        adamw=AdamWConfig(
            learning_rate=1e-4,
            batch_size=point["batch_size"],
            epochs=point["n_epochs"] + 1,
            patience=point["n_epochs"] + 1,
            schedule="constant",
        ),
        loss=LossConfig(force_fraction=1.0),
        validation_fraction=0.0,
    )
    ticks = [time.perf_counter()]
    train(
        data,
        make_basis(config.network, data.species),
        training_settings(config),
        point["seed"],
        lambda done, total, message: ticks.append(time.perf_counter()),
    )
    epochs = np.diff(ticks)  # the first holds the descriptors and whatever is compiled
    return {
        "n_structures": len(data),
        "setup_seconds": float(epochs[0] - np.median(epochs[1:])),
        "seconds_per_epoch": float(np.median(epochs[1:])),
        "memory_before": memory_before,
        "peak_memory": peak_memory(),
    }


def _augmented(subset: StructureSet, point: dict[str, Any]) -> AugmentedSet:
    """Return M copies; their labels do not change what an epoch costs, so the cheapest serve."""
    positions, parents, copies = displace(subset, point["displacement"], point["n_copies"], point["seed"])
    return label_with_taylor(subset, positions, parents, copies)


if __name__ == "__main__":
    json.dump(measure(json.load(sys.stdin)), sys.stdout)
