"""Configuration of `split`: which structures, and how they are divided."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from aenet_gpr_cli.config.base import StageConfig

Amount = Annotated[int | float, Field(ge=0)]


class SplitConfig(StageConfig):
    """Read structures, group them into homogeneous subsets, divide each into training and test."""

    inputs: list[str] = Field(
        default_factory=list,
        description="files, folders and archives; relative to this file, or published:NAME/FILE",
    )
    test_inputs: list[str] = Field(
        default_factory=list,
        description="test structures from here; then all of `inputs` are for training",
    )
    train_inputs: list[str] = Field(
        default_factory=list,
        description="more training structures, such as those of `label`: all of them train, and the "
        "division of `inputs` stays as it was",
    )
    train: Amount | None = Field(
        None, description="training structures per subset: a count (250) or a fraction (0.25); default 0.25"
    )
    test: Amount | None = Field(
        None, description="test structures per subset: count or fraction; default: the rest"
    )
    train_list: str | None = Field(None, description="text file with the names of the training structures")
    test_list: str | None = Field(None, description="text file with the names of the test structures")
    require_forces: bool = Field(True, description="refuse structures without forces")
    unwrap: bool = Field(
        True, description="shift atoms by lattice vectors to the images nearest the first structure's"
    )
    minimum_distance: float = Field(0.4, ge=0, description="warn about atoms closer than this, in Å")
    duplicate_tolerance: float = Field(1e-6, ge=0, description="name structures that agree within this, in Å")
    check_forces: bool = Field(
        True, description="compare forces with energy differences (sign, unit) and warn"
    )

    @field_validator("train", "test")
    @classmethod
    def _amount(cls, value: float | int | None) -> float | int | None:
        if isinstance(value, float) and value >= 1:
            if not value.is_integer():
                raise ValueError("expected a count (an integer) or a fraction below 1")
            return int(value)
        return value

    @model_validator(mode="after")
    def _one_way(self) -> SplitConfig:
        ways = {
            "test_inputs": bool(self.test_inputs),
            "train/test": self.train is not None or self.test is not None,
            "train_list/test_list": bool(self.train_list or self.test_list),
        }
        given = [name for name, on in ways.items() if on]
        if len(given) > 1:
            raise ValueError(f"expected one way of dividing the data, got {' and '.join(given)}")
        return self
