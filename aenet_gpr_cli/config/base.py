"""What all configuration models share: strictness, and the types of common keys."""

from __future__ import annotations

from typing import Annotated, ClassVar

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
