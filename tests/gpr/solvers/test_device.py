"""Everything on the device "cpu" here; the same on "cuda" where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.devices import open_device
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.gpr.covariance import single as module
from aenet_gpr_cli.gpr.covariance.centre_pairs import CentrePairCovariance
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver
from aenet_gpr_cli.gpr.solvers.conjugate_gradient import ConjugateGradientSolver
from aenet_gpr_cli.gpr.solvers.device import DeviceProducts
from tests.gpr.small_molecule import cg, make_set, symmetric

POSITIONS = make_set(9, seed=2).positions
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kernel", ["squared_exponential", "matern52"])
@pytest.mark.parametrize("descriptor", [Cartesian(4), InverseDistance(4)])
def test_products_equal_those_of_the_matrix(
    device: str, kernel: str, descriptor: Cartesian | InverseDistance, monkeypatch: pytest.MonkeyPatch
) -> None:
    covariance = Covariance.of(make_kernel(kernel, 0.8), descriptor, POSITIONS)
    vectors = np.random.default_rng(0).normal(size=(covariance.n_rows, 3))
    monkeypatch.setattr(module, "PRODUCT_BLOCK", 4)  # blocks of unequal size
    expected = symmetric(covariance.dense()) @ vectors
    np.testing.assert_allclose(DeviceProducts(covariance, device)(vectors), expected, atol=1e-11)


@pytest.mark.parametrize("device", DEVICES)
def test_solvers_give_the_same_on_a_device(device: str) -> None:
    covariance = Covariance.of(make_kernel("squared_exponential", 0.8), InverseDistance(4), POSITIONS)
    right = np.random.default_rng(1).normal(size=(covariance.n_rows, 2))
    exact, dense = (CholeskySolver(covariance, 0.02, 0.02, 0.0, device=d) for d in (None, device))
    np.testing.assert_allclose(dense.solve(right), exact.solve(right), rtol=1e-7, atol=1e-8)
    assert dense.log_determinant == pytest.approx(exact.log_determinant, rel=1e-10)
    own, there = (
        ConjugateGradientSolver(covariance, 0.02, 0.02, cg(40, 1e-9, 500), device=d) for d in (None, device)
    )
    np.testing.assert_allclose(there.solve(right), own.solve(right), atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_jitter_is_raised_on_a_device_too(device: str) -> None:
    twice = np.concatenate([POSITIONS, POSITIONS[:1]])
    covariance = Covariance.of(make_kernel("squared_exponential", 0.8), InverseDistance(4), twice)
    assert CholeskySolver(covariance, 0.0, 0.0, 1e-6, device=device).jitter > 0.0


def test_missing_devices_and_pairs_of_centres_are_refused() -> None:
    with pytest.raises(ConfigError, match="device: expected cpu"):
        open_device("no_such_device")
    pairs = CentrePairCovariance.of(make_kernel("squared_exponential", 0.8), Cartesian(4), POSITIONS, 2)
    with pytest.raises(ConfigError, match="on the CPU only"):
        DeviceProducts(pairs, "cpu")
