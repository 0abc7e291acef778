"""Configuration of `predict`: energies and forces of any structures by a fitted model."""

from __future__ import annotations

from typing import Literal

from aenet_gpr_cli.config.keys import PredictingConfig
from aenet_gpr_cli.settings import settings

StructureFormat = Literal["extxyz", "xsf"]


@settings
class PredictConfig(PredictingConfig):
    """Predict energies, forces and their uncertainty with a Gaussian process or a committee."""

    write: tuple[StructureFormat, ...] = ("extxyz",)
    """formats of the structures with predicted energies and forces, beside the HDF5 file"""
    members: tuple[int, ...] | None = None
    """members of the committee to use, counted from 0; default: all"""
    subset: str | None = None
    """use the Gaussian process of this subset; default: the one that fits the atoms"""
