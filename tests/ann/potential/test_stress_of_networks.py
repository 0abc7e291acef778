"""Symmetries of dE/dε of a committee: turned cells, supercells, and the direction of the vacuum of a slab."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from aenet_gpr_cli.ann.potential.prediction import predict_with_strain
from aenet_gpr_cli.structures import StructureSet
from tests.calculators.conftest import random_committee

SPECIES = ("C", "H", "O", "H")


@pytest.fixture(scope="module")
def model():
    return random_committee()


def boxes(pbc):
    rng = np.random.default_rng(3)
    cells = np.array([[[4.2, 0.3, 0.0], [-0.8, 4.4, 0.0], [0.0, 0.0, 9.0]]])
    return StructureSet(SPECIES, rng.uniform(0.0, 4.0, (1, 4, 3)), cells, pbc)


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False)], ids=["crystal", "slab"])
def test_turning_the_cell_turns_the_stress_and_a_supercell_keeps_it(model, pbc):
    one = boxes(pbc)
    strain = predict_with_strain(model, one, 1)[2]
    turn = Rotation.from_euler("xyz", [0.3, -1.0, 2.0]).as_matrix()
    moved = replace(one, positions=one.positions @ turn.T, cells=one.cells @ turn.T)
    np.testing.assert_allclose(predict_with_strain(model, moved, 1)[2], turn @ strain @ turn.T, atol=1e-11)
    shift = one.cells[:, :1]
    cells = one.cells * np.array([2.0, 1.0, 1.0])[:, None]
    twice = StructureSet(SPECIES * 2, np.concatenate([one.positions, one.positions + shift], 1), cells, pbc)
    np.testing.assert_allclose(predict_with_strain(model, twice, 1)[2], 2.0 * strain, atol=1e-11)


def test_along_the_vacuum_a_slab_has_the_pull_of_its_own_forces_and_a_flat_layer_none(model):
    slab = boxes((True, True, False))
    _, forces, strain = predict_with_strain(model, slab, 1)
    normal = -np.einsum("mni,n->mi", forces[:, 0], slab.positions[0, :, 2])
    np.testing.assert_allclose(strain[:, 0, :, 2], normal, atol=1e-11)
    assert np.abs(normal[:, 2]).max() > 1e-2
    higher = replace(slab, cells=slab.cells * np.array([1.0, 1.0, 3.0])[:, None])
    np.testing.assert_allclose(predict_with_strain(model, higher, 1)[2], strain, atol=1e-12)
    flat = replace(slab, positions=slab.positions * [1.0, 1.0, 0.0])
    np.testing.assert_allclose(predict_with_strain(model, flat, 1)[2][..., 2], 0.0, atol=1e-12)
