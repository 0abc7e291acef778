"""Memory that a stage will take, for what is asked of a scheduler: estimates from above, GiB."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.gpr.solvers.cholesky import dense_bytes
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.units import BYTES_PER_GIB

PROGRAM_GIB = 1.5  # libraries, compiled code and buffers, without any data
PROCESS_GIB = 0.5  # the same of a process that makes blocks
NUMBER = 8  # bytes


def fit_gib(config: FitGprConfig, subset: StructureSet) -> float:
    """Return the memory of one fit: the dense matrix, or what the configuration allows if that is less.

    Parameters
    ----------
    config : FitGprConfig
    subset : StructureSet

    Returns
    -------
    float, GiB
    """
    dense = dense_bytes(len(subset), subset.n_atoms) / BYTES_PER_GIB
    return PROGRAM_GIB + min(1.5 * dense, config.max_memory_gib)


def augment_gib(config: AugmentConfig, subset: StructureSet) -> float:
    """Return the memory for the copies of one subset: a block of them in each process, and the factor of σ.

    A block holds positions a few times over and descriptors; how many blocks there are does not matter.

    Parameters
    ----------
    config : AugmentConfig
    subset : StructureSet

    Returns
    -------
    float, GiB
    """
    n, n_atoms = len(subset), subset.n_atoms
    together = config.candidates > 1 or config.mode == "along_bond"  # all copies of a parent in one block
    of_parent = config.candidates * -(-config.copies_in_all(n) // n)
    block = min(config.candidates * config.copies_in_all(n), max(config.block_size, of_parent * together))
    numbers = block * (8 * 3 * n_atoms + 2 * n_atoms * (n_atoms - 1) // 2)
    rows = n * (1 + 3 * n_atoms)
    if config.method == "gpr" and config.sigma == "bound":
        numbers += 2 * min(rows, config.sigma_max_rows) ** 2
    factor = dense_bytes(n, n_atoms) if config.method == "gpr" and config.sigma == "exact" else 0
    return PROGRAM_GIB + config.workers * (PROCESS_GIB + (numbers * NUMBER + factor) / BYTES_PER_GIB)


def train_gib(
    config: TrainAnnConfig, subsets: Mapping[str, StructureSet], copies: AugmentConfig | None
) -> float:
    """Return the memory of a training: positions, descriptors (bounded by a key), normal equations.

    Parameters
    ----------
    config : TrainAnnConfig
    subsets : mapping of str to StructureSet
    copies : AugmentConfig or None
        How the copies are made that it reads.

    Returns
    -------
    float, GiB
    """
    network, species = config.network, {symbol for subset in subsets.values() for symbol in subset.species}
    n_features = (network.radial_order + network.angular_order + 2) * (2 if len(species) > 1 else 1)
    counts = {name: len(s) + (copies.copies_in_all(len(s)) if copies else 0) for name, s in subsets.items()}
    environments = sum(counts[name] * subset.n_atoms for name, subset in subsets.items())
    layers = [n_features, *network.hidden, 1]
    n_weights = len(species) * sum((a + 1) * b for a, b in pairwise(layers))
    descriptors = min(2 * environments * n_features * NUMBER / BYTES_PER_GIB, config.max_memory_gib)
    needed = 9 * environments + 40 * sum(counts.values()) + 4 * n_weights**2
    jacobian = config.jacobian_memory_gib if config.mode == "direct" else 0.0
    return PROGRAM_GIB + descriptors + needed * NUMBER / BYTES_PER_GIB + jacobian
