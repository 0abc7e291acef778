"""Configuration of `predict`: energies and forces of any structures by a fitted model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aenet_gpr_cli.config.base import SIGMA_MAX_ROWS, PositiveFloat, PositiveInt, StageConfig

StructureFormat = Literal["extxyz", "xsf"]


class PredictConfig(StageConfig):
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
