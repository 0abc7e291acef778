"""A small molecule with a known smooth energy surface, shared by the tests of the Gaussian process."""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.process_settings import ConjugateGradient
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver
from aenet_gpr_cli.structures import FloatArray, StructureSet

SPECIES = ("O", "H", "H", "C")
OFFSET = -18642.0  # eV: total energies are large


def surface(positions: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Morse bonds between all atoms: energies and forces."""
    first, second = np.triu_indices(positions.shape[1], 1)
    vectors = positions[:, first] - positions[:, second]
    r = np.linalg.norm(vectors, axis=2)
    decay = np.exp(-0.8 * (r - 1.5))
    energies = OFFSET + ((1.0 - decay) ** 2).sum(axis=1)
    pull = (1.6 * (1.0 - decay) * decay / r)[..., None] * vectors
    forces = np.zeros_like(positions)
    for pair, (i, j) in enumerate(zip(first, second, strict=True)):
        forces[:, i] -= pull[:, pair]
        forces[:, j] += pull[:, pair]
    return energies, forces


def make_set(n: int, seed: int, spread: float = 0.1) -> StructureSet:
    """Structures around a bent geometry."""
    base = np.array([[0.0, 0.0, 0.0], [1.2, 0.0, 0.0], [-0.4, 1.3, 0.0], [0.3, 0.4, 1.4]])
    positions = base + spread * np.random.default_rng(seed).normal(size=(n, 4, 3))
    energies, forces = surface(positions)
    return StructureSet(SPECIES, positions, energies=energies, forces=forces)


def at(positions: FloatArray) -> StructureSet:
    """Molecules at given positions, without labels."""
    return StructureSet(SPECIES, positions)


def cholesky(covariance: Covariance, noise_energy: float, noise_force: float) -> CholeskySolver:
    """Exact solver with a small allowance of jitter."""
    return CholeskySolver(covariance, noise_energy, noise_force, 1e-8)


def cg(max_rank: int, tolerance: float, max_iterations: int) -> ConjugateGradient:
    """Keys of the matrix-free solver."""
    return ConjugateGradient(max_rank=max_rank, tolerance=tolerance, max_iterations=max_iterations)


def symmetric(lower: FloatArray) -> FloatArray:
    """Fill the upper triangle from the lower one."""
    return np.tril(lower) + np.tril(lower, -1).T
