"""What all configuration models share: strictness, and the types of common keys."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
PositiveInt = Annotated[int, Field(ge=1)]
SIGMA_MAX_ROWS = 7000  # of the stages that bound σ: 1 ms per structure; 250 EC dimers: twice the exact σ
Fraction = Annotated[float, Field(ge=0, lt=1)]


class StrictModel(BaseModel):
    """Refuse unknown keys and silent conversions between types; instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class StageConfig(StrictModel):
    """Keys that every stage has; ``neutral`` ones do not change its result."""

    neutral: ClassVar[frozenset[str]] = frozenset()
    seed: int = Field(0, ge=0, description="seed of all random choices of this stage")


class SigmaConfig(StageConfig):
    """Keys of the stages that ask a Gaussian process for its σ."""

    sigma: Literal["bound", "exact", "none"] = Field(
        "bound",
        description="σ of the GP: upper bound, exact (factorises the whole matrix), or none",
    )
    sigma_max_rows: PositiveInt = Field(
        SIGMA_MAX_ROWS,
        description="training energies and force components behind each bound: more is tighter and slower",
    )
    max_memory_gib: PositiveFloat = Field(
        16.0, description="memory for the dense factor of `sigma: exact`, in GiB"
    )


class PredictingConfig(SigmaConfig):
    """Keys of the stages that predict with fitted models."""

    block_size: PositiveInt = Field(100, description="structures predicted at a time")
