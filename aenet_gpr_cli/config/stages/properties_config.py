"""Configuration of `properties`: how far a crystal is strained, and how well it is relaxed."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le

from aenet_gpr_cli.config.keys import LARGEST_GAP, StageConfig
from aenet_gpr_cli.settings import NonNegativeInt, PositiveFloat, PositiveInt, settings


@settings
class PropertiesConfig(StageConfig):
    """Equation of state and elastic constants of a crystal with a fitted model."""

    relax: bool = True
    """relax atoms and cell first; without it the constants are those of the cell as it is"""
    largest_force: PositiveFloat = 0.001
    """relaxed when no force is larger, in eV/Å"""
    steps: PositiveInt = 500
    """of a relaxation, at most"""
    eos_strain: Annotated[float, Gt(0), Le(0.2)] = 0.03
    """largest strain of lengths in the equation of state, in tension and in compression"""
    eos_points: Annotated[int, Ge(5), Le(1000)] = 9
    """volumes of the equation of state"""
    elastic_strain: Annotated[float, Gt(0), Le(0.1)] = 0.005
    """strain of the elastic constants, of both signs"""
    reference_strain: Annotated[float, Gt(0), Le(0.3)] = 0.025
    """cells of the reference data that are strained by more are left out"""
    frame: Annotated[int, Ge(-(10**9)), Le(10**9)] = 0
    """which structure of the file, counted from 0; -1 is the last"""
    largest_gap: PositiveFloat = LARGEST_GAP
    """a cell with so much without atoms across it is a slab, and refused, in Å"""
    members: tuple[NonNegativeInt, ...] | None = None
    """members of the committee to use, counted from 0; default: all"""
