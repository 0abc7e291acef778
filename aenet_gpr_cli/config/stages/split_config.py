"""Configuration of `split`: which structures, and how they are divided."""

from __future__ import annotations

from typing import Literal

from aenet_gpr_cli.config.keys import StageConfig
from aenet_gpr_cli.settings import NonNegativeFloat, NonNegativeInt, PositiveInt, settings
from aenet_gpr_cli.subsystems.reading_rules import ReadingRules

Amount = NonNegativeInt | NonNegativeFloat


@settings
class SplitConfig(ReadingRules, StageConfig):
    """Read structures, group them into subsets of the same atoms, divide them into training and test."""

    inputs: tuple[str, ...] = ()
    """files, folders and archives; relative to this file, or published:NAME/FILE"""
    test_inputs: tuple[str, ...] = ()
    """test structures from here; then all of `inputs` are for training"""
    train_inputs: tuple[str, ...] = ()
    """more training structures, such as those of `label`: all of them train, and the division of `inputs`
    stays as it was"""
    train: Amount | None = None
    """training structures: a count (250) or a fraction (0.25; 1.0 is all); default 0.25"""
    test: Amount | None = None
    """test structures: count or fraction; default: the rest"""
    count: Literal["whole", "subset"] = "whole"
    """what train and test count over: the whole data set, each a stratified sample of it by kind
    (config_type), composition, volume and energy per atom; or each subset by itself, at random"""
    blocks: PositiveInt | None = None
    """frames of one trajectory that stay together in training or test, as its neighbours in time flatter
    the test: files of frames, and numbered files of one folder; default: none"""
    block_gap: NonNegativeInt = 0
    """test frames so near in time to a training frame are left out; goes with blocks"""
    train_list: str | None = None
    """text file with the names of the training structures"""
    test_list: str | None = None
    """text file with the names of the test structures"""
    require_forces: bool = True
    """refuse structures without forces"""
    unwrap: bool = True
    """shift atoms by lattice vectors to the images nearest the first structure's"""
    minimum_distance: NonNegativeFloat = 0.4
    """warn about atoms closer than this, in Å"""
    duplicate_tolerance: NonNegativeFloat = 1e-06
    """name structures that agree within this, in Å"""
    check_forces: bool = True
    """compare forces with energy differences (sign, unit) and warn"""

    def __post_init__(self) -> None:
        ReadingRules.__post_init__(self)
        for key in ("train", "test"):
            value = getattr(self, key)
            if isinstance(value, float) and value > 1:  # 1.0 is all, 1 is one
                if not value.is_integer():
                    raise ValueError(
                        f"{key}: expected a count (an integer) or a fraction up to 1.0, got {value!r}"
                    )
                object.__setattr__(self, key, int(value))
        ways = {
            "test_inputs": bool(self.test_inputs),
            "train/test": self.train is not None or self.test is not None,
            "train_list/test_list": bool(self.train_list or self.test_list),
        }
        given = [name for name, on in ways.items() if on]
        if len(given) > 1:
            raise ValueError(f"expected one way of dividing the data, got {' and '.join(given)}")
        if self.blocks and given and given != ["train/test"]:
            raise ValueError(f"blocks: goes with train and test, not with {given[0]}")
        if self.block_gap and not self.blocks:
            raise ValueError("block_gap: goes with blocks, which are not given")
