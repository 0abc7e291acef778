"""Configuration of `label`: reference calculations of a work list."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from aenet_gpr_cli.config.base import PositiveInt, StageConfig, StrictModel
from aenet_gpr_cli.config.predict import StructureFormat


class CalculatorConfig(StrictModel):
    """An ASE calculator."""

    name: str = Field(
        "tblite",
        description="name of an ASE calculator (tblite, emt, vasp, aims, …), or where its class is imported "
        "from (package.module.Class); stored: the labels that the structures bring along",
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="keywords of the calculator: {method: GFN2-xTB}"
    )


class LabelConfig(StageConfig):
    """Calculate energies and forces with any ASE calculator."""

    neutral: ClassVar[frozenset[str]] = frozenset({"workers"})
    calculator: CalculatorConfig = Field(
        default_factory=CalculatorConfig, description="what calculates energies and forces"
    )
    workers: PositiveInt = Field(1, description="structures calculated at the same time, in processes")
    write: list[StructureFormat] = Field(
        default=["xsf"], description="formats of the labelled structures beside the HDF5 file: xsf, extxyz"
    )
