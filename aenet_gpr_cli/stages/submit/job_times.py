"""How long the jobs of a workflow take, about: what a scheduler is asked for.

Counts of operations over a cautious rate of one core; measured times are shorter by two to five.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from aenet_gpr_cli.ann.curvature.form_costs import are_fewer
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.stages.submit.training_size import TrainingSize
from aenet_gpr_cli.structures import StructureSet

RATE = 1e10  # operations of one core in a second, in matrix products
SLOW_RATE = 1e9  # elsewhere
PASSES = 6.0  # operations for each weight of a network, forward and back
FORCES = 4.0  # times the work with forces
START = 60.0  # of a program: imports, compiled code, reading
MARGIN = 2.0
QUANTUM = 900.0  # s, what wall times are rounded up to
LONGEST = 24 * 3600.0  # what takes longer ends in time, keeps its state and queues again
WORTH_CORES = 300.0  # s, a job that takes longer is given several
CORES = 4


def augment_seconds(config: AugmentConfig, subset: StructureSet) -> float:
    """Return the time for the copies of one subset on one core, s."""
    n_copies, n_atoms = config.copies_in_all(len(subset)) * config.candidates, subset.n_atoms
    if config.method != "gpr":
        return n_copies * n_atoms / SLOW_RATE
    rows = len(subset) * (1 + 3 * n_atoms)
    label = 20.0 * len(subset) * n_atoms**2
    sigma = {"bound": min(rows, config.sigma_max_rows), "exact": rows, "none": 0}[config.label_sigma] ** 2
    solved = n_copies + (rows if config.label_sigma == "bound" else 0)  # rows of the nearest structures
    return n_copies * label / SLOW_RATE + solved * 2.0 * sigma / RATE


def train_seconds(
    config: TrainAnnConfig, subsets: Mapping[str, StructureSet], copies: AugmentConfig | None
) -> float:
    """Return the time for one member of a committee on one core, s.

    Parameters
    ----------
    copies : AugmentConfig or None
        How the copies are made that it reads.
    """
    size = TrainingSize.of(config, subsets, copies)
    forces = FORCES if config.with_forces else 1.0
    passes = size.n_environments * size.weights_per_species * PASSES * forces / SLOW_RATE
    if config.optimiser == "adamw":
        return config.adamw.epochs * passes
    fewer, more = float(size.n_weights), size.n_rows
    if are_fewer(size.n_rows, size.n_weights):
        fewer, more = more, fewer
    return config.levenberg_marquardt.iterations * ((more * fewer**2 + 4 * fewer**3) / RATE + passes)


def evaluate_seconds(n_models: int, subsets: Mapping[str, StructureSet]) -> float:
    """Return the time of an evaluation on one core, s: each atom of the test structures in each model."""
    return 1e-2 * n_models * sum(len(s) * s.n_atoms for s in subsets.values())


def cores(seconds: float) -> int:
    """Return the cores worth asking for, where a job takes so long on one."""
    return CORES if seconds > WORTH_CORES else 1


def wall_time(seconds: float) -> str:
    """Return the wall time to ask for, HH:MM:SS, where a job takes about so long.

    Examples
    --------
    >>> wall_time(12.0), wall_time(4000.0), wall_time(1e7)
    ('00:15:00', '02:30:00', '24:00:00')
    """
    asked = min(LONGEST, QUANTUM * math.ceil(MARGIN * (seconds + START) / QUANTUM))
    minutes = round(asked / 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:00"
