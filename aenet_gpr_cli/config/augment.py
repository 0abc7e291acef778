"""Configuration of `augment`: displaced copies and their labels."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aenet_gpr_cli.config.base import SIGMA_MAX_ROWS, PositiveFloat, PositiveInt, StageConfig


class AugmentConfig(StageConfig):
    """Displace each reference structure M times by δ and label the copies with energies."""

    method: Literal["gpr", "taylor"] = Field(
        "gpr", description="label by the Gaussian process, or by first-order Taylor expansion"
    )
    displacement: PositiveFloat = Field(
        0.034, description="δ in Å: standard deviation per Cartesian component"
    )
    n_copies: PositiveInt = Field(36, description="M, copies per reference structure")
    mode: Literal["gaussian", "along_bond"] = Field(
        "gaussian", description="Gaussian displacement of all atoms, or ±δ along the bond of a dimer"
    )
    fixed_atoms: list[int] = Field(default_factory=list, description="atoms (from 0) that do not move")
    sigma: Literal["bound", "exact", "none"] = Field(
        "bound",
        description="standard deviation of each GPR label: upper bound from a part of the training data, "
        "exact (needs the dense factor again), or none",
    )
    sigma_max_rows: PositiveInt = Field(
        SIGMA_MAX_ROWS,
        description="training energies and force components behind each bound: more is tighter and slower",
    )
    max_sigma: PositiveFloat | None = Field(None, description="reject copies with a larger σ, in eV")
    minimum_distance: float = Field(0.4, ge=0, description="reject copies with atoms closer than this, in Å")
    energy_window: tuple[float, float] | None = Field(
        None, description="keep copies whose energy lies in this range above the lowest reference, in eV"
    )
    max_memory_gib: PositiveFloat = Field(
        16.0, description="memory for the dense factor of `sigma: exact`, in GiB"
    )
    write_xsf: bool = Field(False, description="also write every copy as an XSF file beside the artefact")
