"""Configuration of `select`: which structures of a pool deserve a reference calculation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from aenet_gpr_cli.config.base import SIGMA_MAX_ROWS, PositiveFloat, PositiveInt, StageConfig
from aenet_gpr_cli.config.predict import StructureFormat


class SelectConfig(StageConfig):
    """Rank a pool by the σ of a Gaussian process or the spread of a committee; keep the best."""

    n_select: PositiveInt | None = Field(
        20, description="structures to select; null: all above the threshold"
    )
    threshold: PositiveFloat | None = Field(None, description="select structures with a larger σ only, in eV")
    strategy: Literal["uncertainty", "random"] = Field(
        "uncertainty", description="the most uncertain ones, or any, for comparison"
    )
    diversity: float = Field(
        3.0,
        ge=1,
        description="take them from so many times as many of the most uncertain, far apart in descriptor "
        "space; 1: the most uncertain ones as they are",
    )
    sigma: Literal["bound", "exact"] = Field(
        "bound", description="σ of a Gaussian process: upper bound, or exact (factorises the whole matrix)"
    )
    sigma_max_rows: PositiveInt = Field(
        SIGMA_MAX_ROWS, description="training energies and force components behind each bound"
    )
    max_memory_gib: PositiveFloat = Field(
        16.0, description="memory for the dense factor of `sigma: exact`; beyond, σ is solved for one by one"
    )
    block_size: PositiveInt = Field(100, description="structures predicted at a time")
    write: list[StructureFormat] = Field(
        default=["xsf"], description="formats of the work list beside the HDF5 file: xsf, extxyz"
    )

    @model_validator(mode="after")
    def _some_limit(self) -> SelectConfig:
        if self.n_select is None and self.threshold is None:
            raise ValueError("expected n_select or threshold, got neither")
        return self
