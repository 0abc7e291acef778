"""Small synthetic molecules with a smooth pair potential, and settings to train on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.ann.adamw import AdamWSettings
from aenet_gpr_cli.ann.dataset import TrainingSet
from aenet_gpr_cli.ann.forces import ForceSettings
from aenet_gpr_cli.ann.levenberg_marquardt import LevenbergMarquardtSettings
from aenet_gpr_cli.ann.loss import LossSettings
from aenet_gpr_cli.ann.training import TrainingSettings
from aenet_gpr_cli.descriptors.chebyshev import ChebyshevBasis
from aenet_gpr_cli.structures import StructureSet


def labelled(species, positions, prefix="s", cells=None, pbc=(False, False, False)):
    """Label structures with sum over pairs of (r - 1.5)² / 2 within the molecule, and its forces."""
    d = positions[:, :, None] - positions[:, None]
    r = np.linalg.norm(d, axis=-1) + np.eye(len(species))
    off = 1.0 - np.eye(len(species))
    energies = 0.25 * (off * (r - 1.5) ** 2).sum((1, 2)) - 10.0 * len(species)
    forces = -((off * (r - 1.5) / r)[..., None] * d).sum(2)
    names = tuple(f"{prefix}{i}" for i in range(len(positions)))
    return StructureSet(species, positions, cells, pbc, energies, forces, names)


def molecules(species, n, seed, spread=0.15):
    rng = np.random.default_rng(seed)
    grid = np.array([[i, j, k] for i in range(2) for j in range(2) for k in range(2)], float)[: len(species)]
    return labelled(
        species, 1.1 * grid + spread * rng.standard_normal((n, len(species), 3)), "x".join(species)
    )


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
    return LevenbergMarquardtSettings(6, 1e-3, "identity", 0.0, 5, 100, 0.0)


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
