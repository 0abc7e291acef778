from __future__ import annotations

import numpy as np

from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.descriptors.structure.permutation import PermutationImages, check_group
from aenet_gpr_cli.gpr.kernels.stationary import SquaredExponential
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.regression.gp_model import predict_energies
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.subsystems.molecular_symmetry import choose_group, find_symmetries, generate_group
from tests.gpr.small_molecule import cholesky
from tests.gpr.water_dimer import SPECIES, WATER, make


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
