"""Configuration of a whole workflow: all stages, with variants of augmentation and training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Annotated, Any

from pydantic import Field

from aenet_gpr_cli.config.keys import with_seed
from aenet_gpr_cli.config.slurm_config import SlurmConfig
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.benchmark_config import BenchmarkConfig
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.prediction_config import EvaluateConfig
from aenet_gpr_cli.config.stages.split_config import SplitConfig
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.config.variants import expand_variants, place_of
from aenet_gpr_cli.settings import Seed, settings

WITH_VARIANTS = ("compare_gpr", "augment", "train_ann")  # sections that map names to settings
WITHOUT_VARIANTS = ("split", "fit_gpr", "evaluate", "benchmark")


@settings
class TrainVariant(TrainAnnConfig):
    """One training of a workflow."""

    augmented: str | None = None
    """which augmentation variant supplies the copies; default: the one named like their
    label, taylor or gpr"""


@settings
class WorkflowConfig:
    """All stages of one case.

    `compare_gpr`, `augment` and `train_ann` map names of variants to settings. A variant called `defaults` is
    not run: the others start from it. A name with a key in braces gives one variant per value of that
    key, see `config.variants`.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]
    """name of the case, used for its folder"""
    seed: Seed = 0
    """seed of every stage that has none of its own"""
    split: SplitConfig
    """read structures, group them into subsets, divide each into training and test"""
    fit_gpr: FitGprConfig | None = None
    """one GP on energies and forces per subset; leave out if no variant uses it"""
    compare_gpr: dict[str, FitGprConfig] = field(default_factory=dict)
    """further GPs, with other descriptors or length scales, that are only evaluated beside the one of
    fit_gpr; several by name, each with keys of fit_gpr, common ones under `defaults`"""
    augment: dict[str, AugmentConfig] = field(default_factory=dict)
    """displaced and labelled copies; several variants by name, common keys under `defaults`"""
    train_ann: dict[str, TrainVariant] = field(default_factory=dict)
    """trainings; several variants by name, common keys under `defaults`"""
    evaluate: EvaluateConfig = EvaluateConfig()
    """errors of all models on the test structures"""
    benchmark: BenchmarkConfig | None = None
    """time per epoch and peak memory; left out: not run"""
    slurm: SlurmConfig = SlurmConfig()
    """resources of the jobs of `aenet-gpr submit`; no effect on results"""

    @classmethod
    def expand(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """Write out the short notation: variants, the common seed, what single stages ask SLURM for."""
        whole, seed = dict(data), data.get("seed")
        for stage in WITH_VARIANTS:
            if isinstance(whole.get(stage), dict):
                variants = _expand(stage, whole[stage], whole.get("augment"))
                whole[stage] = {name: with_seed(keys, seed) for name, keys in variants.items()}
        whole |= {stage: with_seed(whole[stage], seed) for stage in WITHOUT_VARIANTS if stage in whole}
        if isinstance(whole.get("slurm"), dict):
            whole["slurm"] = SlurmConfig.expand(whole["slurm"])
        return whole

    @classmethod
    def written_at(cls, data: Mapping[str, Any], path: Sequence[str]) -> list[str]:
        """Return where the value at a path of keys is written: in an entry of a section, or its defaults."""
        if len(path) < 2 or path[0] not in WITH_VARIANTS:
            return list(path)
        stage, variant, *keys = path
        copies = data.get("augment")
        sources = list(expand_variants(copies)) if isinstance(copies, dict) else []
        return [stage, place_of(data[stage], variant, keys, sources), *keys]

    def __post_init__(self) -> None:
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

    def source_of(self, variant: TrainVariant) -> str | None:
        """Return the augmentation variant that a training reads, or None."""
        return variant.augmented or variant.label


def _expand(stage: str, section: dict[str, Any], augment: Any) -> dict[str, Any]:
    try:
        return expand_variants(section, list(augment or ()))
    except ValueError as error:
        raise ValueError(f"{stage}.{error}") from error
