"""A committee survives storage: what is read predicts exactly what was written."""

import h5py
import numpy as np
import pytest

from aenet_gpr_cli.ann.network.architecture import Architecture, initial_weights, to_layers
from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.ann.potential.compositions import Compositions
from aenet_gpr_cli.ann.potential.network_sigma import NetworkSigma
from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.baseline.repulsion import Repulsion
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.io.artefacts.stored_anns import read_ann, write_ann
from aenet_gpr_cli.structures import StructureSet

KEPT = ((10, np.float32), (6, float), (6, float))  # numbers and types of what a member keeps for its σ


@pytest.fixture
def structures():
    rng = np.random.default_rng(3)
    base = np.array([[0.0, 0, 0], [1.4, 0, 0], [0, 1.5, 0], [0.2, 0.1, 1.6]])
    n = 5
    return StructureSet(
        species=("O", "H", "H", "C"),
        positions=base + rng.normal(scale=0.1, size=(n, 4, 3)),
        cells=np.tile(np.diag([7.0, 8.0, 9.0]), (n, 1, 1)),
        pbc=(True, True, True),
        energies=-1000 + rng.normal(size=n),
        forces=rng.normal(size=(n, 4, 3)),
        names=tuple("abcde"),
    )


@pytest.mark.parametrize("angular", [(4.0, 3), (4.0, -1)], ids=["angular", "radial only"])
def test_a_committee_survives(tmp_path, structures, angular):
    basis = ChebyshevBasis(("C", "H", "O"), 5.0, 6, *angular)
    architecture = Architecture(basis.species, basis.n_features, (7, 4), "tanh")
    rng = np.random.default_rng(0)
    factors, errors, variances = (rng.normal(size=(3, n)).astype(t) for n, t in KEPT)
    model = ANNModel(
        basis=basis,
        hidden=(7, 4),
        activation="tanh",
        weights=to_layers(architecture, initial_weights(architecture, 1, (0, 1, 2))),
        feature_mean={s: rng.normal(size=basis.n_features) for s in basis.species},
        feature_std={s: rng.uniform(0.5, 2, size=basis.n_features) for s in basis.species},
        energy_scale=0.7,
        energy_shift=-0.3,
        atomic_energies={"C": -1030.0, "H": -13.6, "O": -2042.0},
        sigma=NetworkSigma(factors, errors, variances, held_out=True),
        repulsion=Repulsion(np.array([6.0, 1.0, 8.0]), np.full((3, 3), 1.7)),
        compositions=Compositions.of(basis.species, [["C", "H", "H"], ["O"]]),
    )
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_ann(file, model)
    with h5py.File(tmp_path / "x.h5") as file:
        read = read_ann(file)
    assert read.repulsion == model.repulsion
    np.testing.assert_array_equal(read.compositions.rows, model.compositions.rows)
    assert read.lacks(["C"])
    assert not read.lacks(["O", "H", "C", "H"])
    for ours, theirs in zip(
        predict(read, structures, True, 3), predict(model, structures, True, 3), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    for name in ("factors", "left_out_errors", "left_out_variances", "held_out"):
        np.testing.assert_array_equal(getattr(read.sigma, name), getattr(model.sigma, name))
