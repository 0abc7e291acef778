"""Configuration of `submit`: resources of the jobs under SLURM, for all stages and for single ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import Field

from aenet_gpr_cli.settings import NonNegativeInt, PositiveFloat, PositiveInt, settings
from aenet_gpr_cli.text import refuse_unseen

StageKey = Literal["fit_gpr", "augment", "train_ann", "evaluate", "benchmark", "collect"]


@settings
class SlurmResources:
    """Resources of a job under SLURM."""

    partition: str | None = None
    """partition; default: that of the cluster"""
    account: str | None = None
    """account that is charged; default: yours"""
    time: Annotated[str, Field(pattern=r"^(\d+-)?\d{1,3}(:\d{2}){0,2}$")] | None = None
    """wall time: minutes, HH:MM:SS or D-HH:MM:SS; default: as forecast, 24 hours at most"""
    cpus: PositiveInt | None = None
    """cores of a job; default: one for what is short, four, or as many as there are workers"""
    memory_gib: PositiveFloat | None = None
    """memory of a job, GiB; default: as forecast"""
    gpus: NonNegativeInt = 0
    """accelerators of a job"""
    at_a_time: PositiveInt | None = None
    """jobs of an array that run at a time; default: all"""
    warn_seconds: PositiveInt = 120
    """time before the end at which a job gets the signal to write its state, s"""
    max_requeues: NonNegativeInt = 100
    """how often an interrupted job queues again"""
    extra: tuple[str, ...] = ()
    """more options of sbatch, such as --qos=long"""
    prologue: tuple[str, ...] = ()
    """shell lines before the work, such as module load python"""

    def __post_init__(self) -> None:
        for key in ("partition", "account"):
            refuse_unseen(getattr(self, key) or "", key)
        for value in self.extra:
            if not refuse_unseen(value, "extra").startswith("-"):
                raise ValueError(f"extra: expected options of sbatch such as --qos=long, got {value!r}")


@settings
class SlurmConfig(SlurmResources):
    """Jobs of a workflow on a cluster: the keys hold for every stage, `stages` has the exceptions."""

    part_minutes: PositiveFloat = 10.0
    """the rows of the local process are added up by an array of parts that take about so long each, min"""
    stages: dict[StageKey, SlurmResources] = field(default_factory=dict)
    """resources of single stages that differ, by the name of the stage"""

    @classmethod
    def expand(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """Let the keys of single stages start from the common ones."""
        common = {key: value for key, value in data.items() if key not in ("stages", "part_minutes")}
        stages = data.get("stages")
        if not isinstance(stages, dict):
            return dict(data)
        filled = {name: {**common, **own} if isinstance(own, dict) else own for name, own in stages.items()}
        return {**data, "stages": filled}

    def of(self, stage: StageKey) -> SlurmResources:
        """Return the resources of the jobs of a stage."""
        return self.stages.get(stage, self)
