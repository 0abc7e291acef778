from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.kernels.stationary import Kernel, Matern52, SquaredExponential
from aenet_gpr_cli.gpr.regression import gp_model as regression
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.regression.gp_model import predict, predict_energies
from aenet_gpr_cli.structures import FloatArray, StructureSet
from tests.gpr.small_molecule import OFFSET, cholesky, make_set

KERNELS = [SquaredExponential(0.8), Matern52(1.5)]
DESCRIPTORS = [Cartesian(4), InverseDistance(4)]
TRAINING, TEST = make_set(12, seed=0), make_set(20, seed=1)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("descriptor", DESCRIPTORS)
def test_interpolates_at_tiny_noise_and_learns(kernel: Kernel, descriptor: Descriptor) -> None:
    model = fit(TRAINING, descriptor, kernel, 1e-5, 1e-5, cholesky)
    energies, forces = predict(model, descriptor, TRAINING.positions)
    # the noise is 1e-5 of a signal of a few eV
    np.testing.assert_allclose(energies, TRAINING.energies, atol=1e-3)
    np.testing.assert_allclose(forces, TRAINING.forces, atol=5e-3)
    assert TEST.energies is not None
    error = np.abs(predict_energies(model, descriptor, TEST.positions) - TEST.energies).mean()
    assert error < 0.25 * TEST.energies.std()


def test_energies_without_jacobian_equal_those_with_forces() -> None:
    model = fit(TRAINING, InverseDistance(4), KERNELS[0], 1e-3, 1e-3, cholesky)
    energies = predict(model, InverseDistance(4), TEST.positions)[0]
    np.testing.assert_allclose(
        predict_energies(model, InverseDistance(4), TEST.positions), energies, atol=1e-9
    )


def test_result_does_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fit(TRAINING, InverseDistance(4), KERNELS[0], 1e-3, 1e-3, cholesky)
    whole = predict(model, InverseDistance(4), TEST.positions)
    monkeypatch.setattr(regression, "PREDICTION_BLOCK", 7)
    parts = predict(model, InverseDistance(4), TEST.positions)
    np.testing.assert_allclose(parts[0], whole[0], atol=1e-9)
    np.testing.assert_allclose(parts[1], whole[1], atol=1e-9)


def test_returns_to_the_prior_mean_far_away() -> None:
    model = fit(TRAINING, Cartesian(4), KERNELS[0], 1e-3, 1e-3, cholesky)
    far = TRAINING.positions[:2] + 100.0 * np.arange(12).reshape(4, 3)
    energies, forces = predict(model, Cartesian(4), far)
    np.testing.assert_array_equal(energies, model.prior_mean)
    np.testing.assert_array_equal(forces, 0.0)


def test_forces_turn_with_the_molecule_and_add_up_to_zero() -> None:
    descriptor = InverseDistance(4)
    model = fit(TRAINING, descriptor, KERNELS[0], 1e-3, 1e-3, cholesky)
    rotation, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    energies, forces = predict(model, descriptor, TEST.positions)
    turned_energies, turned_forces = predict(model, descriptor, TEST.positions @ rotation.T + 5.0)
    np.testing.assert_allclose(turned_energies, energies, atol=1e-9)
    np.testing.assert_allclose(turned_forces, forces @ rotation.T, atol=1e-9)
    np.testing.assert_allclose(forces.sum(axis=1), 0.0, atol=1e-11)


def test_large_total_energies_cost_no_digits() -> None:
    assert TRAINING.energies is not None
    shifted = replace(TRAINING, energies=TRAINING.energies - OFFSET)
    models = [fit(s, InverseDistance(4), KERNELS[0], 1e-4, 1e-4, cholesky) for s in (TRAINING, shifted)]
    energies = [predict_energies(m, InverseDistance(4), TEST.positions) for m in models]
    np.testing.assert_allclose(energies[0], energies[1] + OFFSET, atol=1e-6)
    assert models[0].signal_std == pytest.approx(models[1].signal_std, rel=1e-6)


