"""The compiled committee gives the numbers of the tensor program."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from aenet_gpr_cli.ann.network import tensor_passes
from aenet_gpr_cli.ann.network.architecture import ACTIVATIONS
from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.ann.potential.prediction import atomic_energies, pack
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis


def committee(activation, hidden):
    rng = np.random.default_rng(3)
    basis = ChebyshevBasis(("H", "O"), 4.0, 4, 3.0, 2)
    sizes = [basis.n_features, *hidden, 1]
    weights = {s: tuple(rng.normal(size=(3, o, i + 1)) for i, o in pairwise(sizes)) for s in basis.species}
    mean = {s: rng.normal(size=basis.n_features) for s in basis.species}
    std = {s: rng.uniform(0.5, 2.0, basis.n_features) for s in basis.species}
    std["H"][3] = 0.0
    return ANNModel(basis, hidden, activation, weights, mean, std, 0.7, 0.2, {"H": -1.0, "O": -2.0})


def reference(model, kinds, raw):
    """The same by the tensors of training: energies and their derivatives by the descriptors."""
    energies, slopes = np.zeros((model.n_members, len(kinds))), np.zeros((model.n_members, *raw.shape))
    for number, symbol in enumerate(model.basis.species):
        rows, scale = np.flatnonzero(kinds == number), model.normalisation.feature_scale(symbol)
        x = np.column_stack([(raw[rows] - model.feature_mean[symbol]) * scale, np.ones(len(rows))])
        layers = [torch.as_tensor(layer) for layer in model.weights[symbol]]
        state = tensor_passes.forward(layers, torch.as_tensor(x), model.activation, 1)
        deltas = tensor_passes.backward(layers, state, torch.ones_like(state.output))
        slope = tensor_passes.input_gradient(layers, deltas).numpy()
        energies[:, rows] = state.output.numpy() * model.energy_scale
        slopes[:, rows] = slope * (scale * model.energy_scale)
    return energies, slopes


@pytest.mark.parametrize("hidden", [(), (5,), (20, 4, 6)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_equals_the_tensor_program(activation, hidden):
    model = committee(activation, hidden)
    rng = np.random.default_rng(4)
    kinds, raw = rng.integers(0, 2, 7), rng.normal(size=(7, model.basis.n_features)) * 3
    energies, gradients = reference(model, kinds, raw)
    for per_member, expected in ((True, gradients), (False, gradients.mean(0, keepdims=True))):
        e, g = atomic_energies(pack(model), kinds, raw, per_member)
        # sums of at most 20 terms in another order
        np.testing.assert_allclose(e, energies, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(g, expected, rtol=1e-11, atol=1e-12)


def test_large_inputs_saturate():
    model = committee("sigmoid", (5,))
    raw = np.full((1, model.basis.n_features), 1e4)
    energies, gradients = atomic_energies(pack(model), np.array([1]), raw, False)
    assert np.isfinite(energies).all()
    assert not gradients.any()
