"""Configuration of `active`: rounds of selecting, labelling, fitting and training."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from aenet_gpr_cli.config.augment import AugmentConfig
from aenet_gpr_cli.config.base import PositiveFloat, PositiveInt, StrictModel
from aenet_gpr_cli.config.evaluate import EvaluateConfig
from aenet_gpr_cli.config.fit_gpr import FitGprConfig
from aenet_gpr_cli.config.label import LabelConfig
from aenet_gpr_cli.config.select import SelectConfig
from aenet_gpr_cli.config.split import SplitConfig
from aenet_gpr_cli.config.train_ann import TrainAnnConfig

SEEDED = ("split", "fit_gpr", "augment", "train_ann", "evaluate", "select", "label")


class ActiveConfig(StrictModel):
    """Select, label, refit, retrain: until σ is small or the budget is spent."""

    name: str = Field(..., pattern=r"^[A-Za-z0-9_.-]+$", description="name of the case, used for its folder")
    seed: int = Field(0, ge=0, description="seed of every stage that has none of its own")
    pool: list[str] = Field(..., min_length=1, description="files and folders of structures to select from")
    start: PositiveInt | None = Field(
        None,
        description="structures of the pool, drawn at random, that are calculated first and trained on "
        "besides those of split.inputs, which may then be left out",
    )
    rounds: PositiveInt = Field(10, description="at most so many rounds of new calculations")
    budget: PositiveInt | None = Field(
        None, description="training structures, those of the start included, that are not exceeded"
    )
    target_sigma: PositiveFloat | None = Field(
        None,
        description="stop when no structure of the pool has a larger σ, in eV/Å or eV (select.rank_by)",
    )
    rank: Literal["surrogate", "committee"] = Field(
        "surrogate", description="what ranks the pool: the Gaussian process, or the networks of each round"
    )
    compare: Literal["none", "random"] = Field(
        "none", description="random: do the same once more with structures taken at random"
    )
    repeats: PositiveInt = Field(
        1, description="do all of it so many times, with seed, seed + 1, … (another start, other choices)"
    )
    goal: PositiveFloat | None = Field(
        None,
        description="for comparisons: stop when the error of ‖F‖ on the test structures is not larger, in "
        "eV/Å, and tell how many calculations that took",
    )
    split: SplitConfig = Field(..., description="training structures of the start, and the test structures")
    fit_gpr: FitGprConfig = Field(default_factory=FitGprConfig, description="the Gaussian process")
    augment: AugmentConfig | None = Field(None, description="copies for the networks; left out: no networks")
    train_ann: TrainAnnConfig | None = Field(None, description="the networks; left out: only the process")
    evaluate: EvaluateConfig = Field(
        default_factory=lambda: EvaluateConfig(plots=False), description="errors on the test structures"
    )
    select: SelectConfig = Field(default_factory=SelectConfig, description="what deserves a calculation")
    label: LabelConfig = Field(default_factory=LabelConfig, description="how it is calculated")

    @model_validator(mode="before")
    @classmethod
    def _pass_seed(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("seed") is None:
            return data
        seeded = {k: {"seed": data["seed"], **data[k]} for k in SEEDED if isinstance(data.get(k), dict)}
        return {**data, **seeded}

    @model_validator(mode="after")
    def _together(self) -> ActiveConfig:
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
        if self.start is None and not self.split.inputs:
            raise ValueError("expected structures to start from: start, or split.inputs; got neither")
        return self
