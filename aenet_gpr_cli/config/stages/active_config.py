"""Configuration of `select`, `label` and `active`: which structures are calculated, how, and in rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

from annotated_types import Ge, MinLen
from pydantic import Field

from aenet_gpr_cli.config.keys import PredictingConfig, StageConfig, StructureFormat, with_seed
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.prediction_config import EvaluateConfig
from aenet_gpr_cli.config.stages.split_config import SplitConfig
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.settings import NonNegativeFloat, PositiveFloat, PositiveInt, Seed, settings

HALF_OF_SEEDS = 2**63
SEEDED = ("split", "fit_gpr", "augment", "train_ann", "evaluate", "select", "label")


@settings
class SelectConfig(PredictingConfig):
    """Rank a pool by the σ of a Gaussian process or the spread of a committee; keep the best."""

    sigma_max_rows: PositiveInt = 7000
    """training energies and force components behind each bound, the same for all candidates"""
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
    diversity: Annotated[NonNegativeFloat, Ge(1)] = 3.0
    """with batch: far_apart, take them from so many times as many of the most uncertain, far apart in
    descriptor space"""
    write: tuple[StructureFormat, ...] = ("xsf",)
    """formats of the work list beside the HDF5 file: xsf, extxyz"""

    def __post_init__(self) -> None:
        if self.n_select is None and self.threshold is None:
            raise ValueError("expected n_select or threshold, got neither")
        if self.strategy == "uncertainty" and self.sigma == "none":
            raise ValueError("sigma: expected bound or exact, got none")


@settings
class CalculatorConfig:
    """An ASE calculator."""

    name: str | None = None
    """must be given, as labels have to be of the method of the training data: name of an ASE calculator
    (tblite, emt, vasp, aims, …), or where its class is imported from (package.module.Class); stored, for
    label: the labels that the files of the structures hold"""
    parameters: dict[str, Any] = field(default_factory=dict)
    """keywords of the calculator: {method: GFN2-xTB}"""


@settings
class LabelConfig(StageConfig):
    """Calculate energies and forces with any ASE calculator."""

    calculator: CalculatorConfig = CalculatorConfig()
    """what calculates energies and forces"""
    workers: PositiveInt = 1
    """structures calculated at the same time, in processes"""
    write: tuple[StructureFormat, ...] = ("xsf",)
    """formats of the labelled structures beside the HDF5 file: xsf, extxyz"""


@settings
class ActiveConfig:
    """Select, label, refit, retrain: until σ is small or the budget is spent."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    """name of the case, used for its folder"""
    seed: Seed = 0
    """seed of every stage that has none of its own"""
    pool: Annotated[tuple[str, ...], MinLen(1)]
    """files and folders of structures to select from"""
    start: PositiveInt | None = None
    """structures of the pool, drawn at random, that are calculated first and trained on besides those of
    split.inputs, which may then be left out"""
    rounds: PositiveInt = 10
    """at most so many rounds of new calculations"""
    budget: PositiveInt | None = None
    """training structures, those of the start included, that are not exceeded"""
    target_sigma: PositiveFloat | None = None
    """stop when no structure of the pool has a larger σ, in eV/Å or eV (select.rank_by)"""
    rank: Literal["surrogate", "committee"] = "surrogate"
    """what ranks the pool: the Gaussian process, or the networks of each round"""
    compare: Literal["none", "random"] = "none"
    """random: do the same once more with structures taken at random"""
    repeats: PositiveInt = 1
    """do all of it so many times, with seed, seed + 1, … (another start, other choices)"""
    goal: PositiveFloat | None = None
    """for comparisons: stop when the error of ‖F‖ on the test structures is not larger, in eV/Å, and
    report how many calculations that took"""
    split: SplitConfig
    """training structures of the start, and the test structures"""
    fit_gpr: FitGprConfig = FitGprConfig()
    """the Gaussian process"""
    augment: AugmentConfig | None = None
    """copies for the networks; left out: no networks"""
    train_ann: TrainAnnConfig | None = None
    """the networks; left out: only the process"""
    warm_start: bool = False
    """networks of a round begin with those of the round before, where descriptor and layers are the same:
    sooner near, but of few structures they ended with larger errors than anew"""
    evaluate: EvaluateConfig = EvaluateConfig(plots=False)
    """errors on the test structures"""
    select: SelectConfig = SelectConfig()
    """which structures of the pool are calculated"""
    label: LabelConfig = LabelConfig()
    """how it is calculated"""

    @classmethod
    def expand(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """Pass the common seed on to the sections."""
        return {**data, **{k: with_seed(data[k], data.get("seed")) for k in SEEDED if k in data}}

    def __post_init__(self) -> None:
        for name in ("", *SEEDED):
            section = getattr(self, name) if name else self
            if section is not None and section.seed >= HALF_OF_SEEDS:
                key = f"{name}.seed" if name else "seed"
                raise ValueError(f"{key}: expected less than 2**63, rounds and repeats count on from it")
        if (self.augment is None) != (self.train_ann is None):
            raise ValueError("expected augment and train_ann together, or neither")
        if (
            self.train_ann is not None
            and self.augment is not None
            and self.train_ann.mode != self.augment.method
        ):
            raise ValueError(
                f"train_ann.mode: expected {self.augment.method} (augment.method), got {self.train_ann.mode}"
            )
        if self.rank == "committee" and (self.train_ann is None or self.train_ann.n_members < 2):
            raise ValueError("rank: committee needs train_ann with n_members >= 2")
        needs_sigma = self.target_sigma is not None or (
            self.augment is not None and self.augment.mode == "adaptive"
        )
        if self.start == 1 and not self.split.inputs and needs_sigma:
            raise ValueError(
                "start: expected at least 2 for target_sigma or adaptive copies; one structure leaves no σ"
            )
        if self.start is None and not self.split.inputs:
            raise ValueError("expected structures to start from: start, or split.inputs; got neither")
