"""The points of a benchmark: one thing varies at a time, everything else is at its first value."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from aenet_gpr_cli.ann.training_settings import AdamW, LevenbergMarquardt
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.benchmark_config import BenchmarkConfig, BenchmarkMode, CutoffPair, Optimiser
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.settings import PositiveInt, settings

PROCESSES = ("surrogate", "local")  # Gaussian processes that are measured: that of fit_gpr, and a local one


@settings
class Point:
    """What is measured in one fresh process, which is given this group of keys."""

    training: TrainAnnConfig | None = None
    """the training; without it: fit and labels of a Gaussian process"""
    process: Literal["surrogate", "local"] = "surrogate"
    """which one: that of fit_gpr, or the local one beside it"""
    fit_gpr: FitGprConfig = FitGprConfig()
    """the fit"""
    augment: AugmentConfig = AugmentConfig()
    """the copies, and the seed of everything"""
    processes: PositiveInt = 1
    """processes that share the training"""
    split: str | None = None
    """path of the structures; without it they are a cluster"""
    max_structures: PositiveInt | None = None
    """of the split"""
    n_molecules: int = 0
    """of the cluster"""
    n_structures: PositiveInt = 20
    """of the cluster"""
    clock: Literal["wall", "cpu"] = "wall"
    """time that is measured"""

    @property
    def labels(self) -> dict[str, Any]:
        """What distinguishes this point from the others, by the name of the column in the table."""
        if self.training is None:
            return {"mode": self.process, "n_molecules": self.n_molecules}
        return {
            "mode": self.training.mode,
            "optimiser": self.training.optimiser,
            "radial_cutoff": self.training.network.radial_cutoff,
            "angular_cutoff": self.training.network.angular_reach,
            "batch_size": self.training.adamw.batch_size,
            "processes": self.processes,
            "n_molecules": self.n_molecules,
        }

    @property
    def name(self) -> str:
        """Unique and fit for a file name."""
        return "_".join(map(str, self.labels.values()))


def points(config: BenchmarkConfig, split: Path | None) -> list[Point]:
    """Return all points, each once.

    Parameters
    ----------
    split : Path or None
        Structures besides the clusters.

    Returns
    -------
    list of Point
        Those of one optimiser and mode together, then those of Gaussian processes; last what several
        processes share, so that a run on few cores can be interrupted before.
    """
    found = [
        point
        for optimiser in config.optimisers
        for mode in config.modes
        for point in _of_mode(config, mode, optimiser, split)
    ]
    # the Gaussian processes of each system
    own = [replace(p, training=None, processes=1) for p in found if p.training and p.training.with_copies]
    largest = config.clusters.surrogate_up_to or math.inf
    found += [point for point in own if point.n_molecules <= largest]
    if config.local_process:
        found += [replace(p, process="local", fit_gpr=replace(p.fit_gpr, model="local")) for p in own]
    once = {point.name: point for point in found}
    return sorted(once.values(), key=lambda point: point.processes > 1)


def _of_mode(
    config: BenchmarkConfig, mode: BenchmarkMode, optimiser: Optimiser, split: Path | None
) -> Iterator[Point]:
    def point(
        cutoffs: CutoffPair = config.cutoffs[0],
        batch_size: int = config.batch_sizes[0],
        processes: int = config.processes[0],
        n_molecules: int = 0,
    ) -> Point:
        return Point(
            training=_training(config, mode, optimiser, cutoffs, batch_size),
            fit_gpr=config.fit_gpr,
            augment=AugmentConfig(
                n_copies=config.n_copies, displacement=config.displacement, seed=config.seed
            ),
            processes=processes,
            split=None if n_molecules else str(split),
            max_structures=config.max_structures,
            n_molecules=n_molecules,
            n_structures=config.clusters.n_structures,
            clock=config.clock,
        )

    if split is not None:
        yield from (point(cutoffs=pair) for pair in config.cutoffs)
        if optimiser == "adamw":
            yield from (point(batch_size=size) for size in config.batch_sizes)
        yield from (point(processes=number) for number in config.processes)
    yield from (point(n_molecules=number) for number in config.clusters.molecules)


def _training(
    config: BenchmarkConfig, mode: BenchmarkMode, optimiser: Optimiser, cutoffs: CutoffPair, batch_size: int
) -> TrainAnnConfig:
    """Return a training that does not stop early and holds nothing out."""
    epochs = config.n_epochs + 1
    return TrainAnnConfig(
        seed=config.seed,
        mode=mode,
        network=replace(config.network, radial_cutoff=cutoffs.radial, angular_cutoff=cutoffs.angular),
        n_members=config.n_members,
        optimiser=optimiser,
        adamw=AdamW(
            learning_rate=1e-4, batch_size=batch_size, epochs=epochs, patience=epochs, schedule="constant"
        ),
        levenberg_marquardt=LevenbergMarquardt(
            iterations=epochs, patience=epochs, tolerance=0.0, window_gain=0.0
        ),
        validation_fraction=0.0,
    )
