"""Keys that several stages have."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from aenet_gpr_cli.settings import PositiveFloat, PositiveInt, Seed, settings

StructureFormat = Literal["extxyz", "xsf"]
LARGEST_GAP = (
    8.0  # Å without an atom: wider than between layers of crystals, narrower than beside usual slabs
)
SIGMA_MAX_ROWS = 3500  # of the stages that bound σ: 0.3 ms per structure; 250 EC dimers: twice the exact σ


@settings
class StageConfig:
    """Keys that every stage has; ``neutral`` ones do not change its result."""

    # of resources: how much, where and how often
    neutral: ClassVar[frozenset[str]] = frozenset(
        {"max_memory_gib", "workers", "device", "checkpoint_seconds", "jacobian_memory_gib"}
    )
    seed: Seed = 0
    """seed of all random choices of this stage"""


def with_seed(section: Any, seed: int | None) -> Any:
    """Return the keys of a section with the seed of its case, if it has none of its own."""
    return {"seed": seed, **section} if seed is not None and isinstance(section, dict) else section


@settings
class SigmaConfig(StageConfig):
    """Keys of the stages that ask a Gaussian process for its σ."""

    sigma: Literal["bound", "exact", "none"] = "bound"
    """σ of the GP: upper bound, exact (factorises the whole matrix), or none"""
    sigma_max_rows: PositiveInt = SIGMA_MAX_ROWS
    """training energies and force components behind each bound, beside all of the nearest structure: more is
    tighter and slower"""
    max_memory_gib: PositiveFloat = 16.0
    """memory for the dense factor of `sigma: exact`, in GiB"""


@settings
class PredictingConfig(SigmaConfig):
    """Keys of the stages that predict with fitted models."""

    neutral: ClassVar[frozenset[str]] = StageConfig.neutral | {"block_size"}

    block_size: PositiveInt = 100
    """structures predicted at a time"""
