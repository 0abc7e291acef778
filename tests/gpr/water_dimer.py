"""Two water molecules, whose energy no exchange of equal atoms changes; for the tests of permutations."""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.structures import FloatArray, StructureSet

WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
BOTH = np.concatenate([WATER, WATER[[1, 0, 2]] + [0.0, 0.3, 2.9]])  # second: hydrogen, oxygen, hydrogen
SPECIES = ("O", "H", "H", "H", "O", "H")


def surface(positions: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pair potentials by species, and forces: any exchange of equal atoms leaves it unchanged."""
    first, second = np.triu_indices(6, 1)
    strength = {"OO": 0.3, "HO": 1.0, "HH": 0.5}
    a = np.array(
        [strength["".join(sorted(SPECIES[i] + SPECIES[j]))] for i, j in zip(first, second, strict=True)]
    )
    vectors = positions[:, first] - positions[:, second]
    r = np.linalg.norm(vectors, axis=2)
    decay = np.exp(-1.2 * (r - 1.2))
    forces = np.zeros_like(positions)
    pull = (2.4 * a * (1.0 - decay) * decay / r)[..., None] * vectors
    for pair, (i, j) in enumerate(zip(first, second, strict=True)):
        forces[:, i] -= pull[:, pair]
        forces[:, j] += pull[:, pair]
    return (a * (1.0 - decay) ** 2).sum(axis=1), forces


def make(n: int, seed: int) -> StructureSet:
    """Structures around one geometry of the dimer."""
    positions = BOTH + 0.12 * np.random.default_rng(seed).normal(size=(n, 6, 3))
    energies, forces = surface(positions)
    return StructureSet(SPECIES, positions, energies=energies, forces=forces)
