"""Configuration of `predict`: energies and forces of any structures by a fitted model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aenet_gpr_cli.config.base import PredictingConfig

StructureFormat = Literal["extxyz", "xsf"]


class PredictConfig(PredictingConfig):
    """Predict energies, forces and their uncertainty with a Gaussian process or a committee."""

    write: list[StructureFormat] = Field(
        default=["extxyz"],
        description="formats of the structures with predicted energies and forces, beside the HDF5 file",
    )
    members: list[int] | None = Field(
        None, description="members of the committee to use, counted from 0; default: all"
    )
    subset: str | None = Field(
        None, description="use the Gaussian process of this subset; default: the one that fits the atoms"
    )
