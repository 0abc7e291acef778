"""Configuration of `label`: reference calculations of a work list."""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from aenet_gpr_cli.config.keys import StageConfig
from aenet_gpr_cli.config.stages.predict_config import StructureFormat
from aenet_gpr_cli.settings import PositiveInt, settings


@settings
class CalculatorConfig:
    """An ASE calculator."""

    name: str = "tblite"
    """name of an ASE calculator (tblite, emt, vasp, aims, …), or where its class is imported from
    (package.module.Class); stored: the labels that the structures bring along"""
    parameters: dict[str, Any] = field(default_factory=dict)
    """keywords of the calculator: {method: GFN2-xTB}"""


@settings
class LabelConfig(StageConfig):
    """Calculate energies and forces with any ASE calculator."""

    neutral: ClassVar[frozenset[str]] = frozenset({"workers"})
    calculator: CalculatorConfig = CalculatorConfig()
    """what calculates energies and forces"""
    workers: PositiveInt = 1
    """structures calculated at the same time, in processes"""
    write: tuple[StructureFormat, ...] = ("xsf",)
    """formats of the labelled structures beside the HDF5 file: xsf, extxyz"""
