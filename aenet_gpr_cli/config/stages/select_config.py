"""Configuration of `select`: which structures of a pool deserve a reference calculation."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge

from aenet_gpr_cli.config.keys import PredictingConfig
from aenet_gpr_cli.config.stages.predict_config import StructureFormat
from aenet_gpr_cli.settings import PositiveFloat, PositiveInt, settings


@settings
class SelectConfig(PredictingConfig):
    """Rank a pool by the σ of a Gaussian process or the spread of a committee; keep the best."""

    n_select: PositiveInt | None = 20
    """structures to select; null: all above the threshold"""
    rank_by: Literal["forces", "energies"] = "forces"
    """σ of the forces (eV/Å), or of the energy (eV)"""
    over_atoms: Literal["mean", "max"] = "mean"
    """σ of the forces of a structure: root mean square over the components, or (committees only) that of
    the most uncertain atom"""
    threshold: PositiveFloat | None = None
    """select structures with a larger σ only, in eV/Å or eV, see rank_by"""
    strategy: Literal["uncertainty", "random"] = "uncertainty"
    """the most uncertain ones, or any, for comparison"""
    batch: Literal["variance_reduction", "conditioned", "far_apart", "ranked"] = "variance_reduction"
    """one after another, those taken before counted as calculated: variance_reduction: what lowers the
    variances of all candidates most; conditioned: the largest σ left (both need a Gaussian process;
    far_apart for committees); far_apart: see diversity; ranked: the largest σ as they are"""
    n_probes: PositiveInt = 4
    """random directions along which σ of a Gaussian process's forces is estimated"""
    candidates: PositiveInt = 400
    """structures of each subset that are compared one after another: bounds time and memory; of a larger
    pool half the most uncertain ones, half any"""
    diversity: Annotated[float, Ge(1)] = 3.0
    """with batch: far_apart, take them from so many times as many of the most uncertain, far apart in
    descriptor space"""
    write: tuple[StructureFormat, ...] = ("xsf",)
    """formats of the work list beside the HDF5 file: xsf, extxyz"""

    def __post_init__(self) -> None:
        if self.n_select is None and self.threshold is None:
            raise ValueError("expected n_select or threshold, got neither")
        if self.strategy == "uncertainty" and self.sigma == "none":
            raise ValueError("sigma: expected bound or exact, got none")
