"""The scripted descriptor, which exports carry, is the one that networks were trained on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from aenet_gpr_cli.ann.network.architecture import ACTIVATIONS
from aenet_gpr_cli.ann.potential.committee_sigma import CommitteeSigma
from aenet_gpr_cli.ann.potential.network_sigma import NetworkSigma, pack_triangles
from aenet_gpr_cli.ann.potential.prediction import atomic_energies, pack
from aenet_gpr_cli.ann.potential.torchscript import ScriptedChebyshev, ScriptedCommittee, ScriptedRepulsion
from aenet_gpr_cli.baseline.repulsion import Repulsion
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis, values
from aenet_gpr_cli.descriptors.interface.neighbour_list import neighbour_list
from tests.ann.potential.test_prediction import committee


class Scripted(torch.nn.Module):
    """A committee whose result is σ."""

    def __init__(self, model):
        super().__init__()
        self.committee = ScriptedCommittee(model)

    def forward(self, vectors, centres, neighbours, kinds, atoms):
        return self.committee.sigma(vectors, centres, neighbours, kinds, atoms)


@pytest.mark.parametrize("species", [("H",), ("C", "H"), ("C", "H", "Li", "O")])
@pytest.mark.parametrize(
    ("angular_order", "inner", "resolved"),
    [(3, (), False), (3, (2.8, 2.1), False), (3, (), True), (2, (2.5,), True), (None, (), True)],
)
def test_the_scripted_descriptor_has_our_values(species, angular_order, inner, resolved):
    angular = 3.6 if angular_order is not None else None
    basis = ChebyshevBasis(species, 4.5, 6, angular, angular_order, inner, resolved)
    rng = np.random.default_rng(2)
    grid = 1.7 * np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3)
    positions = (grid[:10] + rng.uniform(-0.2, 0.2, (10, 3)))[None]
    kinds = np.arange(10) % len(species)
    neighbours = neighbour_list(positions, None, (False, False, False), basis.cutoff)
    centres = np.repeat(np.arange(10), np.diff(neighbours.offsets))
    scripted = torch.jit.script(ScriptedChebyshev(basis))
    arrays = (neighbours.vectors, centres, neighbours.index, kinds)
    found = scripted(*(torch.as_tensor(np.ascontiguousarray(a)) for a in arrays))
    expected = values(basis, kinds, neighbours)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-11 * np.abs(expected).max())


def test_the_scripted_repulsion_has_our_values():
    known = Repulsion(np.array([1.0, 8.0]), np.array([[1.2, 0.9], [0.9, 2.1]]))
    rng = np.random.default_rng(5)
    positions = rng.uniform(0, 2.5, (1, 8, 3))
    kinds = np.array([0, 1] * 4)
    neighbours = neighbour_list(positions, None, (False, False, False), 4.0)
    centres = np.repeat(np.arange(8), np.diff(neighbours.offsets))
    scripted = torch.jit.script(ScriptedRepulsion(known.charges, known.outer))
    arrays = (neighbours.vectors, kinds[centres], kinds[neighbours.index])
    pairs = scripted(*(torch.as_tensor(np.ascontiguousarray(a)) for a in arrays)).numpy()
    found = np.bincount(centres, pairs, minlength=8)
    assert found.max() > 1.0
    np.testing.assert_allclose(found, known(kinds, neighbours).energies, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("members", [(1,), (0, 1, 2)], ids=str)
def test_the_scripted_sigma_is_ours(activation, members):
    model = committee(activation, (5, 3))
    rng, width = np.random.default_rng(2), model.architecture.n_weights
    factors = pack_triangles(np.eye(width) + 0.1 * rng.normal(size=(3, width, width)))
    sigma = NetworkSigma(factors, rng.normal(size=(3, 20)), np.ones((3, 20)), True)
    model = replace(model, sigma=sigma).select(members)
    positions = 1.3 * rng.normal(size=(1, 6, 3))
    kinds = np.array([0, 1, 1, 0, 1, 1])
    neighbours = neighbour_list(positions, None, (False, False, False), model.basis.cutoff)
    raw = values(model.basis, kinds, neighbours)
    energies = atomic_energies(pack(model), kinds, raw, False)[0].sum(1)[:, None]
    centres = np.repeat(np.arange(6), np.diff(neighbours.offsets))
    arrays = (neighbours.vectors, centres, neighbours.index, kinds, np.arange(6))
    scripted = torch.jit.script(Scripted(model))
    found = scripted(*(torch.as_tensor(np.ascontiguousarray(a)) for a in arrays))
    assert found.item() == pytest.approx(CommitteeSigma(model)(energies, kinds, raw[None])[0], rel=1e-4)
    assert found.item() > 0.0
