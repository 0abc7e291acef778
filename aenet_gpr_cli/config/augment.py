"""Configuration of `augment`: displaced copies and their labels."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from aenet_gpr_cli.config.base import PositiveFloat, PositiveInt, SigmaConfig, StrictModel

CopyFormat = Literal["xsf", "extxyz"]


class AdaptiveConfig(StrictModel):
    """How far copies go where δ is left to the surrogate (mode: adaptive)."""

    target_sigma: PositiveFloat | None = Field(
        None,
        description="largest σ that the displacement adds to a label, in eV; default: that of training "
        "structures left out",
    )
    tolerated_sigma: PositiveFloat = Field(
        1e-3,
        description="σ that is of no concern and limits no copy, in eV (where target_sigma is not given)",
    )
    smallest: PositiveFloat = Field(0.003, description="smallest δ, in Å")
    largest: PositiveFloat = Field(0.1, description="largest δ, in Å")
    softness: float = Field(
        0.0, ge=0, le=1, description="0: all directions alike; 1: soft modes farther, as in thermal motion"
    )
    n_probes: PositiveInt = Field(4, description="directions per parent along which σ is looked at")

    @model_validator(mode="after")
    def _ordered(self) -> AdaptiveConfig:
        if self.smallest > self.largest:
            raise ValueError(f"expected smallest <= largest, got {self.smallest} > {self.largest}")
        return self


class ThermalConfig(StrictModel):
    """Short Langevin runs on the surface of the surrogate (mode: thermal)."""

    temperature: PositiveFloat = Field(300.0, description="in K")
    timestep: PositiveFloat = Field(0.5, description="in fs")
    steps: PositiveInt = Field(50, description="steps of the run that leads from the parent to a copy")
    friction: PositiveFloat = Field(0.02, description="in 1/fs")
    fence: PositiveFloat | None = Field(
        None,
        description="largest σ on the way, in eV; default: twice that of training structures left out",
    )
    look_every: PositiveInt = Field(10, description="steps between looks at σ")


class AugmentConfig(SigmaConfig):
    """Displace each reference structure M times by δ and label the copies with energies."""

    neutral: ClassVar[frozenset[str]] = frozenset({"workers"})
    method: Literal["gpr", "taylor"] = Field(
        "gpr", description="label by the Gaussian process, or by first-order Taylor expansion"
    )
    displacement: PositiveFloat = Field(
        0.034, description="δ in Å: standard deviation per Cartesian component"
    )
    species_displacement: dict[str, PositiveFloat] = Field(
        default_factory=dict, description="another δ for the atoms of some species, in Å: {Li: 0.02, H: 0.04}"
    )
    n_copies: PositiveInt = Field(36, description="M, copies per reference structure")
    n_total: PositiveInt | None = Field(
        None, description="copies per subset, spread evenly over its structures, in place of n_copies"
    )
    candidates: PositiveInt = Field(
        1,
        description="make so many times M copies and keep the M that lie farthest apart in descriptor space",
    )
    mode: Literal["gaussian", "along_bond", "adaptive", "thermal"] = Field(
        "gaussian",
        description="gaussian: all atoms by δ; along_bond: ±δ along the bond of a dimer; adaptive: each copy "
        "as far as σ and the neighbours allow; thermal: ends of short runs on the surface of the surrogate",
    )
    adaptive: AdaptiveConfig = Field(default_factory=AdaptiveConfig, description="settings of mode adaptive")
    thermal: ThermalConfig = Field(default_factory=ThermalConfig, description="settings of mode thermal")
    fixed_atoms: list[int] = Field(default_factory=list, description="atoms (from 0) that do not move")
    max_sigma: PositiveFloat | None = Field(None, description="reject copies with a larger σ, in eV")
    minimum_distance: float = Field(0.4, ge=0, description="reject copies with atoms closer than this, in Å")
    energy_window: tuple[float, float] | None = Field(
        None, description="keep copies whose energy lies in this range above the lowest reference, in eV"
    )
    write: list[CopyFormat] = Field(
        default_factory=list,
        description="also write the copies beside the artefact: xsf (for ænet, a file each), extxyz (for "
        "MACE, NequIP, metatrain, …: energies, no forces)",
    )
    block_size: PositiveInt = Field(8192, description="copies made at a time: bounds the memory")
    workers: PositiveInt = Field(
        1, description="blocks made at the same time, in processes of one thread each"
    )

    def copies_in_all(self, n_structures: int) -> int:
        """Return how many copies a subset gets."""
        return self.n_copies * n_structures if self.n_total is None else self.n_total

    @model_validator(mode="after")
    def _surrogate_needed(self) -> AugmentConfig:
        needs_sigma = self.mode in ("adaptive", "thermal")
        if needs_sigma and (self.method != "gpr" or self.sigma == "none"):
            raise ValueError(f"mode {self.mode}: expected method gpr and sigma bound or exact, it asks for σ")
        if self.mode != "gaussian" and self.species_displacement:
            raise ValueError(f"species_displacement: expected mode gaussian, got {self.mode}")
        if self.mode == "along_bond" and (self.n_total or self.candidates > 1):
            raise ValueError("mode along_bond: takes n_copies only; leave out n_total and candidates")
        return self
