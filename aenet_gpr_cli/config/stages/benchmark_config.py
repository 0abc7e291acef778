"""Configuration of `benchmark`: time per epoch and peak memory of the training modes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from annotated_types import MinLen

from aenet_gpr_cli.ann.training_settings import Network
from aenet_gpr_cli.config.keys import StageConfig
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.settings import PositiveFloat, PositiveInt, settings

BenchmarkMode = Literal["energy_only", "gpr", "direct", "combined"]
Optimiser = Literal["adamw", "levenberg_marquardt"]


@settings
class CutoffPair:
    """Radial and angular cutoff of one point."""

    radial: PositiveFloat
    """radial cutoff in Å"""
    angular: PositiveFloat
    """angular cutoff in Å"""


@settings
class ClusterConfig:
    """Clusters of ethylene carbonate molecules, made by the benchmark: cost against structure size."""

    molecules: tuple[PositiveInt, ...] = ()
    """molecules (of 10 atoms) per cluster; default: no clusters"""
    n_structures: PositiveInt = 20
    """training structures per size"""
    surrogate_up_to: PositiveInt | None = None
    """molecules of the largest clusters that the process of fit_gpr is fitted to (full processes of hundreds
    of atoms take many minutes and GiB); default: of all"""


@settings
class BenchmarkConfig(StageConfig):
    """Train for a few epochs in a fresh process per point; measure time and peak memory."""

    neutral: ClassVar[frozenset[str]] = frozenset()  # resources are what it measures

    modes: Annotated[tuple[BenchmarkMode, ...], MinLen(1)] = ("energy_only", "gpr", "direct")
    """training modes"""
    optimisers: Annotated[tuple[Optimiser, ...], MinLen(1)] = ("adamw",)
    """optimisers; an epoch of Levenberg-Marquardt is one linearisation"""
    cutoffs: Annotated[tuple[CutoffPair, ...], MinLen(1)] = (
        CutoffPair(radial=6.5, angular=4.0),
        CutoffPair(radial=8.5, angular=6.0),
        CutoffPair(radial=10.5, angular=8.0),
    )
    """cutoffs; the first is kept while something else varies"""
    batch_sizes: Annotated[tuple[PositiveInt, ...], MinLen(1)] = (32, 64, 128, 256)
    """batch sizes of AdamW; the first is kept while something else varies"""
    processes: Annotated[tuple[PositiveInt, ...], MinLen(1)] = (1,)
    """processes that share one training (torchrun); the first stays while another key varies"""
    clusters: ClusterConfig = ClusterConfig()
    """clusters of rising size, besides the given structures"""
    n_copies: PositiveInt = 36
    """M of the modes with copies"""
    displacement: PositiveFloat = 0.034
    """δ of the modes with copies, in Å"""
    fit_gpr: FitGprConfig = FitGprConfig()
    """keys of fit-gpr: its fit and its labels are part of what modes with copies cost"""
    local_process: bool = False
    """measure fit and labels of a local process (fit_gpr.local), too, beside that of fit_gpr"""
    n_members: PositiveInt = 1
    """members of the committee"""
    n_epochs: PositiveInt = 3
    """epochs timed per point, after one that is not"""
    clock: Literal["wall", "cpu"] = "wall"
    """time that is reported; cpu (of all threads) where other work shares the machine"""
    threads: PositiveInt = 1
    """threads of each process"""
    max_structures: PositiveInt | None = None
    """use at most this many training structures"""
    network: Network = Network()
    """descriptor orders and layers"""