def test_inputs_are_not_changed_and_one_structure_suffices() -> None:
    before = TRAINING.positions.copy()
    model = fit(TRAINING.select([3]), InverseDistance(4), KERNELS[0], 1e-3, 1e-3, cholesky)
    np.testing.assert_array_equal(TRAINING.positions, before)
    assert TRAINING.energies is not None
    energy = predict_energies(model, InverseDistance(4), TRAINING.positions[3:4])
    np.testing.assert_allclose(energy, TRAINING.energies[3], atol=1e-2)
    assert model.noise_std_energy == pytest.approx(1e-3 * model.signal_std)


@pytest.mark.parametrize("missing", ["energies", "forces"])
def test_missing_labels_are_refused(missing: str) -> None:
    incomplete: StructureSet = replace(TRAINING, **{missing: None})
    with pytest.raises(InputError, match=f"{missing} are missing"):
        fit(incomplete, Cartesian(4), KERNELS[0], 1e-3, 1e-3, cholesky)


# GPyTorch's RBFKernelGrad (length scale 0.8, interleaved rows), three training and two test structures, noise
# 1e-2 and 2e-2 relative to the signal, mean and signal variance in closed form by numpy.linalg.inv: recipe in
# `gpytorch_posterior`
ORACLE_ENERGIES = [-18641.707744046587, -18641.732357619443]
ORACLE_FORCES_ON_FIRST_ATOM = [
    [-0.39940478170935256, -0.19959762450325283, -0.05887033952450283],
    [-0.36659440851329544, -0.0285850951821611, 0.02164813102384785],
]


def cartesian_posterior() -> tuple[FloatArray, FloatArray]:
    model = fit(make_set(3, seed=5), Cartesian(4), SquaredExponential(0.8), 1e-2, 2e-2, cholesky)
    return predict(model, Cartesian(4), make_set(2, seed=6).positions)


def gpytorch_posterior() -> tuple[FloatArray, FloatArray]:
    """Posterior mean by a covariance that another project computes."""
    torch, gpytorch = pytest.importorskip("torch"), pytest.importorskip("gpytorch")
    training, test = make_set(3, seed=5), make_set(2, seed=6)
    kernel = gpytorch.kernels.RBFKernelGrad().double()
    kernel.lengthscale = 0.8
    x, z = (torch.as_tensor(s.positions.reshape(len(s), 12)) for s in (training, test))
    with torch.no_grad():
        k, cross = kernel(x, x).to_dense().numpy(), kernel(z, x).to_dense().numpy()
    assert training.energies is not None
    assert training.forces is not None
    offset = training.energies.mean()
    y = np.concatenate([np.r_[e - offset, -f.ravel()] for e, f in zip(training.energies, training.forces)])
    unit, noise = np.tile(np.r_[1.0, np.zeros(12)], 3), np.tile(np.r_[1e-4, np.full(12, 4e-4)], 3)
    inverse = np.linalg.inv(k + np.diag(noise))
    mean = (unit @ inverse @ y) / (unit @ inverse @ unit)
    posterior = (cross @ inverse @ (y - mean * unit)).reshape(2, 13)
    return posterior[:, 0] + mean + offset, -posterior[:, 1:].reshape(2, 4, 3)


def test_cartesian_process_equals_gpytorch() -> None:
    energies, forces = gpytorch_posterior()
    own_energies, own_forces = cartesian_posterior()
    np.testing.assert_allclose(own_energies, energies, atol=1e-9)
    np.testing.assert_allclose(own_forces, forces, atol=1e-9)


def test_cartesian_process_equals_recorded_constants_of_gpytorch() -> None:
    energies, forces = cartesian_posterior()
    np.testing.assert_allclose(energies, ORACLE_ENERGIES, atol=1e-9)
    np.testing.assert_allclose(forces[:, 0], ORACLE_FORCES_ON_FIRST_ATOM, atol=1e-9)
