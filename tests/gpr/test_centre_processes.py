"""Processes with several centres, and kernels symmetrised over permutations of atoms through them."""

from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.descriptors.structure.permutation import PermutationImages
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import Kernel, Matern52, SquaredExponential
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.regression.gp_model import predict, predict_energies
from aenet_gpr_cli.gpr.solvers.conjugate_gradient import ConjugateGradientSolver
from aenet_gpr_cli.gpr.uncertainty.energy_sigma import EnergySigmaBound, energy_sigma, refactorise
from aenet_gpr_cli.structures import StructureSet
from tests.gpr.small_molecule import cg, cholesky, make_set, symmetric

GROUP = [[0, 1, 2, 3], [1, 2, 0, 3], [2, 0, 1, 3]]
INNER = InverseDistance(4)
DESCRIPTOR = PermutationImages(INNER, GROUP)
TRAINING, TEST = make_set(10, seed=0), make_set(12, seed=1)
KERNELS = [SquaredExponential(0.8), Matern52(1.5)]


def permuted(structures: StructureSet, g: list[int]) -> StructureSet:
    assert structures.forces is not None
    return StructureSet(
        structures.species,
        structures.positions[:, g],
        energies=structures.energies,
        forces=structures.forces[:, g],
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_covariance_is_the_sum_over_the_group_and_positive(kernel: Kernel) -> None:
    model = fit(TRAINING, DESCRIPTOR, kernel, 1e-3, 1e-3, cholesky, n_centres=3)
    k = symmetric(model.covariance(DESCRIPTOR).dense())
    both = np.concatenate([TRAINING.positions] + [TRAINING.positions[:, g] for g in GROUP])
    whole = Covariance.of(kernel, INNER, both)
    n, brute = len(TRAINING), np.zeros_like(k)
    full = whole.columns(slice(None))
    left = np.r_[np.arange(n), len(both) + np.arange(12 * n)]
    for number, g in enumerate(GROUP):
        start = n * (number + 1)
        # ∂/∂R of the image: row i of the gradient of the image belongs to atom g[i]
        atoms = np.argsort(g)
        gradient = (len(both) + 12 * (start + np.arange(n)))[:, None, None] + np.arange(12).reshape(4, 3)[
            atoms
        ]
        right = np.r_[start + np.arange(n), gradient.ravel()]
        brute += full[np.ix_(left, right)] / len(GROUP)
    np.testing.assert_allclose(k, brute, atol=1e-12)
    eigenvalues = np.linalg.eigvalsh(k)
    assert eigenvalues.min() > -1e-13 * eigenvalues.max()


@pytest.mark.parametrize("kernel", KERNELS)
def test_energy_is_invariant_and_forces_follow_the_atoms(kernel: Kernel) -> None:
    model = fit(TRAINING, DESCRIPTOR, kernel, 1e-3, 1e-3, cholesky, n_centres=3)
    energies, forces = predict(model, DESCRIPTOR, TEST.positions)
    for g in GROUP:
        turned_energies, turned_forces = predict(model, DESCRIPTOR, TEST.positions[:, g])
        np.testing.assert_allclose(turned_energies, energies, atol=1e-9)
        np.testing.assert_allclose(turned_forces, forces[:, g], atol=1e-9)
    plain = fit(TRAINING, INNER, kernel, 1e-3, 1e-3, cholesky)
    difference = predict_energies(plain, INNER, TEST.positions[:, GROUP[1]]) - predict_energies(
        plain, INNER, TEST.positions
    )
    assert np.abs(difference).max() > 1e-3  # without the group it is not


def test_fitting_permuted_data_gives_the_same_process() -> None:
    models = [
        fit(s, DESCRIPTOR, KERNELS[0], 1e-3, 1e-3, cholesky, n_centres=3)
        for s in (TRAINING, permuted(TRAINING, GROUP[1]))
    ]
    energies = [predict_energies(m, DESCRIPTOR, TEST.positions) for m in models]
    np.testing.assert_allclose(energies[0], energies[1], atol=1e-8)
    assert models[0].log_marginal_likelihood == pytest.approx(models[1].log_marginal_likelihood, abs=1e-6)


def test_sigma_is_zero_on_permuted_data_and_bounded() -> None:
    model = fit(TRAINING, DESCRIPTOR, KERNELS[0], 1e-3, 1e-3, cholesky, n_centres=3)
    solver = refactorise(model, DESCRIPTOR, 1e-8)
    sigma = energy_sigma(model, DESCRIPTOR, TEST.positions, solver)
    for g in GROUP:
        own = energy_sigma(model, DESCRIPTOR, TRAINING.positions[:, g], solver)
        assert own.max() <= model.noise_std_energy
        turned = energy_sigma(model, DESCRIPTOR, TEST.positions[:, g], solver)
        np.testing.assert_allclose(turned, sigma, rtol=1e-5)
    bound = EnergySigmaBound(model, DESCRIPTOR, 60)(TEST.positions)
    assert (bound >= sigma * (1 - 1e-6)).all()
    assert bound.mean() > 1.1 * sigma.mean()


@pytest.mark.parametrize("kernel", KERNELS)
def test_one_image_of_a_new_structure_says_what_all_say(kernel: Kernel) -> None:
    model = fit(TRAINING, DESCRIPTOR, kernel, 1e-3, 1e-3, cholesky, n_centres=3)
    solver = refactorise(model, DESCRIPTOR, 1e-8)
    whole, one = predict(model, DESCRIPTOR, TEST.positions), predict(model, INNER, TEST.positions)
    np.testing.assert_allclose(one[0], whole[0], rtol=0, atol=1e-8)
    np.testing.assert_allclose(one[1], whole[1], rtol=0, atol=1e-8)
    np.testing.assert_allclose(predict_energies(model, INNER, TEST.positions), whole[0], rtol=0, atol=1e-8)
    sigma = energy_sigma(model, DESCRIPTOR, TEST.positions, solver)
    bound = EnergySigmaBound(model, DESCRIPTOR, 10 * 13)(TEST.positions)
    np.testing.assert_allclose(bound, sigma, rtol=1e-3)  # on all data it is exact, but for its jitter
    assert sigma.min() > 0.0


@pytest.mark.parametrize("max_rank", [0, 65])
def test_matrix_free_fit_equals_the_exact_one(max_rank: int) -> None:
    def iterative(covariance: Covariance, noise_energy: float, noise_force: float):  # type: ignore[no-untyped-def]
        return ConjugateGradientSolver(covariance, noise_energy, noise_force, cg(max_rank, 1e-9, 2000))

    models = [
        fit(TRAINING, DESCRIPTOR, KERNELS[0], 1e-2, 1e-2, s, n_centres=3) for s in (cholesky, iterative)
    ]
    for own, exact in zip(*(predict(m, DESCRIPTOR, TEST.positions) for m in models[::-1]), strict=True):
        np.testing.assert_allclose(own, exact, atol=1e-6)
