"""Small training sets, and settings to train on them."""

from __future__ import annotations

import pytest

from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.training_settings import AdamW, LevenbergMarquardt, Loss, Network, Training
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
    return AdamW(batch_size=5, epochs=4, patience=100)


@pytest.fixture
def lm_settings():
    return LevenbergMarquardt(
        iterations=6, regularisation="none", patience=100, tolerance=0.0, window_gain=0.0
    )


@pytest.fixture
def settings(adamw_settings):
    return Training(
        mode="energy_only",
        network=Network(hidden=(5, 4)),
        n_members=3,
        optimiser="adamw",
        adamw=adamw_settings,
        loss=Loss(per="atom"),
        validation_fraction=0.2,
        block_size=5,
    )
