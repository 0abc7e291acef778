"""Small training sets, and settings to train on them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aenet_gpr_cli.ann.data.force_targets import ForceSettings
from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.loss.loss_terms import LossSettings
from aenet_gpr_cli.ann.optimisers.adamw import AdamWSettings
from aenet_gpr_cli.ann.optimisers.levenberg_marquardt import LevenbergMarquardtSettings
from aenet_gpr_cli.ann.training import TrainingSettings
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from tests.ann.ann_helpers import molecules


@pytest.fixture
def basis():
    return ChebyshevBasis(("H", "O"), 4.0, 4, 3.0, 2)


@pytest.fixture
def data():
    """Two subsets with different atoms, one species missing from the second."""
    water, hydrogen = molecules(("O", "H", "H", "O"), 8, 1), molecules(("H", "H", "H"), 6, 2)
    return TrainingSet.collect([water, hydrogen], [], None)


@pytest.fixture
def adamw_settings():
    return AdamWSettings(1e-3, 1e-3, 5, 4, 100, "cosine")


@pytest.fixture
def lm_settings():
    return LevenbergMarquardtSettings(6, 1e-3, "identity", "none", 0.0, 1e-3, 10, 100, 0.0)


@pytest.fixture
def settings(adamw_settings):
    return TrainingSettings(
        hidden=(5, 4),
        activation="tanh",
        members=(0, 1, 2),
        optimizer=adamw_settings,
        loss=LossSettings("mse", "atom", 0.3),
        forces=None,
        validation_fraction=0.2,
        atomic_energies=None,
        energy_scaling="range",
        dtype="float64",
        device="cpu",
        block_size=5,
    )


@pytest.fixture
def force_settings(settings):
    return replace(settings, forces=ForceSettings(1.0, "structures", 2**30))
