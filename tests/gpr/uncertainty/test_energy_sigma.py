from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.gpr.kernels.stationary import Kernel, Matern52, SquaredExponential
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.solvers.conjugate_gradient import ConjugateGradientSolver
from aenet_gpr_cli.gpr.uncertainty import energy_sigma as module
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
