"""Configuration of `augment`: displaced copies and their labels."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from aenet_gpr_cli.config.keys import SigmaConfig
from aenet_gpr_cli.settings import PositiveFloat, PositiveInt, settings

CopyFormat = Literal["xsf", "extxyz"]


@settings
class AdaptiveConfig:
    """How far copies go where δ is left to the surrogate (mode: adaptive)."""

    target_sigma: PositiveFloat | None = None
    """largest σ that the displacement adds to a label, in eV; default: that of training structures left
    out"""
    tolerated_sigma: PositiveFloat = 0.001
    """σ that is of no concern and limits no copy, in eV (where target_sigma is not given)"""
    smallest: PositiveFloat = 0.003
    """smallest δ, in Å"""
    largest: PositiveFloat = 0.1
    """largest δ, in Å"""
    softness: Annotated[float, Ge(0), Le(1)] = 0.0
    """0: all directions alike; 1: soft modes farther, as in thermal motion"""
    n_probes: PositiveInt = 4
    """directions per parent along which σ is looked at"""

    def __post_init__(self) -> None:
        if self.smallest > self.largest:
            raise ValueError(f"expected smallest <= largest, got {self.smallest} > {self.largest}")


@settings
class ThermalConfig:
    """Short Langevin runs on the surface of the surrogate (mode: thermal)."""

    temperature: PositiveFloat = 300.0
    """in K"""
    timestep: PositiveFloat = 0.5
    """in fs"""
    steps: PositiveInt = 50
    """steps of the run that leads from the parent to a copy"""
    friction: PositiveFloat = 0.02
    """in 1/fs"""
    fence: PositiveFloat | None = None
    """largest σ on the way, in eV; default: twice that of training structures left out"""
    look_every: PositiveInt = 10
    """steps between looks at σ"""


@settings
class AugmentConfig(SigmaConfig):
    """Displace each reference structure M times by δ and label the copies with energies."""

    neutral: ClassVar[frozenset[str]] = frozenset({"workers"})
    method: Literal["gpr", "taylor"] = "gpr"
    """label by the Gaussian process, or by first-order Taylor expansion"""
    displacement: PositiveFloat = 0.034
    """δ in Å: standard deviation per Cartesian component"""
    species_displacement: dict[str, PositiveFloat] = field(default_factory=dict)
    """another δ for the atoms of some species, in Å: {Li: 0.02, H: 0.04}"""
    n_copies: PositiveInt = 36
    """M, copies per reference structure"""
    n_total: PositiveInt | None = None
    """copies per subset, spread evenly over its structures, in place of n_copies"""
    candidates: PositiveInt = 1
    """make so many times M copies and keep the M that lie farthest apart in descriptor space"""
    mode: Literal["gaussian", "along_bond", "adaptive", "thermal"] = "gaussian"
    """gaussian: all atoms by δ; along_bond: ±δ along the bond of a dimer; adaptive: each copy as far as σ
    and the neighbours allow; thermal: ends of short runs on the surface of the surrogate"""
    adaptive: AdaptiveConfig = AdaptiveConfig()
    """settings of mode adaptive"""
    thermal: ThermalConfig = ThermalConfig()
    """settings of mode thermal"""
    fixed_atoms: tuple[int, ...] = ()
    """atoms (from 0) that do not move"""
    max_sigma: PositiveFloat | None = None
    """reject copies with a larger σ, in eV"""
    minimum_distance: Annotated[float, Ge(0)] = 0.4
    """reject copies with atoms closer than this, in Å"""
    energy_window: tuple[float, float] | None = None
    """keep copies whose energy lies in this range above the lowest reference, in eV"""
    write: tuple[CopyFormat, ...] = ()
    """also write the copies beside the artefact: xsf (for ænet, a file each), extxyz (for MACE, NequIP,
    metatrain, …: energies, no forces)"""
    block_size: PositiveInt = 8192
    """copies made at a time: bounds the memory"""
    workers: PositiveInt = 1
    """blocks made at the same time, in processes of one thread each"""

    def copies_in_all(self, n_structures: int) -> int:
        """Return how many copies a subset gets."""
        return self.n_copies * n_structures if self.n_total is None else self.n_total

    def __post_init__(self) -> None:
        needs_sigma = self.mode in ("adaptive", "thermal")
        if needs_sigma and (self.method != "gpr" or self.sigma == "none"):
            raise ValueError(f"mode {self.mode}: expected method gpr and sigma bound or exact, it asks for σ")
        if self.mode != "gaussian" and self.species_displacement:
            raise ValueError(f"species_displacement: expected mode gaussian, got {self.mode}")
        if self.mode == "along_bond" and (self.n_total or self.candidates > 1):
            raise ValueError("mode along_bond: takes n_copies only; leave out n_total and candidates")
