"""Rows along all directions, with energies and derivatives of others: blocks of the whole covariance."""

from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.descriptors.structure.permutation import PermutationImages
from aenet_gpr_cli.gpr.covariance import cross
from aenet_gpr_cli.gpr.covariance.centre_pairs import CentrePairCovariance
from aenet_gpr_cli.gpr.covariance.cross import Observations
from aenet_gpr_cli.gpr.covariance.observation_order import matrix_views
from aenet_gpr_cli.gpr.covariance.seen_directions import DirectionalPoints
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from aenet_gpr_cli.gpr.uncertainty.force_sigma import probe_tangents
from tests.gpr.small_molecule import make_set

POSITIONS = make_set(6, seed=3).positions
GROUP = [[1, 2, 0, 3], [0, 1, 2, 3], [2, 0, 1, 3], [1, 0, 2, 3], [0, 2, 1, 3], [2, 1, 0, 3]]  # not abelian
ATOMS = np.eye(12).reshape(12, 4, 3)


@pytest.mark.parametrize("kernel", ["squared_exponential", "matern52"])
@pytest.mark.parametrize("images", [6, 1])  # 1: as centres that are no images of each other
@pytest.mark.parametrize("scratch", [1, 2**20])
def test_columns_are_those_of_the_double_sum(
    kernel: str, images: int, scratch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross, "SCRATCH_NUMBERS", scratch)
    descriptor = PermutationImages(InverseDistance(4), GROUP)
    whole = CentrePairCovariance.of(make_kernel(kernel, 0.8), descriptor, POSITIONS, 6)
    points = whole.points.select(slice(0, 4))
    seen = DirectionalPoints(points.values, points.jacobian(slice(None)).transpose(0, 2, 1), images)
    observations = Observations(whole, seen)
    new = whole.points.select(slice(4, 6))
    found = observations.columns(new.values, probe_tangents(new, ATOMS))
    full = whole.columns(slice(None))
    ee, eg, ge, gg = matrix_views(full, 6, 6)
    energies, gradients = found[:4], found[4:].reshape(4, 12, 2, 13)
    near = {"rtol": 1e-10, "atol": 1e-11 * np.abs(full).max()}
    np.testing.assert_allclose(energies[..., 0], ee[:4, 4:], **near)
    np.testing.assert_allclose(energies[..., 1:], eg[:4, 4:], **near)
    np.testing.assert_allclose(gradients[..., 0], ge[:4, :, 4:], **near)
    np.testing.assert_allclose(gradients[..., 1:], gg[:4, :, 4:], **near)
    np.testing.assert_allclose(observations.columns(new.values)[..., 0], found[..., 0], **near)
