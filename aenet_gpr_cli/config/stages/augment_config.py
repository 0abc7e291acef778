"""Configuration of `augment`: displaced copies and their labels."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Le

from aenet_gpr_cli.augmentation.displacements import Placement
from aenet_gpr_cli.augmentation.gates import Gates
from aenet_gpr_cli.config.keys import SigmaConfig
from aenet_gpr_cli.settings import PositiveInt, settings

CopyFormat = Literal["xsf", "extxyz"]


@settings
class AugmentConfig(Gates, Placement, SigmaConfig):
    """Displace each reference structure M times by δ and label the copies with energies."""

    sigma: Literal["auto", "bound", "exact", "none"] = "auto"  # type: ignore[assignment]
    """σ of the labels: upper bound, exact (factorises the whole matrix), none; auto: the bound where
    something here asks for it (max_sigma, mode: adaptive, strain: auto), else none; train-ann with
    loss.sigma_scale wants it, too"""
    method: Literal["gpr", "taylor"] = "gpr"
    """label by the Gaussian process, or by first-order Taylor expansion"""
    anchored: bool = False
    """add to labels of the process what it misses of energy, forces and stress of the parent, to first order,
    so that a coarse process gives the curvature alone; repeats the noise of the parent in all its copies, and
    pays in mode gpr with a coarse process only; false: the mean of the process, as in the paper"""
    n_copies: Annotated[PositiveInt, Le(1_000_000)] = 36
    """M, copies per reference structure"""
    n_total: Annotated[PositiveInt, Le(100_000_000)] | None = None
    """copies per subset, spread evenly over its structures, in place of n_copies"""
    candidates: Annotated[PositiveInt, Le(10_000)] = 1
    """make so many times M copies and keep the M that lie farthest apart in descriptor space"""
    write: tuple[CopyFormat, ...] = ()
    """also write the copies beside the artefact: xsf (for ænet, a file each), extxyz (for MACE, NequIP,
    metatrain, …: energies, no forces)"""
    block_size: Annotated[PositiveInt, Le(100_000)] = 8192
    """copies made at a time: bounds the memory"""
    workers: PositiveInt = 1
    """blocks made at the same time, in processes of one thread each"""

    @property
    def label_sigma(self) -> str:
        """Which σ the labels get: ``bound``, ``exact`` or ``none``."""
        if self.sigma != "auto":
            return self.sigma
        asked = self.max_sigma is not None or self.mode == "adaptive" or self.strain == "auto"
        return "bound" if asked else "none"

    def copies_in_all(self, n_structures: int) -> int:
        """Return how many copies a subset gets."""
        return self.n_copies * n_structures if self.n_total is None else self.n_total

    def __post_init__(self) -> None:
        Gates.__post_init__(self)
        if self.mode == "adaptive" and (self.method != "gpr" or self.sigma == "none"):
            raise ValueError("mode adaptive: expected method gpr and sigma bound or exact, it asks for σ")
        if self.strain == "auto" and (self.method != "gpr" or self.sigma == "none"):
            raise ValueError("strain auto: expected method gpr and sigma bound or exact, it asks for σ")
        if self.mode != "gaussian" and self.species_displacement:
            raise ValueError(f"species_displacement: expected mode gaussian, got {self.mode}")
        if self.mode == "along_bond" and (self.n_total or self.candidates > 1):
            raise ValueError("mode along_bond: takes n_copies only; leave out n_total and candidates")
