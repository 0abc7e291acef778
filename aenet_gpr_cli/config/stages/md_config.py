"""Configuration of `md`: ensemble, lengths, what is kept, and what stops a run."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from aenet_gpr_cli.config.keys import LARGEST_GAP, SigmaConfig
from aenet_gpr_cli.config.stages.active_config import CalculatorConfig
from aenet_gpr_cli.settings import (
    NonNegativeFloat,
    NonNegativeInt,
    Number,
    PositiveFloat,
    PositiveInt,
    settings,
)

MOST_STEPS = 10**9


@settings
class MdConfig(SigmaConfig):
    """Molecular dynamics with a fitted model."""

    neutral: ClassVar[frozenset[str]] = SigmaConfig.neutral

    ensemble: Literal["nve", "nvt", "npt"] = "nvt"
    """nve: constant energy (velocity Verlet); nvt: constant temperature (Langevin); npt: constant pressure,
    too (the cell keeps its shape)"""
    temperature: Annotated[float, Ge(0), Le(1e6)] = 300.0
    """in K; also of the velocities at the start, unless the file has them (momenta of extended XYZ)"""
    time_ps: Annotated[float, Gt(0), Le(1e9)] = 10.0
    """how long, in ps"""
    timestep_fs: Annotated[float, Gt(0), Le(100)] | None = None
    """time step in fs; default: 0.5 with hydrogen, 1 with elements up to neon, 2 without"""
    frame: Annotated[int, Ge(-(10**9)), Le(10**9)] = 0
    """which structure of the file to start from, counted from 0; -1 is the last"""
    fixed_atoms: tuple[NonNegativeInt, ...] | None = None
    """atoms (from 0) that do not move, [] for none; default: those that the file fixes (FixAtoms of ASE, the
    column move_mask of extended XYZ)"""
    replicas: PositiveInt = 1
    """independent runs, each with velocities and random forces of its own; they do not depend on how many
    there are"""
    each_frame: bool = False
    """replicas start from one structure of the file after the other, the first from frame, with the
    velocities of the file where it has them; false: all from frame, with velocities drawn for each"""
    replica: NonNegativeInt = 0
    """run only this one of the replicas, counted from 1, on another machine for example; 0: no replica"""
    workers: PositiveInt | None = None
    """replicas run at the same time, in processes; default: one for each core, fewer for short
    runs"""
    thermostat_ps: PositiveFloat = 0.2
    """1/γ of Langevin's friction, in ps: shorter holds the temperature better, disturbs the motion more"""
    pressure_gpa: Number = 0.0
    """pressure of npt, in GPa"""
    barostat_ps: PositiveFloat = 1.0
    """within which the volume of npt relaxes, in ps"""
    compressibility: PositiveFloat = 0.1
    """of the material, in 1/GPa (water 0.45, metals 0.01); sets how fast the volume follows, not where it
    ends, as long as that takes many steps"""
    largest_gap: PositiveFloat = LARGEST_GAP
    """npt: a cell with so much without atoms across it is a slab, and refused, in Å"""
    store_every: PositiveInt = 100
    """steps between frames of the trajectory"""
    table_every: PositiveInt = 20
    """steps between rows of the table; σ and the training range, which take longer than a step, are looked at
    for stored frames only (store_every), and for every row where stop_sigma or stop_beyond is given"""
    stop_sigma: PositiveFloat | None = None
    """stop when σ of the energy, or the spread of the committee, exceeds this, in eV; null: never"""
    stop_beyond: PositiveFloat | None = None
    """stop when an atom is outside the training data by more than this share of the range of a feature
    (networks), of the largest distance to an inducing environment in training, or of the repulsion of two
    atoms there where they are nearer to each other (model: local); or when the structure is by more than this
    share of the largest distance between neighbouring training structures (model: full); null: never"""
    stop_temperature: PositiveFloat | None = None
    """stop when the temperature exceeds this, in K; default: ten times the one asked for, at least 3000"""
    members: tuple[NonNegativeInt, ...] | None = None
    """members of the committee to use, counted from 0; default: all"""
    reference: CalculatorConfig | None = None
    """an ASE calculator that checks energies, forces and the pressure of stored frames; null: none"""
    reference_every: PositiveInt = 10
    """check every so many stored frames"""
    checkpoint_seconds: NonNegativeFloat = 60.0
    """seconds between states that an interrupted run goes on from"""

    def __post_init__(self) -> None:
        if self.replica and self.replicas > 1:
            raise ValueError("replica: expected 0 with replicas, or replicas: 1; one of them runs alone")
        if self.stop_sigma is not None and self.sigma == "none":
            raise ValueError("stop_sigma: expected sigma: bound or exact, got none")
        if self.reference is not None and self.reference.name == "stored":
            raise ValueError(
                "reference.name: expected an ASE calculator (tblite, emt, …), got stored, which is for label"
            )
        if self.timestep_fs is not None and self.time_ps * 1e3 / self.timestep_fs > MOST_STEPS:
            raise ValueError(
                f"time_ps: expected at most {MOST_STEPS:,} steps; a shorter time, or a longer step"
            )
