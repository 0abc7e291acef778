import numpy as np
import pytest
import torch

from aenet_gpr_cli.ann.network import tensor_passes
from aenet_gpr_cli.ann.network.architecture import ACTIVATIONS, Architecture, initial_weights, to_layers


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivatives_of_the_activations_equal_finite_differences(name):
    z = torch.linspace(-3, 3, 41, dtype=torch.float64)
    h = 1e-5  # balances truncation and rounding in float64
    ahead, behind = tensor_passes.activate(name, z + h, 1), tensor_passes.activate(name, z - h, 1)
    _, first, second = tensor_passes.activate(name, z, 2)
    assert torch.allclose(first, (ahead[0] - behind[0]) / (2 * h), atol=1e-9)
    assert torch.allclose(second, (ahead[1] - behind[1]) / (2 * h), atol=1e-9)


def test_activations_are_those_of_aenet():
    z = torch.tensor([0.7], dtype=torch.float64)
    expected = {
        "linear": 0.7,
        "tanh": np.tanh(0.7),
        "sigmoid": 1 / (1 + np.exp(-0.7)),
        "mtanh": 1.7159 * np.tanh(2 * 0.7 / 3),
        "twist": 1.7159 * np.tanh(2 * 0.7 / 3) + 0.07,
    }
    for name, value in expected.items():
        assert tensor_passes.activate(name, z, 0)[0].item() == pytest.approx(value, abs=1e-14)


def test_forward_is_a_chain_of_layers_with_the_bias_in_the_last_column():
    architecture = Architecture(("H",), 3, (4, 2), "tanh")
    layers = to_layers(architecture, initial_weights(architecture, 1, (0, 1)))["H"]
    x = np.random.default_rng(0).standard_normal((5, 3))
    features = torch.as_tensor(np.c_[x, np.ones(5)])
    output = tensor_passes.forward([torch.as_tensor(w) for w in layers], features, "tanh", 0).output.numpy()
    for member in range(2):
        value = x
        for number, layer in enumerate(layers):
            value = value @ layer[member, :, :-1].T + layer[member, :, -1]
            value = np.tanh(value) if number < 2 else value
        assert output[member] == pytest.approx(value[:, 0], abs=1e-13)
