"""Configuration of `train-ann`: the keys of a training, and those of its stage."""

from __future__ import annotations

from typing import ClassVar

from aenet_gpr_cli.ann.training_settings import Training
from aenet_gpr_cli.config.keys import StageConfig
from aenet_gpr_cli.settings import NonNegativeFloat, settings


@settings
class TrainAnnConfig(Training, StageConfig):
    """Train a committee of neural-network potentials in one of five modes."""

    # the potential itself is an input, whatever it is called
    neutral: ClassVar[frozenset[str]] = StageConfig.neutral | {"start"}

    start: str | None = None
    """potential of train-ann or import that it goes on from: each member begins with the one of its number;
    relative to this file. As the option --start, which wins"""
    subsets: tuple[str, ...] | None = None
    """train on these subsets only; default: all"""
    checkpoint_seconds: NonNegativeFloat = 60.0
    """keep the state of the training every so often, to go on after a kill"""
