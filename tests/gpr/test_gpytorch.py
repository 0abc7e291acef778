"""GPyTorch's derivative kernel as an independent oracle for the covariance with Cartesian coordinates."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.gpr.covariance.observation_order import ones_on_energies, split_rows
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.regression.gp_model import predict
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver
from aenet_gpr_cli.structures import FloatArray, IntArray
from tests.gpr.small_molecule import make_set, symmetric

gpytorch = pytest.importorskip("gpytorch", reason="needs gpytorch (extra dev)")
N, LENGTH = 6, 0.9
TRAINING = make_set(N, seed=4)


def oracle(first: FloatArray, second: FloatArray) -> FloatArray:
    """RBFKernelGrad between flat coordinates, its rows (E, ∂E) per structure brought to our order."""
    kernel = gpytorch.kernels.RBFKernelGrad().double()
    kernel.lengthscale = torch.tensor(LENGTH, dtype=torch.float64)
    with torch.no_grad():
        matrix = kernel(torch.tensor(first), torch.tensor(second)).to_dense().numpy()
    return matrix[np.ix_(our_order(len(first)), our_order(len(second)))]


def our_order(n: int) -> IntArray:
    theirs = np.arange(n * 13).reshape(n, 13)
    return np.concatenate([theirs[:, 0], theirs[:, 1:].ravel()])


def test_covariance_equals_the_derivative_kernel() -> None:
    flat = TRAINING.positions.reshape(N, -1)
    covariance = Covariance.of(make_kernel("squared_exponential", LENGTH), Cartesian(4), TRAINING.positions)
    np.testing.assert_allclose(symmetric(covariance.dense()), oracle(flat, flat), atol=1e-12)
    vectors = np.random.default_rng(0).normal(size=(covariance.n_rows, 2))
    np.testing.assert_allclose(covariance.product(vectors), oracle(flat, flat) @ vectors, atol=1e-11)


def test_predictions_equal_those_from_the_derivative_kernel() -> None:
    test = make_set(5, seed=5)
    flat, new = TRAINING.positions.reshape(N, -1), test.positions.reshape(5, -1)
    model = fit(
        TRAINING,
        Cartesian(4),
        make_kernel("squared_exponential", LENGTH),
        1e-2,
        2e-2,
        lambda c, e, f: CholeskySolver(c, e, f, 0.0),
    )
    noise = np.r_[np.full(N, 1e-4), np.full(12 * N, 4e-4)]
    assert TRAINING.energies is not None
    assert TRAINING.forces is not None
    rows = np.r_[TRAINING.energies - model.prior_mean, -TRAINING.forces.ravel()]
    inverse = np.linalg.inv(oracle(flat, flat) + np.diag(noise))
    assert ones_on_energies(N, 13 * N) @ inverse @ rows == pytest.approx(
        0.0, abs=1e-6
    )  # the closed-form mean
    energies, gradients = split_rows(oracle(new, flat) @ (inverse @ rows), 5)
    own_energies, own_forces = predict(model, Cartesian(4), test.positions)
    np.testing.assert_allclose(own_energies, model.prior_mean + energies, atol=1e-7)
    np.testing.assert_allclose(own_forces, -gradients, atol=1e-7)
