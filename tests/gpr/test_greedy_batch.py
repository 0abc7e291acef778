"""σ of forces, and taking several structures at once: against plain linear algebra and refitted processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.descriptors.structure.permutation import PermutationImages
from aenet_gpr_cli.gpr.covariance.image_pairs import make_covariance
from aenet_gpr_cli.gpr.greedy_batch import GreedyBatch, take_best
from aenet_gpr_cli.gpr.kernels.stationary import Kernel, Matern52, SquaredExponential
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.regression.gp_model import GPModel
from aenet_gpr_cli.gpr.uncertainty.energy_sigma import EnergySigmaBound
from aenet_gpr_cli.gpr.uncertainty.force_sigma import ForceSigmaBound, random_probes
from aenet_gpr_cli.structures import FloatArray, StructureSet
from tests.gpr.small_molecule import cholesky, make_set, symmetric

NOISE = 1e-2  # keeps the dense reference well conditioned
TRAINING, POOL = make_set(6, seed=0), make_set(15, seed=1)
SWAPPED = PermutationImages(InverseDistance(4), [(0, 1, 2, 3), (1, 0, 2, 3)])
CASES = [
    (Cartesian(4), 1, SquaredExponential(0.8)),
    (InverseDistance(4), 1, Matern52(1.5)),
    (SWAPPED, 2, SquaredExponential(0.8)),
]
ALL_ROWS = 10**6


def fitted(structures: StructureSet, descriptor: Descriptor, kernel: Kernel, n_images: int) -> GPModel:
    return fit(structures, descriptor, kernel, NOISE, NOISE, cholesky, n_images)


def bound(
    model: GPModel, descriptor: Descriptor, n_images: int, n_probes: int = 12, seed: int = 0
) -> ForceSigmaBound:
    probes = random_probes(4, n_probes, np.random.default_rng(seed))
    return ForceSigmaBound(model, descriptor, ALL_ROWS, probes, n_images)


def dense_sigma(
    model: GPModel, descriptor: Descriptor, data: FloatArray, new: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """σ of energies and forces at ``new`` from the whole covariance matrix of all rows."""
    n, m = len(data), len(new)
    points = descriptor.linearise(np.concatenate([data, new]))
    k = symmetric(make_covariance(model.make_kernel(), points, model.origin, model.n_atoms).dense())
    width = 3 * model.n_atoms
    energies, gradients = np.arange(n + m), np.arange((n + m) * width) + n + m
    seen = np.concatenate([energies[:n], gradients[: n * width]])
    unseen = np.concatenate([energies[n:], gradients[n * width :]])
    known = k[np.ix_(seen, seen)] + NOISE**2 * np.eye(len(seen))
    across = k[np.ix_(seen, unseen)]
    left = np.diag(k[np.ix_(unseen, unseen)] - across.T @ np.linalg.solve(known, across))
    forces = left[m:].reshape(m, width).mean(axis=1)
    return model.signal_std * np.sqrt(left[:m]), model.signal_std * np.sqrt(forces)


@pytest.mark.parametrize(("descriptor", "n_images", "kernel"), CASES)
def test_all_directions_give_the_sigma_of_the_whole_matrix(
    descriptor: Descriptor, n_images: int, kernel: Kernel
) -> None:
    model = fitted(TRAINING, descriptor, kernel, n_images)
    energies, forces = bound(model, descriptor, n_images)(POOL.positions)
    expected = dense_sigma(model, descriptor, TRAINING.positions, POOL.positions)
    assert expected[1].min() > 0.0
    np.testing.assert_allclose(energies, expected[0], rtol=1e-6)
    np.testing.assert_allclose(forces, expected[1], rtol=1e-6)
    own = EnergySigmaBound(model, descriptor, ALL_ROWS)(POOL.positions)
    np.testing.assert_allclose(energies, own, rtol=1e-6)


@pytest.mark.parametrize(("descriptor", "n_images", "kernel"), CASES)
def test_taking_structures_equals_refitting_with_them(
    descriptor: Descriptor, n_images: int, kernel: Kernel
) -> None:
    model = fitted(TRAINING, descriptor, kernel, n_images)
    batch = GreedyBatch(bound(model, descriptor, n_images), POOL.positions)
    before = batch.sigma("forces")
    taken = [i for _, i, _ in take_best({"": batch}, 4, "forces")]
    assert len(set(taken)) == 4
    data = np.concatenate([TRAINING.positions, POOL.positions[taken]])
    energies, forces = dense_sigma(model, descriptor, data, POOL.positions)
    np.testing.assert_allclose(batch.sigma("energies"), energies, rtol=1e-6)
    np.testing.assert_allclose(batch.sigma("forces"), forces, rtol=1e-6)
    assert (batch.sigma("forces") < before).all()


def test_each_is_the_most_uncertain_one_given_those_before() -> None:
    descriptor = InverseDistance(4)
    model = fitted(TRAINING, descriptor, SquaredExponential(0.8), 1)
    for by, place in (("energies", 0), ("forces", 1)):
        batch = GreedyBatch(bound(model, descriptor, 1), POOL.positions)
        data = TRAINING.positions
        for _, index, sigma in take_best({"": batch}, 4, by):
            left = dense_sigma(model, descriptor, data, POOL.positions)[place]
            assert index == np.argmax(left)
            assert sigma == pytest.approx(left[index], rel=1e-6)
            data = np.concatenate([data, POOL.positions[index : index + 1]])


@pytest.mark.parametrize("by", ["forces", "energies"])
@pytest.mark.parametrize(("descriptor", "n_images", "kernel"), CASES)
def test_the_promised_reduction_is_what_taking_gives(
    descriptor: Descriptor, n_images: int, kernel: Kernel, by: str
) -> None:
    model = fitted(TRAINING, descriptor, kernel, n_images)
    sigma = bound(model, descriptor, n_images)
    for first in (None, 2):
        batch = GreedyBatch(sigma, POOL.positions, joint=True)
        if first is not None:
            batch.take(first)
        promised, before = batch.reductions(by), (batch.sigma(by) ** 2).sum()
        data = TRAINING.positions if first is None else np.r_[TRAINING.positions, POOL.positions[[first]]]
        for index in (0, 7):
            more = np.concatenate([data, POOL.positions[index : index + 1]])
            left = dense_sigma(model, descriptor, more, POOL.positions)[by == "forces"]
            assert promised[index] == pytest.approx(before - (left**2).sum(), rel=1e-6)
        assert (promised > 0.0).all()
        best = int(np.argmax(promised))
        assert take_best({"": batch}, 1, by, reduce_all=True)[0][1] == best


def test_lowering_all_leaves_an_outlier_alone() -> None:
    descriptor = InverseDistance(4)
    model = fitted(TRAINING, descriptor, SquaredExponential(0.8), 1)
    outlier = POOL.positions[:1] * np.array([[0.9], [1.3], [0.8], [1.2]])
    pool = np.concatenate([POOL.positions, outlier])
    for reduce_all in (False, True):
        batch = GreedyBatch(bound(model, descriptor, 1), pool, joint=True)
        (_, index, _), *_ = take_best({"": batch}, 1, "forces", reduce_all)
        assert (index == len(POOL)) != reduce_all


def test_copies_of_a_structure_are_not_taken_twice() -> None:
    descriptor = InverseDistance(4)
    model = fitted(TRAINING, descriptor, SquaredExponential(0.8), 1)
    most = int(np.argmax(bound(model, descriptor, 1)(POOL.positions)[1]))
    crowd = np.concatenate([POOL.positions, np.repeat(POOL.positions[most : most + 1], 5, axis=0)])
    batch = GreedyBatch(bound(model, descriptor, 1), crowd)
    taken = [i for _, i, _ in take_best({"": batch}, 6, "forces")]
    assert len([i for i in taken if i == most or i >= len(POOL)]) == 1


def test_the_choice_does_not_depend_on_the_order_of_the_pool() -> None:
    descriptor = InverseDistance(4)
    model = fitted(TRAINING, descriptor, SquaredExponential(0.8), 1)
    order = np.random.default_rng(3).permutation(len(POOL))
    chosen = []
    for positions, names in ((POOL.positions, np.arange(len(POOL))), (POOL.positions[order], order)):
        batch = GreedyBatch(bound(model, descriptor, 1, n_probes=3), positions)
        chosen.append([int(names[i]) for _, i, _ in take_best({"": batch}, 6, "forces")])
    assert chosen[0] == chosen[1]


def test_few_directions_estimate_without_bias() -> None:
    descriptor = InverseDistance(4)
    model = fitted(TRAINING, descriptor, SquaredExponential(0.8), 1)
    exact = bound(model, descriptor, 1)(POOL.positions)[1] ** 2
    found = np.array(
        [bound(model, descriptor, 1, n_probes=2, seed=s)(POOL.positions)[1] ** 2 for s in range(200)]
    )
    error = found.std(axis=0) / np.sqrt(len(found))
    assert (found.std(axis=0) > 0.05 * exact).all()  # a single draw is an estimate only
    assert (np.abs(found.mean(axis=0) - exact) < 4.5 * error).all()


def test_probes_are_orthonormal_and_as_many_as_there_are() -> None:
    probes = random_probes(4, 20, np.random.default_rng(0)).reshape(-1, 12)
    assert len(probes) == 12
    np.testing.assert_allclose(probes @ probes.T, np.eye(12), atol=1e-14)


def test_fewer_rows_bound_sigma_from_above() -> None:
    descriptor = InverseDistance(4)
    model = fitted(make_set(12, seed=0), descriptor, SquaredExponential(0.8), 1)
    probes = random_probes(4, 12, np.random.default_rng(0))
    whole, part = (
        ForceSigmaBound(model, descriptor, rows, probes)(POOL.positions) for rows in (ALL_ROWS, 40)
    )
    for exact, above in zip(whole, part, strict=True):
        assert (above >= exact * (1 - 1e-8)).all()
    assert part[1].mean() > 1.1 * whole[1].mean()


def test_several_processes_compete() -> None:
    descriptor = InverseDistance(4)
    good = fitted(make_set(12, seed=0), descriptor, SquaredExponential(0.8), 1)
    few = fitted(make_set(2, seed=0), descriptor, SquaredExponential(0.8), 1)
    poor = replace(few, signal_std=good.signal_std)
    batches = {
        name: GreedyBatch(bound(model, descriptor, 1), POOL.positions)
        for name, model in (("good", good), ("poor", poor))
    }
    taken = take_best(batches, 10, "forces")
    sigmas = [sigma for _, _, sigma in taken]
    assert sigmas == sorted(sigmas, reverse=True)
    assert sum(name == "poor" for name, _, _ in taken) > 5
    fresh = {"good": GreedyBatch(bound(good, descriptor, 1), POOL.positions)}
    limit = float(np.median(fresh["good"].sigma("forces")))
    stopped = take_best(fresh, 15, "forces", threshold=limit)
    assert 0 < len(stopped) < 15
    assert (
        fresh["good"].sigma("forces")[[i for i in range(15) if i not in [t[1] for t in stopped]]].max()
        <= limit
    )
