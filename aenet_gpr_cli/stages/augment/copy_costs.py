"""What copies will cost, told before the first is made: memory of a process, space on disk."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import psutil

from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.errors import ConfigError, ResourceError
from aenet_gpr_cli.gpr.solvers.cholesky import dense_bytes
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.units import BYTES_PER_GIB

PROGRAM_GIB = 1.5  # libraries, compiled code and buffers, without any data
PROCESS_GIB = 0.5  # the same of a process that makes blocks
NUMBER = 8  # bytes
RECORD = 160  # bytes of a copy on disk beside its positions and cell: energy, σ, two names, …
AT_LEAST = 4  # arrays of positions in memory at a time
MOST_BLOCKS = 1_000_000  # each is a file until all are there


def augment_gib(config: AugmentConfig, subset: StructureSet) -> float:
    """Return the memory for the copies of one subset: a block of them in each process, and the factor of σ.

    A block holds positions a few times over and descriptors; how many blocks there are does not matter.

    Returns
    -------
    float, GiB
    """
    n, n_atoms = len(subset), subset.n_atoms
    numbers = _largest_block(config, n) * (8 * 3 * n_atoms + 2 * n_atoms * (n_atoms - 1) // 2)
    rows = n * (1 + 3 * n_atoms)
    if config.method == "gpr" and config.label_sigma == "bound":
        numbers += 2 * min(rows, config.sigma_max_rows) ** 2
    factor = dense_bytes(n, n_atoms) if config.method == "gpr" and config.label_sigma == "exact" else 0
    return PROGRAM_GIB + config.workers * (PROCESS_GIB + (numbers * NUMBER + factor) / BYTES_PER_GIB)


def _all_together(config: AugmentConfig) -> bool:
    """Whether all copies of a parent are made in one block."""
    return config.candidates > 1 or config.mode == "along_bond"


def _largest_block(config: AugmentConfig, n_structures: int) -> int:
    """Return the number of copies in the largest block of a subset."""
    of_parent = config.candidates * -(-config.copies_in_all(n_structures) // n_structures)
    whole = config.candidates * config.copies_in_all(n_structures)
    return min(whole, max(config.block_size, of_parent * _all_together(config)))


def disk_gib(config: AugmentConfig, subsets: Mapping[str, StructureSet]) -> float:
    """Return the space that the copies take in the artefact, GiB."""
    total = 0
    for subset in subsets.values():
        cell = 0 if subset.cells is None else 9 * NUMBER
        total += config.copies_in_all(len(subset)) * (3 * NUMBER * subset.n_atoms + cell + RECORD)
    return total / BYTES_PER_GIB


def forecast(config: AugmentConfig, subsets: Mapping[str, StructureSet], output: Path) -> str:
    """Say what the copies will cost; refuse what cannot be.

    Returns
    -------
    str
        One line.

    Raises
    ------
    ConfigError
        If there would be too many blocks.
    ResourceError
        If the positions of a block alone need more memory, or all copies more space on disk, than there is.
    """
    n_copies = sum(config.copies_in_all(len(subset)) for subset in subsets.values())
    n_blocks = 0 if _all_together(config) else n_copies // config.block_size  # or one or less per parent
    if n_blocks > MOST_BLOCKS:
        raise ConfigError(
            f"block_size: expected {MOST_BLOCKS} blocks at most, got {n_blocks} ({n_copies} copies)"
        )
    machine = psutil.virtual_memory().total / BYTES_PER_GIB
    memory = max(augment_gib(config, subset) for subset in subsets.values())
    for name, subset in subsets.items():
        positions = 3 * NUMBER * subset.n_atoms * _largest_block(config, len(subset))
        least = config.workers * AT_LEAST * positions / BYTES_PER_GIB
        if least > machine:
            raise ResourceError(
                f"{name}: the copies of a block need {least:.1f} GiB of memory or more, this machine has "
                f"{machine:.1f}; lower block_size, candidates or n_copies"
            )
    disk = disk_gib(config, subsets)
    there = next(folder for folder in output.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(there).free / BYTES_PER_GIB
    if 2 * disk > free:
        raise ResourceError(
            f"{output}: {n_copies} copies take {disk:.1f} GiB, twice that while they are put together; "
            f"{free:.1f} GiB are free; lower n_copies or n_total, or choose another --output"
        )
    space = f"{disk:.2g} GiB on disk, meanwhile twice that"
    return f"{n_copies} copies: up to {memory:.1f} GiB of memory, {space}"
