"""The compiled passes give the numbers of the tensor program."""

import numpy as np
import pytest
import torch

from aenet_gpr_cli.ann.network import backend_numba as compiled
from aenet_gpr_cli.ann.network.architecture import Architecture
from aenet_gpr_cli.ann.network.backend import CompiledPasses, TensorPasses, fastest_passes

CPU = torch.device("cpu")


@pytest.mark.parametrize("hidden", [(1,), (10, 7), (5, 12, 3)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 5e-5)])
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("atoms", [0, 1, 70])
def test_compiled_passes_equal_the_tensor_program(hidden, dtype, tolerance, members, atoms):
    architecture = Architecture(("H", "O", "C"), 6, hidden, "tanh")
    rng = np.random.default_rng(0)

    def draw(*shape):
        return torch.as_tensor(rng.normal(size=shape), dtype=dtype)

    flat, features = 0.5 * draw(members, architecture.n_weights), draw(atoms, 7)
    features[:, -1] = 1.0
    weight, direction, start = draw(members, atoms), draw(members, atoms, 6), draw(members, flat.shape[1])
    results = []
    for passes in (TensorPasses(architecture), CompiledPasses(architecture)):
        state = passes.forward(flat, 1, features, 2)
        slopes = passes.sensitivities(flat, 1, state)
        energy, force = start.clone(), start.clone()
        passes.force_gradient(flat, 1, state, slopes, direction, weight, force)
        passes.energy_gradient(flat, 1, state, weight, energy)  # uses the state up
        results.append([state.output, passes.input_gradient(flat, 1, slopes), *slopes[:-1], energy, force])
    for ours, theirs in zip(*results, strict=True):
        # sums over at most 70 atoms and 12 units in another order
        scale = float(theirs.abs().max()) if theirs.numel() else 1.0
        assert torch.allclose(ours, theirs, rtol=0.0, atol=tolerance * max(1.0, scale))
    assert atoms == 0 or not torch.equal(results[0][-1], start)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tanh_is_right_to_rounding(dtype):
    """Seen through a network that is tanh alone."""
    x = np.concatenate(
        [np.linspace(-30, 30, 4001), 10.0 ** np.arange(-9, 0), [0.0, 1e4, -1e30, np.nan]]
    ).astype(dtype)
    # one input, one hidden unit: y = 1 · tanh(z) + 0
    flat, sizes = np.array([[0.0, 0.0, 1.0, 0.0]], dtype), np.array([1, 1, 1])
    values, output = (x[None, None].copy(),), np.empty((1, len(x)), dtype)
    compiled.forward(flat, 0, sizes, compiled.constants(np.dtype(dtype)), values, output)
    assert np.isnan(output[0, -1])
    exact = np.tanh(x[:-1].astype(np.float64))
    error = np.abs(output[0, :-1] - exact) / np.maximum(np.abs(exact), np.finfo(dtype).tiny)
    assert error.max() < 8 * np.finfo(dtype).eps  # relative, also where tanh x = x


def test_what_is_not_compiled_goes_to_the_tensor_program():
    assert isinstance(fastest_passes(Architecture(("H",), 3, (4,), "tanh"), CPU), CompiledPasses)
    assert isinstance(fastest_passes(Architecture(("H",), 3, (), "tanh"), CPU), TensorPasses)
    assert isinstance(fastest_passes(Architecture(("H",), 3, (4,), "twist"), CPU), TensorPasses)
