"""Configuration of `evaluate`: errors of all models on the test structures."""

from __future__ import annotations

from typing import Literal

from aenet_gpr_cli.config.keys import PredictingConfig
from aenet_gpr_cli.settings import NonNegativeFloat, settings


@settings
class EvaluateConfig(PredictingConfig):
    """Compare energies and forces of the models with the reference."""

    on: Literal["test", "train"] = "test"
    """which part of the split to predict"""
    smallest_force: NonNegativeFloat = 0.01
    """atoms with no more reference force than this, in eV/Å, have no direction to compare"""
    extxyz: bool = True
    """write predictions of each model and the reference as an extended XYZ file"""
    plots: bool = True
    """draw parity plots and the comparison of the models"""
