from __future__ import annotations

import numpy as np
from small_molecule import cholesky

from aenet_gpr_cli.descriptors.inverse_distance import InverseDistance
from aenet_gpr_cli.descriptors.permutation import PermutationImages, check_group
from aenet_gpr_cli.gpr.kernels import SquaredExponential
from aenet_gpr_cli.gpr.regression import fit, predict_energies
from aenet_gpr_cli.gpr.symmetry import choose_group, find_symmetries, generate_group
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
    positions = BOTH + 0.12 * np.random.default_rng(seed).normal(size=(n, 6, 3))
    energies, forces = surface(positions)
    return StructureSet(SPECIES, positions, energies=energies, forces=forces)


def test_exchange_of_molecules_and_of_their_hydrogens_are_found() -> None:
    symmetries = find_symmetries(make(20, 0), 0.2)
    assert len(symmetries) == 2
    swap, hydrogens = symmetries
    assert len(swap.generators) == 1
    species = np.array(SPECIES)
    for symmetry in symmetries:
        for g in symmetry.generators:
            np.testing.assert_array_equal(species[list(g)], species)
    assert set(hydrogens.generators) == {(0, 2, 1, 3, 4, 5), (0, 1, 2, 5, 4, 3)}
    assert {0, 1, 2} == set(swap.generators[0][3:])  # all atoms of one come from the other
    assert swap.generators[0][4] == 0
    assert find_symmetries(make(20, 0), 1e-9) == [swap]


def test_surfaces_are_no_molecules() -> None:
    metal = np.c_[2.8 * np.arange(50), np.zeros((50, 2))]
    assert find_symmetries(StructureSet(("Li",) * 50, metal[None]), 10.0) == []
    polymer = StructureSet(("C",) * 50, 0.5 * metal[None])
    assert find_symmetries(polymer, 10.0) == []
    shift = np.array([0.0, 2.0, 0.0])
    adsorbed = np.concatenate([metal, WATER + shift])[None]
    found = find_symmetries(StructureSet(("Li",) * 50 + ("O", "H", "H"), adsorbed), 1.0)
    assert [s.generators for s in found] == [((*range(51), 52, 51),)]


def test_group_is_closed_and_limited() -> None:
    symmetries = find_symmetries(make(20, 0), 0.2)
    generators = [g for s in symmetries for g in s.generators]
    group = generate_group(generators, 6, 100)
    assert group is not None
    assert len(group) == 8
    assert group[0] == (0, 1, 2, 3, 4, 5)
    check_group(group)
    assert generate_group(generators, 6, 7) is None
    assert generate_group([], 6, 7) == ((0, 1, 2, 3, 4, 5),)


def test_likelihood_accepts_true_symmetries_and_they_help() -> None:
    training, test = make(12, 0), make(40, 1)
    assert test.energies is not None

    def fitted(group: tuple[tuple[int, ...], ...]):  # type: ignore[no-untyped-def]
        descriptor = PermutationImages(InverseDistance(6), group)
        model = fit(training, descriptor, SquaredExponential(0.8), 1e-3, 1e-3, cholesky, len(group))
        error = np.abs(predict_energies(model, descriptor, test.positions) - test.energies).mean()
        return model.log_marginal_likelihood, error

    group, table = choose_group(find_symmetries(training, 0.2), 6, 100, lambda g: fitted(g)[0])
    assert len(group) == 8
    assert [t.accepted for t in table] == [True] * 3
    assert [t.score for t in table] == sorted(t.score for t in table)
    assert fitted(group)[1] < 0.8 * fitted(group[:1])[1]


def test_what_lowers_the_score_is_refused() -> None:
    symmetries = find_symmetries(make(20, 0), 0.2)
    group, table = choose_group(symmetries, 6, 100, lambda g: -float(len(g)))
    assert group == ((0, 1, 2, 3, 4, 5),)
    assert [t.accepted for t in table] == [True, False, False]
    group, table = choose_group(symmetries, 6, 2, lambda g: float(len(g)))
    assert len(group) == 2
