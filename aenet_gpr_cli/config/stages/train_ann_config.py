"""Configuration of `train-ann`: the keys of a training, and those of its stage."""

from __future__ import annotations

from aenet_gpr_cli.ann.training_settings import Training
from aenet_gpr_cli.config.keys import StageConfig
from aenet_gpr_cli.settings import NonNegativeFloat, settings


@settings
class TrainAnnConfig(Training, StageConfig):
    """Train a committee of neural-network potentials in one of five modes."""

    subsets: tuple[str, ...] | None = None
    """train on these subsets only; default: all"""
    checkpoint_seconds: NonNegativeFloat = 60.0
    """keep the state of the training every so often, to go on after a kill"""
