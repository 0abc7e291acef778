"""Configuration of a whole workflow: all stages, with variants of augmentation and training."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from aenet_gpr_cli.config.augment import AugmentConfig
from aenet_gpr_cli.config.base import StrictModel
from aenet_gpr_cli.config.benchmark import BenchmarkConfig
from aenet_gpr_cli.config.evaluate import EvaluateConfig
from aenet_gpr_cli.config.fit_gpr import FitGprConfig
from aenet_gpr_cli.config.slurm import SlurmConfig
from aenet_gpr_cli.config.split import SplitConfig
from aenet_gpr_cli.config.train_ann import TrainAnnConfig
from aenet_gpr_cli.config.variants import expand_variants

WITH_VARIANTS = ("compare_gpr", "augment", "train_ann")  # sections that map names to settings
STAGES = ("split", "fit_gpr", *WITH_VARIANTS, "evaluate", "benchmark")


class TrainVariant(TrainAnnConfig):
    """One training of a workflow."""

    augmented: str | None = Field(
        None,
        description="which augmentation variant supplies the copies; default: the one named like the mode",
    )


class WorkflowConfig(StrictModel):
    """All stages of one case.

    `compare_gpr`, `augment` and `train_ann` map names of variants to settings. A variant called `defaults` is
    not run: the others start from it. A name with a key in braces stands for one variant per value of that
    key, see `config.variants`.
    """

    name: str = Field(..., pattern=r"^[A-Za-z0-9_.-]+$", description="name of the case, used for its folder")
    seed: int = Field(0, ge=0, description="seed of every stage that has none of its own")
    split: SplitConfig = Field(
        ..., description="read structures, group them into subsets, divide each into training and test"
    )
    fit_gpr: FitGprConfig | None = Field(
        None, description="one GP on energies and forces per subset; leave out if no variant uses it"
    )
    compare_gpr: dict[str, FitGprConfig] = Field(
        default_factory=dict,
        description="further GPs, with other descriptors or length scales, that are only evaluated beside "
        "the one of fit_gpr; several by name, each with keys of fit_gpr, common ones under `defaults`",
    )
    augment: dict[str, AugmentConfig] = Field(
        default_factory=dict,
        description="displaced and labelled copies; several variants by name, common keys under `defaults`",
    )
    train_ann: dict[str, TrainVariant] = Field(
        default_factory=dict, description="trainings; several variants by name, common keys under `defaults`"
    )
    evaluate: EvaluateConfig = Field(
        default_factory=EvaluateConfig, description="errors of all models on the test structures"
    )
    benchmark: BenchmarkConfig | None = Field(
        None, description="time per epoch and peak memory; left out: not run"
    )
    slurm: SlurmConfig = Field(
        default_factory=SlurmConfig,
        description="what `aenet-gpr submit` asks SLURM for; has no effect on results",
    )

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        for stage in WITH_VARIANTS:
            if isinstance(data.get(stage), dict):
                data[stage] = _expand(stage, data[stage], data.get("augment"))
        for stage in STAGES:
            data = _pass_seed(data, stage)
        return data

    @model_validator(mode="after")
    def _variants_fit(self) -> WorkflowConfig:
        for name, variant in self.augment.items():
            if variant.method == "gpr" and self.fit_gpr is None:
                raise ValueError(f"augment.{name}: method gpr needs the section fit_gpr")
        for name, training in self.train_ann.items():
            source = self.source_of(training)
            if source is not None and source not in self.augment:
                known = ", ".join(self.augment) or "none"
                raise ValueError(
                    f"train_ann.{name}: needs the augmentation variant {source!r}; known: {known}. "
                    f"Name one with train_ann.{name}.augmented"
                )
        return self

    def source_of(self, variant: TrainVariant) -> str | None:
        """Return the augmentation variant that a training reads, or None."""
        if variant.mode in ("energy_only", "direct"):
            return variant.augmented
        return variant.augmented or variant.mode


def _expand(stage: str, section: dict[str, Any], augment: Any) -> dict[str, Any]:
    try:
        return expand_variants(section, list(augment or ()))
    except ValueError as error:
        raise ValueError(f"{stage}.{error}") from error


def _pass_seed(data: dict[str, Any], stage: str) -> dict[str, Any]:
    section, seed = data.get(stage), data.get("seed")
    if seed is None or not isinstance(section, dict):
        return data
    if stage in WITH_VARIANTS:
        section = {k: {"seed": seed, **v} if isinstance(v, dict) else v for k, v in section.items()}
    else:
        section = {"seed": seed, **section}
    return {**data, stage: section}
