"""Configuration of `evaluate`: errors of all models on the test structures."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aenet_gpr_cli.config.base import (
    SIGMA_MAX_ROWS,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    StageConfig,
)


class EvaluateConfig(StageConfig):
    """Compare energies and forces of the models with the reference."""

    on: Literal["test", "train"] = Field("test", description="which part of the split to predict")
    sigma: Literal["bound", "exact", "none"] = Field(
        "bound",
        description="σ of the GP's energies: upper bound, exact (factorises the whole matrix), or none",
    )
    sigma_max_rows: PositiveInt = Field(
        SIGMA_MAX_ROWS,
        description="training energies and force components behind each bound: more is tighter and slower",
    )
    max_memory_gib: PositiveFloat = Field(
        16.0, description="memory for the dense factor of `sigma: exact`; beyond, σ is solved for one by one"
    )
    block_size: PositiveInt = Field(100, description="structures predicted at a time")
    smallest_force: NonNegativeFloat = Field(
        0.01,
        description="atoms with no more reference force than this, in eV/Å, have no direction to compare",
    )
    extxyz: bool = Field(
        True, description="write predictions of each model and the reference as an extended XYZ file"
    )
    plots: bool = Field(True, description="draw parity plots and the comparison of the models")
