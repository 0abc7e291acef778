"""Configuration of `submit`: what SLURM is asked for, for all jobs and for single stages."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from aenet_gpr_cli.config.base import PositiveFloat, PositiveInt, StrictModel

StageKey = Literal["fit_gpr", "augment", "train_ann", "evaluate", "benchmark", "collect"]


class SlurmResources(StrictModel):
    """What a job asks SLURM for."""

    partition: str | None = Field(None, description="partition; default: that of the cluster")
    account: str | None = Field(None, description="account that is charged; default: yours")
    time: str = Field(
        "24:00:00",
        pattern=r"^(\d+-)?\d{1,3}(:\d{2}){0,2}$",
        description="wall time: minutes, HH:MM:SS or D-HH:MM:SS",
    )
    cpus: PositiveInt = Field(4, description="cores of a job")
    memory_gib: PositiveFloat | None = Field(None, description="memory of a job, GiB; default: as forecast")
    gpus: int = Field(0, ge=0, description="accelerators of a job")
    at_a_time: PositiveInt | None = Field(
        None, description="jobs of an array that run at a time; default: all"
    )
    warn_seconds: PositiveInt = Field(
        120, description="time before the end at which a job is told to write its state, s"
    )
    max_requeues: int = Field(100, ge=0, description="how often an interrupted job queues again")
    extra: list[str] = Field(default_factory=list, description="more options of sbatch, such as --qos=long")
    prologue: list[str] = Field(
        default_factory=list, description="shell lines before the work, such as module load python"
    )

    @field_validator("extra")
    @classmethod
    def _are_options(cls, values: list[str]) -> list[str]:
        for value in values:
            if not value.startswith("-") or "\n" in value:
                raise ValueError(f"expected options of sbatch such as --qos=long, got {value!r}")
        return values


class SlurmConfig(SlurmResources):
    """Jobs of a workflow on a cluster: the keys hold for every stage, `stages` has the exceptions."""

    stages: dict[StageKey, SlurmResources] = Field(
        default_factory=dict, description="what single stages ask for instead, by the name of the stage"
    )

    def of(self, stage: StageKey) -> SlurmResources:
        """Return what the jobs of a stage ask for.

        Parameters
        ----------
        stage : str

        Returns
        -------
        SlurmResources
        """
        given = self.model_dump(exclude_unset=True, exclude={"stages"})
        if stage in self.stages:
            given |= self.stages[stage].model_dump(exclude_unset=True)
        return SlurmResources.model_validate(given)
