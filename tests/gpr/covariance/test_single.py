from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.gpr.covariance import single as module
from aenet_gpr_cli.gpr.covariance.observation_order import split_rows, stack_rows
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from tests.gpr.small_molecule import make_set, symmetric

CASES = [
    (kernel, descriptor)
    for kernel in ("squared_exponential", "matern52")
    for descriptor in (Cartesian(4), InverseDistance(4))
]
POSITIONS = make_set(6, seed=3).positions


def make(kernel: str, descriptor: Descriptor) -> Covariance:
    return Covariance.of(make_kernel(kernel, 0.8), descriptor, POSITIONS)


@pytest.mark.parametrize(("kernel", "descriptor"), CASES)
def test_gradient_rows_are_derivatives_of_the_energy_covariance(kernel: str, descriptor: Descriptor) -> None:
    k = symmetric(make(kernel, descriptor).dense())
    a, b, h = 1, 4, 1e-4

    def energy_covariance(left: np.ndarray, right: np.ndarray) -> float:
        x = descriptor.values(np.stack([left, right]))
        return float(make_kernel(kernel, 0.8).value(((x[0] - x[1]) ** 2).sum(keepdims=True))[0])

    steps = h * np.eye(12).reshape(12, 4, 3)
    ra, rb = POSITIONS[a], POSITIONS[b]
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
    rows, columns = 6 + 12 * a + np.arange(12), 6 + 12 * b + np.arange(12)
    assert np.abs(mixed).max() > 0.1  # the comparison would also hold for zeros
    # rounding 1e-16 / h² = 1e-8 and truncation of order h²
    np.testing.assert_allclose(k[rows, b], first, atol=1e-7)
    np.testing.assert_allclose(k[np.ix_(rows, columns)], mixed, atol=1e-6)


@pytest.mark.parametrize(("kernel", "descriptor"), CASES)
def test_symmetric_and_positive(kernel: str, descriptor: Descriptor) -> None:
    covariance = make(kernel, descriptor)
    full = covariance.columns(slice(None))
    np.testing.assert_allclose(full, full.T, atol=1e-13)
    np.testing.assert_allclose(symmetric(covariance.dense()), full, atol=1e-13)
    eigenvalues = np.linalg.eigvalsh(full)
    # invariant descriptors leave rotations and translations at zero, up to rounding
    assert eigenvalues.min() > -1e-13 * eigenvalues.max()


@pytest.mark.parametrize(("kernel", "descriptor"), CASES)
def test_matrix_free_product_equals_the_dense_one(
    kernel: str, descriptor: Descriptor, monkeypatch: pytest.MonkeyPatch
) -> None:
    covariance = make(kernel, descriptor)
    vectors = np.random.default_rng(0).normal(size=(covariance.n_rows, 3))
    expected = symmetric(covariance.dense()) @ vectors
    assert np.abs(expected).max() > 1.0
    np.testing.assert_allclose(covariance.product(vectors), expected, atol=1e-12)
    monkeypatch.setattr(module, "PRODUCT_BLOCK", 4)  # 4 + 2 structures: blocks of unequal size
    np.testing.assert_allclose(covariance.product(vectors), expected, atol=1e-12)
    tables = covariance.tables(10**6)
    np.testing.assert_allclose(covariance.product(vectors, tables), expected, atol=1e-12)
    assert covariance.tables(10) is None


@pytest.mark.parametrize(("kernel", "descriptor"), CASES)
def test_columns_and_energy_columns_are_those_of_the_dense_matrix(
    kernel: str, descriptor: Descriptor
) -> None:
    covariance = make(kernel, descriptor)
    k, chosen = symmetric(covariance.dense()), np.array([4, 1])
    rows = np.concatenate([chosen, (6 + 12 * chosen[:, None] + np.arange(12)).ravel()])
    np.testing.assert_allclose(covariance.columns(chosen), k[:, rows], atol=1e-13)
    np.testing.assert_allclose(
        symmetric(covariance.select(chosen).dense()), k[np.ix_(rows, rows)], atol=1e-13
    )
    energy = covariance.energy_columns(descriptor.values(POSITIONS[chosen]))
    np.testing.assert_allclose(energy, k[:, chosen], atol=1e-13)


def test_noise_stands_on_its_own_rows() -> None:
    noise = make("matern52", Cartesian(4)).noise_variances(0.1, 0.2)
    np.testing.assert_allclose(noise, [0.01] * 6 + [0.04] * 72)


def test_rows_are_split_as_they_were_stacked() -> None:
    rng = np.random.default_rng(0)
    energies, gradients = rng.normal(size=5), rng.normal(size=(5, 4, 3))
    rows = stack_rows(energies, gradients)
    np.testing.assert_array_equal(split_rows(rows, 5)[0], energies)
    np.testing.assert_array_equal(split_rows(rows, 5)[1], gradients)
