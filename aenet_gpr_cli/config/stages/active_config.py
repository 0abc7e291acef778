"""Configuration of `active`: rounds of selecting, labelling, fitting and training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, MinLen
from pydantic import Field

from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.evaluate_config import EvaluateConfig
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.label_config import LabelConfig
from aenet_gpr_cli.config.stages.select_config import SelectConfig
from aenet_gpr_cli.config.stages.split_config import SplitConfig
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.settings import PositiveFloat, PositiveInt, settings

SEEDED = ("split", "fit_gpr", "augment", "train_ann", "evaluate", "select", "label")


@settings
class ActiveConfig:
    """Select, label, refit, retrain: until σ is small or the budget is spent."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    """name of the case, used for its folder"""
    seed: Annotated[int, Ge(0)] = 0
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
    """for comparisons: stop when the error of ‖F‖ on the test structures is not larger, in eV/Å, and tell
    how many calculations that took"""
    split: SplitConfig
    """training structures of the start, and the test structures"""
    fit_gpr: FitGprConfig = FitGprConfig()
    """the Gaussian process"""
    augment: AugmentConfig | None = None
    """copies for the networks; left out: no networks"""
    train_ann: TrainAnnConfig | None = None
    """the networks; left out: only the process"""
    evaluate: EvaluateConfig = EvaluateConfig(plots=False)
    """errors on the test structures"""
    select: SelectConfig = SelectConfig()
    """what deserves a calculation"""
    label: LabelConfig = LabelConfig()
    """how it is calculated"""

    @classmethod
    def expand(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """Pass the common seed on to the sections."""
        if data.get("seed") is None:
            return dict(data)
        seeded = {k: {"seed": data["seed"], **data[k]} for k in SEEDED if isinstance(data.get(k), dict)}
        return {**data, **seeded}

    def __post_init__(self) -> None:
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
