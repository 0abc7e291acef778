"""Configuration of `evaluate`: errors of all models on the test structures."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aenet_gpr_cli.config.base import (
    NonNegativeFloat,
    PredictingConfig,
)


class EvaluateConfig(PredictingConfig):
    """Compare energies and forces of the models with the reference."""

    on: Literal["test", "train"] = Field("test", description="which part of the split to predict")
    smallest_force: NonNegativeFloat = Field(
        0.01,
        description="atoms with no more reference force than this, in eV/Å, have no direction to compare",
    )
    extxyz: bool = Field(
        True, description="write predictions of each model and the reference as an extended XYZ file"
    )
    plots: bool = Field(True, description="draw parity plots and the comparison of the models")
