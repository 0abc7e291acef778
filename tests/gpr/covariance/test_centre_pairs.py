from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.descriptor_settings import SoapSettings
from aenet_gpr_cli.descriptors.soap.soap_descriptor import Soap
from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.covariance import single as module
from aenet_gpr_cli.gpr.covariance.centre_pairs import CentrePairCovariance
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver
from aenet_gpr_cli.gpr.solvers.conjugate_gradient import ConjugateGradientSolver
from tests.gpr.small_molecule import cg, make_set, symmetric

POSITIONS = make_set(5, seed=3).positions
POINTS = ((0.5, 0.5, 0.5), (-0.5, 1.0, 0.0), (1.0, -0.3, 0.4))
KEYS = SoapSettings(cutoff=3.0, n_max=2, l_max=2, sigma=0.6, average="off", centres=POINTS)
DESCRIPTOR = Soap(("O", "H", "C", "H"), KEYS)
KERNELS = ["squared_exponential", "matern52"]


def make(kernel: str) -> CentrePairCovariance:
    return CentrePairCovariance.of(make_kernel(kernel, 1.5), DESCRIPTOR, POSITIONS, 3)


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradient_rows_are_derivatives_of_the_mean_over_pairs_of_centres(kernel: str) -> None:
    k = symmetric(make(kernel).dense())
    a, b, h = 1, 4, 1e-3

    def energy_covariance(left: np.ndarray, right: np.ndarray) -> float:
        x, y = DESCRIPTOR.values(np.stack([left, right])).reshape(2, 3, -1)
        d2 = ((x[:, None] - y[None]) ** 2).sum(axis=2)
        return float(make_kernel(kernel, 1.5).value(d2).mean())

    steps = h * np.eye(12).reshape(12, 4, 3)
    ra, rb = POSITIONS[a], POSITIONS[b]
    np.testing.assert_allclose(k[a, b], energy_covariance(ra, rb), rtol=1e-12)
    first = [(energy_covariance(ra + s, rb) - energy_covariance(ra - s, rb)) / (2 * h) for s in steps]
    mixed = [
        [
            (
                energy_covariance(ra + s, rb + t)
                - energy_covariance(ra + s, rb - t)
                - energy_covariance(ra - s, rb + t)
                + energy_covariance(ra - s, rb - t)
            )
            / (4 * h * h)
            for t in steps
        ]
        for s in steps
    ]
    rows, columns = 5 + 12 * a + np.arange(12), 5 + 12 * b + np.arange(12)
    assert np.abs(mixed).max() > 0.1  # the comparison would also hold for zeros
    # truncation of order h² times the fourth derivatives
    np.testing.assert_allclose(k[rows, b], first, atol=1e-4 * np.abs(first).max())
    np.testing.assert_allclose(k[np.ix_(rows, columns)], mixed, atol=1e-4 * np.abs(mixed).max())


@pytest.mark.parametrize("kernel", KERNELS)
def test_symmetric_positive_and_the_same_in_all_its_parts(
    kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    covariance, chosen = make(kernel), np.array([4, 1])
    full = covariance.columns(slice(None))
    np.testing.assert_allclose(full, full.T, atol=1e-11)
    np.testing.assert_allclose(symmetric(covariance.dense()), full, atol=1e-11)
    assert np.linalg.eigvalsh(full).min() > -1e-12 * np.linalg.eigvalsh(full).max()
    rows = np.concatenate([chosen, (5 + 12 * chosen[:, None] + np.arange(12)).ravel()])
    np.testing.assert_allclose(covariance.columns(chosen), full[:, rows], atol=1e-11)
    values = DESCRIPTOR.values(POSITIONS[chosen])
    np.testing.assert_allclose(covariance.energy_columns(values), full[:, chosen], atol=1e-11)
    np.testing.assert_allclose(covariance.energy_variances(values), np.diag(full)[chosen], rtol=1e-12)
    vectors = np.random.default_rng(0).normal(size=(covariance.n_rows, 3))
    expected = full @ vectors
    assert np.abs(expected).max() > 1.0
    np.testing.assert_allclose(covariance.product(vectors), expected, atol=1e-10)
    monkeypatch.setattr(module, "PRODUCT_BLOCK", 6)  # 2 + 2 + 1 structures: blocks of unequal size
    np.testing.assert_allclose(covariance.product(vectors), expected, atol=1e-10)
    tables = covariance.tables(10**6)
    np.testing.assert_allclose(covariance.product(vectors, tables), expected, atol=1e-10)
    assert covariance.tables(10) is None


@pytest.mark.parametrize("descriptor", [Cartesian(4), InverseDistance(4)])
def test_one_centre_is_the_ordinary_covariance(descriptor: Cartesian | InverseDistance) -> None:
    kernel = make_kernel("squared_exponential", 0.8)
    one = CentrePairCovariance.of(kernel, descriptor, POSITIONS, 1)
    ordinary = Covariance.of(kernel, descriptor, POSITIONS)
    np.testing.assert_allclose(one.dense(), ordinary.dense(), atol=1e-12)
    x = descriptor.values(POSITIONS[:2])
    np.testing.assert_allclose(one.energy_columns(x), ordinary.energy_columns(x), atol=1e-12)
    np.testing.assert_allclose(one.energy_variances(x), 1.0)


def test_both_solvers_take_it_and_agree() -> None:
    covariance = make("squared_exponential")
    right = np.random.default_rng(1).normal(size=(covariance.n_rows, 2))
    dense = CholeskySolver(covariance, 0.1, 0.1, 0.0).solve(right)  # type: ignore[arg-type]
    iterative = ConjugateGradientSolver(covariance, 0.1, 0.1, cg(0, 1e-10, 500)).solve(right)  # type: ignore[arg-type]
    np.testing.assert_allclose(iterative, dense, atol=1e-6 * np.abs(dense).max())


def test_features_must_divide_into_centres() -> None:
    with pytest.raises(InputError, match="centre pairs: expected features for 5 centres, got 12"):
        CentrePairCovariance.of(make_kernel("matern52", 1.0), Cartesian(4), POSITIONS, 5)
