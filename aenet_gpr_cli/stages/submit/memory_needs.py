"""The memory that the jobs of a workflow need, about: what a scheduler is asked for."""

from __future__ import annotations

from collections.abc import Mapping

from aenet_gpr_cli.ann.curvature.form_costs import forecast_bytes
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.gpr.solvers.cholesky import dense_bytes
from aenet_gpr_cli.stages.augment.copy_costs import NUMBER, PROGRAM_GIB
from aenet_gpr_cli.stages.submit.training_size import TrainingSize
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.units import BYTES_PER_GIB

OTHER_GIB = 4.0  # of stages that hold little


def fit_gib(config: FitGprConfig, subset: StructureSet) -> float:
    """Return the memory of one fit: the dense matrix, or what the configuration allows if that is less.

    Returns
    -------
    float, GiB
    """
    dense = dense_bytes(len(subset), subset.n_atoms) / BYTES_PER_GIB
    return PROGRAM_GIB + min(1.5 * dense, config.max_memory_gib)


def train_gib(
    config: TrainAnnConfig, subsets: Mapping[str, StructureSet], copies: AugmentConfig | None
) -> float:
    """Return the memory of a training: positions of references, descriptors where they fit, JᵀJ or rows.

    Of copies their energies, residuals and parents are held: a quarter of a kB each.

    Parameters
    ----------
    copies : AugmentConfig or None
        How the copies are made that it reads.

    Returns
    -------
    float, GiB
    """
    size = TrainingSize.of(config, subsets, copies)
    descriptors = 2 * size.n_environments * size.n_features * NUMBER / BYTES_PER_GIB
    if descriptors > config.max_memory_gib:
        descriptors = 0.0  # they are kept on disk
    needed = NUMBER * (9 * size.n_environments_held + 40 * size.n_structures)
    if config.optimiser == "levenberg_marquardt":
        needed += forecast_bytes(size.n_rows, size.n_weights, size.n_groups)
    jacobian = config.jacobian_memory_gib if config.with_forces else 0.0
    return PROGRAM_GIB + descriptors + needed / BYTES_PER_GIB + jacobian
