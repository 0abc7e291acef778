"""Configuration of `benchmark`: time per epoch and peak memory of the training modes."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from aenet_gpr_cli.config.base import PositiveFloat, PositiveInt, StageConfig, StrictModel
from aenet_gpr_cli.config.fit_gpr import FitGprConfig
from aenet_gpr_cli.config.train_ann import NetworkConfig

BenchmarkMode = Literal["energy_only", "gpr", "direct"]
Optimiser = Literal["adamw", "levenberg_marquardt"]


class CutoffPair(StrictModel):
    """Radial and angular cutoff of one point."""

    radial: PositiveFloat = Field(..., description="radial cutoff in Å")
    angular: PositiveFloat = Field(..., description="angular cutoff in Å")


class ClusterConfig(StrictModel):
    """Clusters of ethylene carbonate molecules, made by the benchmark: cost against structure size."""

    molecules: list[PositiveInt] = Field(
        default_factory=list, description="molecules (of 10 atoms) per cluster; default: no clusters"
    )
    n_structures: PositiveInt = Field(20, description="training structures per size")


class BenchmarkConfig(StageConfig):
    """Train for a few epochs in a fresh process per point; measure time and peak memory."""

    modes: list[BenchmarkMode] = Field(
        default_factory=lambda: list(get_args(BenchmarkMode)), min_length=1, description="training modes"
    )
    optimisers: list[Optimiser] = Field(
        default=["adamw"],
        min_length=1,
        description="optimisers; an epoch of Levenberg-Marquardt is one linearisation",
    )
    cutoffs: list[CutoffPair] = Field(
        default_factory=lambda: [
            CutoffPair(radial=6.5, angular=4.0),
            CutoffPair(radial=8.5, angular=6.0),
            CutoffPair(radial=10.5, angular=8.0),
        ],
        min_length=1,
        description="cutoffs; the first is kept while something else varies",
    )
    batch_sizes: list[PositiveInt] = Field(
        default_factory=lambda: [32, 64, 128, 256],
        min_length=1,
        description="batch sizes of AdamW; the first is kept while something else varies",
    )
    processes: list[PositiveInt] = Field(
        default=[1],
        min_length=1,
        description="processes that share one training (torchrun); the first stays while another key varies",
    )
    clusters: ClusterConfig = Field(
        default_factory=ClusterConfig, description="clusters of rising size, besides the given structures"
    )
    n_copies: PositiveInt = Field(36, description="M of the gpr mode")
    displacement: PositiveFloat = Field(0.034, description="δ of the gpr mode in Å")
    fit_gpr: FitGprConfig = Field(
        default_factory=FitGprConfig,
        description="keys of fit-gpr: its fit and its labels are part of what the gpr mode costs",
    )
    n_members: PositiveInt = Field(1, description="members of the committee")
    n_epochs: PositiveInt = Field(3, description="epochs timed per point, after one that is not")
    clock: Literal["wall", "cpu"] = Field(
        "wall", description="time that is reported; cpu (of all threads) where other work shares the machine"
    )
    threads: PositiveInt = Field(1, description="threads of each process")
    max_structures: PositiveInt | None = Field(None, description="use at most this many training structures")
    network: NetworkConfig = Field(default_factory=NetworkConfig, description="descriptor orders and layers")
