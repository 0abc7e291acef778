"""Configuration of `predict` and `evaluate`: with what, and which errors of a fitted model are reported."""

from __future__ import annotations

from typing import Literal

from aenet_gpr_cli.config.keys import PredictingConfig, StructureFormat
from aenet_gpr_cli.settings import NonNegativeFloat, NonNegativeInt, PositiveFloat, settings


@settings
class PredictConfig(PredictingConfig):
    """Predict energies, forces and their uncertainty with a Gaussian process or a committee."""

    write: tuple[StructureFormat, ...] = ("extxyz",)
    """formats of the structures with predicted energies and forces, beside the HDF5 file"""
    members: tuple[NonNegativeInt, ...] | None = None
    """members of the committee to use, counted from 0; default: all"""
    subset: str | None = None
    """use the Gaussian process of this subset; default: the one that fits the atoms"""


@settings
class EvaluateConfig(PredictingConfig):
    """Compare energies and forces of the models with the reference."""

    on: Literal["test", "train"] = "test"
    """which part of the split to predict"""
    smallest_force: NonNegativeFloat = 0.01
    """atoms with no more reference force than this, in eV/Å, have no direction to compare"""
    temperature: PositiveFloat = 300.0
    """of the dynamics that the verdict is about, in K"""
    extxyz: bool = True
    """write predictions of each model and the reference as an extended XYZ file"""
    plots: bool = True
    """draw parity plots and the comparison of the models"""
