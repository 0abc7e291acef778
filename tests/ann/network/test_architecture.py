import numpy as np
import torch

from aenet_gpr_cli.ann.network.architecture import Architecture, initial_weights, to_layers


def test_a_member_drawn_alone_is_the_member_of_the_committee():
    architecture = Architecture(("H", "O"), 3, (4,), "tanh")
    together = initial_weights(architecture, 7, range(4))
    assert np.array_equal(initial_weights(architecture, 7, [2])[0], together[2])
    assert not np.array_equal(together[1], together[2])


def test_layers_are_views_of_the_flat_weights():
    architecture = Architecture(("H", "O"), 3, (4,), "tanh")
    flat = initial_weights(architecture, 7, range(2))
    parts = [layer for symbol in ("H", "O") for layer in to_layers(architecture, flat)[symbol]]
    assert np.array_equal(np.concatenate([layer.reshape(2, -1) for layer in parts], axis=1), flat)
    tensor = torch.zeros(2, architecture.n_weights)
    for species in range(2):
        for layer in architecture.layers(flat, species):
            layer[:] = 0.5
        for part in architecture.layers(tensor, species):
            part[:] = 0.5
    assert (flat == 0.5).all()
    assert (tensor == 0.5).all()
