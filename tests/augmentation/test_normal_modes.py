"""Normal modes: soft ones go farther, idle motions are left out."""

import numpy as np

from aenet_gpr_cli.augmentation.normal_modes import degrees_of_freedom, mode_shapes, normal_modes
from aenet_gpr_cli.structures import StructureSet

SPECIES = ("O", "H", "H", "C")
CONSTANTS = np.geomspace(0.1, 60.0, 12)
SOME_FIXED = np.array([True, True, True, False])  # neither translations nor rotations are taken out


def springs(positions):
    """Forces of unlike springs towards the origin of each component."""
    return -CONSTANTS.reshape(4, 3) * positions


def pair_springs(positions):
    """Forces of springs between all atoms, which have no rest length: any turn of it costs nothing."""
    strength = np.array([[0, 1, 2, 3], [1, 0, 40, 5], [2, 40, 0, 60], [3, 5, 60, 0]])
    return -np.einsum("ij,nijx->nix", strength, positions[:, :, None] - positions[:, None])


def structures_at(positions):
    return StructureSet(species=SPECIES, positions=positions, names=tuple(map(str, range(len(positions)))))


def test_soft_modes_go_farther():
    molecules = structures_at(np.random.default_rng(1).normal(size=(3, 4, 3)))
    expected = (1 + CONSTANTS[:9] / np.median(CONSTANTS[:9])) ** -0.5
    shape = mode_shapes(molecules, SOME_FIXED, springs, 1.0)[0]
    np.testing.assert_allclose(np.diag(shape)[:9], expected, rtol=1e-6)
    assert np.abs(shape[9:]).max() == 0.0
    np.testing.assert_allclose(
        mode_shapes(molecules, SOME_FIXED, springs, 0.0)[0][:9, :9], np.eye(9), atol=1e-12
    )


def test_without_softness_all_but_idle_motions_are_alike():
    molecules = structures_at(np.random.default_rng(1).normal(size=(2, 4, 3)))
    for shape, positions in zip(
        mode_shapes(molecules, np.ones(4, bool), pair_springs, 0.0), molecules.positions, strict=True
    ):
        np.testing.assert_allclose(shape @ shape, shape, atol=1e-12)  # a projector
        assert np.linalg.matrix_rank(shape) == 6  # 12 less 3 translations and 3 rotations
        for axis in np.eye(3):
            assert np.abs(shape @ np.tile(axis, 4)).max() < 1e-12
            assert np.abs(shape @ np.cross(axis, positions - positions.mean(axis=0)).ravel()).max() < 1e-12


def test_modes_are_those_of_the_springs():
    positions = np.random.default_rng(2).normal(size=(4, 3))
    stiffness, modes = normal_modes(positions, SOME_FIXED, springs, False)
    np.testing.assert_allclose(stiffness, 1 + CONSTANTS[:9] / np.median(CONSTANTS[:9]), rtol=1e-6)
    np.testing.assert_allclose(np.abs(modes[:9]), np.eye(9), atol=1e-4)


def test_idle_motions_are_no_degrees_of_freedom():
    free = np.ones(4, bool)
    molecule = structures_at(np.random.default_rng(6).normal(size=(1, 4, 3)))
    rod = structures_at(np.arange(4.0)[None, :, None] * np.array([0.6, 0.0, 0.8]))
    h2 = StructureSet(("H", "H"), np.array([[[0, 0, 0], [0.7, 0, 0]]]), names=("h2",))
    assert degrees_of_freedom(molecule, free) == 6
    assert degrees_of_freedom(rod, free) == 7
    assert degrees_of_freedom(h2, np.ones(2, bool)) == 1
    assert degrees_of_freedom(molecule, SOME_FIXED) == 9
