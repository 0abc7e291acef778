"""σ of networks: derivatives by weights, the triangular solve, and the factor that calibrates."""

from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.ann.network.architecture import ACTIVATIONS
from aenet_gpr_cli.ann.potential.ann_model import join
from aenet_gpr_cli.ann.potential.committee_sigma import CommitteeSigma
from aenet_gpr_cli.ann.potential.network_sigma import (
    FEWEST,
    SEEN,
    NetworkSigma,
    calibration_factor,
    pack_triangles,
    total_sigma,
)
from aenet_gpr_cli.ann.potential.prediction import atomic_energies, pack, weight_gradients
from tests.ann.potential.test_prediction import committee


def with_weights(model, flat):
    layers = {
        s: tuple(layer.copy() for layer in layers)
        for s, layers in zip(model.basis.species, model.architecture.split(flat), strict=True)
    }
    return replace(model, weights=layers)


def flat_weights(model):
    parts = [w.reshape(model.n_members, -1) for s in model.basis.species for w in model.weights[s]]
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (5,), (6, 3)])
def test_weight_gradients_are_the_differences_of_energies(activation, hidden):
    model = committee(activation, hidden)
    rng = np.random.default_rng(5)
    kinds, raw = np.array([0, 1, 1]), rng.normal(size=(2, 3, model.basis.n_features))
    gradients, flat = weight_gradients(model, pack(model), kinds, raw), flat_weights(model)

    def energies(weights):
        packed = pack(with_weights(model, weights))
        return np.stack([atomic_energies(packed, kinds, one, False)[0].sum(1) for one in raw], axis=1)

    step = 1e-5
    for weight in rng.choice(flat.shape[1], 12, replace=False):
        moved = np.zeros_like(flat)
        moved[:, weight] = step
        slope = (energies(flat + moved) - energies(flat - moved)) / (2 * step)
        np.testing.assert_allclose(gradients[:, :, weight], slope, rtol=1e-6, atol=1e-8)


def posterior(model, rng, n_left_out=0):
    width = model.architecture.n_weights
    root = rng.normal(size=(model.n_members, width, width))
    inverse = root @ root.transpose(0, 2, 1) + np.eye(width)
    errors = rng.normal(size=(model.n_members, n_left_out))
    sigma = NetworkSigma(pack_triangles(np.linalg.cholesky(inverse)), errors, 1.0 + errors**2, True)
    return inverse, sigma


@pytest.mark.parametrize("members", [(0,), (1, 2), (0, 1, 2)])
def test_sigma_is_that_of_the_dense_inverse(members):
    whole = committee("tanh", (3,))
    rng = np.random.default_rng(6)
    inverse, sigma = posterior(whole, rng)
    model = replace(whole, sigma=sigma).select(members)
    kinds, raw = np.array([0, 1, 0, 1]), rng.normal(size=(5, 4, whole.basis.n_features))
    energies = rng.normal(size=(len(members), 5))
    gradients = weight_gradients(model, pack(model), kinds, raw)
    expected = np.mean(
        [((g @ np.linalg.inv(inverse[m])) * g).sum(1) for m, g in zip(members, gradients, strict=True)],
        axis=0,
    )
    if len(members) > 1:
        expected = expected + energies.var(axis=0, ddof=1)
    assert CommitteeSigma(model)(energies, kinds, raw) == pytest.approx(np.sqrt(expected), rel=1e-4)


def test_without_a_posterior_a_committee_has_its_spread_and_one_network_nothing():
    model = committee("tanh", (3,))
    kinds, raw = np.array([0]), np.zeros((2, 1, model.basis.n_features))
    energies = np.random.default_rng(7).normal(size=(3, 2))
    assert CommitteeSigma(model)(energies, kinds, raw) == pytest.approx(energies.std(axis=0, ddof=1))
    assert CommitteeSigma(model.select([1]))(energies[1:2], kinds, raw) is None


def test_members_trained_alone_are_calibrated_like_those_trained_together():
    model = committee("tanh", (3,))
    _, sigma = posterior(model, np.random.default_rng(8), 30)
    whole = replace(model, sigma=sigma)
    again = join([whole.select([m]) for m in range(3)])
    assert again.sigma.factor == whole.sigma.factor != whole.select([0]).sigma.factor
    np.testing.assert_array_equal(again.sigma.factors, sigma.factors)
    assert join([whole.select([0]), model.select([1])]).sigma is None


def test_the_factor_makes_intervals_cover():
    rng = np.random.default_rng(9)
    sigma = rng.uniform(0.5, 2.0, 400)
    errors = 3.0 * sigma * rng.normal(size=400)
    factor = calibration_factor(errors, sigma)
    assert factor == pytest.approx(3.0, rel=0.15)
    assert (np.abs(errors) < 1.96 * factor * sigma).mean() == pytest.approx(0.95, abs=0.03)
    tails = sigma * rng.standard_t(2, 400)
    assert (np.abs(tails) < 1.96 * calibration_factor(tails, sigma) * sigma).mean() >= 0.95
    assert calibration_factor(errors[: FEWEST - 1], sigma[: FEWEST - 1]) == 1.0


def test_what_was_trained_on_makes_sigma_larger_than_what_was_not_and_both_may_make_it_smaller():
    errors, ones = np.full((1, 30), 0.1), np.ones((1, 30))
    factors = np.ones((1, 1), np.float32)
    for held_out, expected in ((True, 0.1), (False, 0.1 * SEEN)):
        assert NetworkSigma(factors, errors, ones, held_out).factor == pytest.approx(expected)


def test_spread_and_posterior_add_up():
    energies = np.array([[1.0, 2.0], [3.0, 2.0]])
    both = total_sigma(energies, np.array([[1.0, 4.0], [3.0, 4.0]]))
    assert both == pytest.approx(np.sqrt([2.0 + 2.0, 4.0]))
