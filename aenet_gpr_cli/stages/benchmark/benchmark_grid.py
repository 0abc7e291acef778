"""The points of a benchmark: one thing varies at a time, everything else is at its first value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from aenet_gpr_cli.config.stages.benchmark_config import BenchmarkConfig

SURROGATE = "surrogate"


@dataclass(frozen=True, slots=True)
class Point:
    """What is measured in one fresh process.

    Attributes
    ----------
    mode : str
        A training mode, or `SURROGATE` for fit and labels of the Gaussian process.
    optimiser : str
    radial_cutoff, angular_cutoff : float, Å
    batch_size : int
    processes : int
    n_molecules : int
        Of a cluster; 0 for the given structures.
    """

    mode: str
    optimiser: str
    radial_cutoff: float
    angular_cutoff: float
    batch_size: int
    processes: int = 1
    n_molecules: int = 0

    @property
    def name(self) -> str:
        """Unique and fit for a file name."""
        if self.mode == SURROGATE:
            return f"{self.mode}_{self.n_molecules}"
        return "_".join(str(value) for value in asdict(self).values())


def points(config: BenchmarkConfig, given: bool) -> list[Point]:
    """Return all points, each once.

    Parameters
    ----------
    config : BenchmarkConfig
    given : bool
        Whether there are structures besides the clusters.

    Returns
    -------
    list of Point
        Those of one optimiser and mode together, then the surrogate's; last what several processes share, so
        that a run on few cores can be interrupted before.
    """
    found = [
        point
        for optimiser in config.optimisers
        for mode in config.modes
        for point in _of_mode(config, mode, optimiser, given)
    ]
    systems = dict.fromkeys(point.n_molecules for point in found if point.mode == "gpr")
    surrogates = [Point(SURROGATE, "", 0.0, 0.0, 0, 1, system) for system in systems]
    return sorted([*dict.fromkeys(found), *surrogates], key=lambda point: point.processes > 1)


def requested(point: Point, config: BenchmarkConfig, split: str) -> dict[str, Any]:
    """Return what the process of a point has to know.

    Parameters
    ----------
    point : Point
    config : BenchmarkConfig
    split : str
        Path of the split, empty without one.

    Returns
    -------
    dict
        Plain data.
    """
    cutoffs = {"radial_cutoff": point.radial_cutoff, "angular_cutoff": point.angular_cutoff}
    keys = ("n_epochs", "n_members", "n_copies", "displacement", "max_structures", "clock", "seed")
    return {
        **{key: getattr(config, key) for key in keys},
        **asdict(point),
        "network": asdict(config.network) | (cutoffs if point.mode != SURROGATE else {}),
        "fit_gpr": asdict(config.fit_gpr),
        "cluster_structures": config.clusters.n_structures,
        "split": split,
    }


def _of_mode(config: BenchmarkConfig, mode: str, optimiser: str, given: bool) -> Iterator[Point]:
    cutoffs, sizes, processes = config.cutoffs, config.batch_sizes, config.processes
    first = Point(mode, optimiser, cutoffs[0].radial, cutoffs[0].angular, sizes[0], processes[0])
    if given:
        for pair in cutoffs:
            yield replace(first, radial_cutoff=pair.radial, angular_cutoff=pair.angular)
        if optimiser == "adamw":
            for size in sizes:
                yield replace(first, batch_size=size)
        for number in processes:
            yield replace(first, processes=number)
    for n_molecules in config.clusters.molecules:
        yield replace(first, n_molecules=n_molecules)
