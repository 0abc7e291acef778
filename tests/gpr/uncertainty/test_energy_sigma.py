from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.gpr.covariance.cross import Observations
from aenet_gpr_cli.gpr.covariance.observation_order import by_structure
from aenet_gpr_cli.gpr.kernels.stationary import Kernel, Matern52, SquaredExponential
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.solvers.conjugate_gradient import ConjugateGradientSolver
from aenet_gpr_cli.gpr.uncertainty import energy_sigma as module
from aenet_gpr_cli.gpr.uncertainty.covering import covering_observations
from aenet_gpr_cli.gpr.uncertainty.energy_sigma import EnergySigmaBound, energy_sigma, refactorise
from tests.gpr.small_molecule import cg, cholesky, make_set, symmetric

NOISE = 1e-3
TRAINING, TEST = make_set(12, seed=0), make_set(20, seed=1)
DESCRIPTORS = [Cartesian(4), InverseDistance(4)]


def fitted(descriptor: Descriptor):  # type: ignore[no-untyped-def]
    model = fit(TRAINING, descriptor, SquaredExponential(0.8), NOISE, NOISE, cholesky)
    return model, refactorise(model, descriptor, 1e-8)


@pytest.mark.parametrize("descriptor", DESCRIPTORS)
def test_exact_sigma_equals_the_textbook_formula(descriptor: Descriptor) -> None:
    model, solver = fitted(descriptor)
    covariance = model.covariance(descriptor)
    k = symmetric(covariance.dense()) + NOISE**2 * np.eye(covariance.n_rows)
    columns = covariance.energy_columns(descriptor.values(TEST.positions))
    expected = 1.0 - np.einsum("ib,ib->b", columns, np.linalg.solve(k, columns))
    sigma = energy_sigma(model, descriptor, TEST.positions, solver)
    # rounding in the dense solve: condition number 1e7 times 1e-16
    np.testing.assert_allclose((sigma / model.signal_std) ** 2, expected, atol=1e-8)


@pytest.mark.parametrize("kernel", [SquaredExponential(0.8), Matern52(1.5)])
@pytest.mark.parametrize("descriptor", DESCRIPTORS)
def test_bound_on_part_of_the_data_tightens_to_exact(descriptor: Descriptor, kernel: Kernel) -> None:
    model = fit(TRAINING, descriptor, kernel, NOISE, NOISE, cholesky)
    solver = refactorise(model, descriptor, 1e-8)
    sigma = energy_sigma(model, descriptor, TEST.positions, solver)
    bounds = [EnergySigmaBound(model, descriptor, rows) for rows in (20, 60, 100, 12 * 13)]
    values = [bound(TEST.positions) for bound in bounds]
    for bound, rows in zip(bounds, (20, 60, 100, 12 * 13), strict=True):
        assert bound.n_rows <= rows
    for value in values:
        assert (value >= sigma * (1 - 1e-6)).all()
    means = [value.mean() for value in values]
    assert means[0] > 1.5 * means[3]
    assert means == sorted(means, reverse=True)
    # all that the descriptor sees: leaving out net force and torque changes nothing
    np.testing.assert_allclose(values[3], sigma, rtol=1e-5)
    with pytest.raises(ConfigError, match="max_rows"):
        EnergySigmaBound(model, descriptor, 0)


@pytest.mark.parametrize("rows", [20, 60])
@pytest.mark.parametrize("descriptor", DESCRIPTORS)
def test_bound_is_that_of_its_rows_and_all_of_the_nearest_structure(
    descriptor: Descriptor, rows: int
) -> None:
    """Against a model of those energies and directional derivatives alone, made from the whole matrix."""
    model, _ = fitted(descriptor)
    covering = covering_observations(model, descriptor, rows)
    covariance, directions = model.covariance(descriptor), covering.directions
    everything = Observations(
        covariance, directions.restrict(covariance.points, np.arange(12), directions.n_seen)
    )
    # all that is seen, by structure: the energy, then the directions from the stiffest on
    matrix = by_structure(symmetric(everything.covariance.dense()) + NOISE**2 * np.eye(everything.n_rows), 12)
    matrix = by_structure(matrix.reshape(-1, everything.n_rows).T, 12).reshape(2 * [everything.n_rows])
    columns = by_structure(everything.columns(descriptor.values(TEST.positions))[..., 0], 12)
    prior = covariance.energy_variances(descriptor.values(TEST.positions))
    known = np.zeros((12, columns.shape[1]), bool)
    known[covering.chosen, : 1 + covering.kept] = True
    expected = np.empty(len(TEST))
    flat, values = columns.reshape(len(matrix), -1), descriptor.values(TRAINING.positions)
    for i, own in enumerate(descriptor.values(TEST.positions)):
        some = known.copy()
        some[np.linalg.norm(values - own, axis=1).argmin()] = True
        k = flat[some.ravel(), i]
        expected[i] = prior[i] - k @ np.linalg.solve(matrix[np.ix_(some.ravel(), some.ravel())], k)
    bound = EnergySigmaBound(model, descriptor, rows)(TEST.positions)
    np.testing.assert_allclose((bound / model.signal_std) ** 2, expected, atol=1e-8)


def test_copies_of_a_structure_share_what_is_nearest_to_it() -> None:
    descriptor = InverseDistance(4)
    model, solver = fitted(descriptor)
    bound = EnergySigmaBound(model, descriptor, 20)
    around = np.repeat(TRAINING.positions, 4, axis=0)
    copies = around + np.random.default_rng(3).normal(0.0, 0.02, around.shape)
    found = bound(copies, around)
    exact = energy_sigma(model, descriptor, copies, solver)
    covering = covering_observations(model, descriptor, 20)
    half = covering.half(descriptor.values(copies))
    alone = model.signal_std * np.sqrt(
        model.covariance(descriptor).energy_variances(descriptor.values(copies)) - (half**2).sum(axis=0)
    )
    assert (found >= exact * (1 - 1e-6)).all()
    assert (found <= alone * (1 + 1e-6)).all()
    assert found.mean() < 0.2 * alone.mean()
    np.testing.assert_allclose(bound(copies[::-1], around[::-1])[::-1], found, rtol=1e-8)


def test_bound_does_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = fitted(InverseDistance(4))
    bound = EnergySigmaBound(model, InverseDistance(4), 60)
    whole = bound(TEST.positions)
    monkeypatch.setattr(module, "SIGMA_BLOCK", 7)
    np.testing.assert_allclose(bound(TEST.positions), whole, rtol=1e-8)


def test_iterative_solver_gives_the_same_sigma() -> None:
    descriptor = Cartesian(4)
    model, solver = fitted(descriptor)
    iterative = ConjugateGradientSolver(model.covariance(descriptor), NOISE, NOISE, cg(156, 1e-10, 2000))
    np.testing.assert_allclose(
        energy_sigma(model, descriptor, TEST.positions, iterative),
        energy_sigma(model, descriptor, TEST.positions, solver),
        rtol=1e-4,
    )


@pytest.mark.parametrize(
    ("max_bytes", "said"), [(np.inf, "factorises 156 rows"), (1.0, "for every structure, as")]
)
def test_cost_of_exact_sigma_follows_the_solver_that_is_taken(max_bytes: float, said: str) -> None:
    assert said in module.exact_sigma_cost(12, 4, max_bytes)
