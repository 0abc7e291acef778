from dataclasses import replace

import numpy as np
import pytest
from ase.data import atomic_numbers
from scipy.spatial.transform import Rotation

from aenet_gpr_cli.ann.network.architecture import Architecture, initial_weights, to_layers
from aenet_gpr_cli.ann.potential.ann_model import ANNModel, join
from aenet_gpr_cli.ann.potential.extrapolation import beyond_range
from aenet_gpr_cli.ann.potential.prediction import predict, predict_with_strain
from aenet_gpr_cli.baseline.repulsion import Repulsion
from aenet_gpr_cli.calculators.committee import CommitteeEvaluator
from aenet_gpr_cli.descriptors.interface.neighbour_list import neighbour_list
from aenet_gpr_cli.errors import InputError
from tests.ann.ann_helpers import labelled, molecules


@pytest.fixture
def model(basis):
    architecture = Architecture(basis.species, basis.n_features, (5, 4), "twist")
    rng = np.random.default_rng(1)
    return ANNModel(
        basis=basis,
        hidden=(5, 4),
        activation="twist",
        weights=to_layers(architecture, 2.0 * initial_weights(architecture, 3, range(3))),
        feature_mean={s: rng.random(basis.n_features) for s in basis.species},
        feature_std={s: 0.1 + rng.random(basis.n_features) for s in basis.species},
        energy_scale=0.7,
        energy_shift=0.1,
        atomic_energies={"H": -13.6, "O": -2042.0},
    )


SPECIES = ("O", "H", "H", "O")


@pytest.fixture
def with_repulsion(model):
    """Nuclei that repel each other at all distances of the molecules of these tests."""
    n = len(model.basis.species)
    charges = np.array([float(atomic_numbers[s]) for s in model.basis.species])
    return replace(model, repulsion=Repulsion(charges, np.full((n, n), 2.5)))


def test_the_repulsion_is_added_to_energies_forces_and_stress(model, with_repulsion):
    cells = np.tile(3.2 * np.eye(3), (2, 1, 1))
    free = molecules(SPECIES, 2, 0)
    structures = labelled(SPECIES, free.positions, "p", cells, (True, True, True))
    near = neighbour_list(structures.positions, cells, structures.pbc, model.basis.cutoff)
    added = with_repulsion.repulsion(np.tile(model.basis.species_index(SPECIES), 2), near)
    plain, found = (predict_with_strain(m, structures, 8) for m in (model, with_repulsion))
    np.testing.assert_allclose((found[0] - plain[0])[0], added.energies.reshape(2, 4).sum(1), rtol=1e-9)
    slopes = added.position_gradients().reshape(2, 4, 3)
    np.testing.assert_allclose((found[1] - plain[1])[1], -slopes, atol=1e-9)
    np.testing.assert_allclose(predict(with_repulsion, structures, True, 8)[1], found[1], atol=1e-9)
    np.testing.assert_allclose((found[2] - plain[2])[0], added.strain_gradients(near), atol=1e-9)
    for k in range(2):  # and the calculators say the same
        one = CommitteeEvaluator(with_repulsion)(
            SPECIES, structures.positions[k], cells[k], structures.pbc, strain=True
        )
        np.testing.assert_allclose(one.energies, found[0][:, k], rtol=1e-12)
        np.testing.assert_allclose(one.forces, found[1][:, k].mean(0), atol=1e-9)
        np.testing.assert_allclose(one.strain_gradient, found[2][:, k].mean(0), atol=1e-9)


def test_members_of_different_baselines_are_no_committee(model, with_repulsion):
    with pytest.raises(InputError, match="expected members of the same"):
        join([model, with_repulsion])
    assert join([with_repulsion, with_repulsion]).repulsion == with_repulsion.repulsion


def test_forces_are_minus_the_gradient_of_the_energy(model):
    structures = molecules(SPECIES, 2, 0)
    forces = predict(model, structures, True, 8)[1]
    h = 1e-5  # Å; balances truncation and rounding
    for atom in range(4):
        for axis in range(3):
            shift = np.zeros((2, 4, 3))
            shift[:, atom, axis] = h
            ahead = predict(model, replace(structures, positions=structures.positions + shift), False, 8)[0]
            behind = predict(model, replace(structures, positions=structures.positions - shift), False, 8)[0]
            # energies near -4,000 eV leave about 1e-7 eV/Å of rounding in the difference
            assert forces[:, :, atom, axis] == pytest.approx(-(ahead - behind) / (2 * h), abs=1e-6)
    assert np.abs(forces).max() > 0.01


def test_forces_sum_to_zero_also_when_periodic(model):
    free = molecules(SPECIES, 2, 0)
    cells = np.tile(3.2 * np.eye(3), (2, 1, 1))
    periodic = labelled(SPECIES, free.positions, "p", cells, (True, True, True))
    for structures in (free, periodic):
        forces = predict(model, structures, True, 8)[1]
        assert np.abs(forces).max() > 0.01
        assert np.abs(forces.sum(2)).max() < 1e-10


def test_energy_is_invariant_and_forces_turn_with_the_structure(model):
    structures = molecules(SPECIES, 3, 1)
    turn = Rotation.from_euler("xyz", [0.3, 1.1, -0.7]).as_matrix()
    order = [3, 2, 1, 0]
    moved = replace(
        structures,
        species=tuple(SPECIES[i] for i in order),
        positions=(structures.positions @ turn.T + [1.0, -2.0, 0.5])[:, order],
    )
    energies, forces = predict(model, structures, True, 8)
    new_energies, new_forces = predict(model, moved, True, 8)
    assert new_energies == pytest.approx(energies, abs=1e-9)
    assert new_forces == pytest.approx((forces @ turn.T)[:, :, order], abs=1e-10)


def test_results_do_not_depend_on_the_block_size(model):
    structures = molecules(SPECIES, 5, 2)
    whole, blocks = predict(model, structures, True, 100), predict(model, structures, True, 2)
    assert whole[0] == pytest.approx(blocks[0], abs=1e-10)
    assert whole[1] == pytest.approx(blocks[1], abs=1e-11)


def test_an_isolated_atom_has_an_energy_and_no_force(model):
    lone = labelled(("O",), np.zeros((1, 1, 3)))
    energies, forces = predict(model, lone, True, 8)
    assert np.isfinite(energies).all()
    assert np.abs(forces).max() == 0.0


def test_members_can_be_taken_apart_and_joined(model):
    structures = molecules(SPECIES, 2, 3)
    whole = predict(model, structures, False, 8)[0]
    parts = [model.select([k]) for k in range(3)]
    assert predict(parts[1], structures, False, 8)[0][0] == pytest.approx(whole[1], abs=1e-10)
    assert predict(join(parts), structures, False, 8)[0] == pytest.approx(whole, abs=1e-10)
    with pytest.raises(InputError, match="same basis, shape and scales"):
        join([parts[0], replace(parts[1], energy_scale=0.8)])


def test_an_unknown_species_is_an_error(model):
    with pytest.raises(InputError, match="species"):
        predict(model, labelled(("C",), np.zeros((1, 1, 3))), False, 8)


def test_a_model_without_a_known_range_never_warns(model):
    raw = np.random.default_rng(0).normal(size=(5, model.basis.n_features)) * 1e6
    kinds = np.array([0, 1, 0, 1, 1])
    beyond = beyond_range(model.basis.species, kinds, raw, model.feature_min, model.feature_max)
    assert not beyond.any()


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False)], ids=["crystal", "slab"])
def test_the_strain_gradient_is_the_slope_of_the_energy_by_the_strain(model, pbc):
    rng = np.random.default_rng(0)
    cells = 3.6 * np.eye(3) + 0.3 * rng.random((2, 3, 3))
    structures = labelled(SPECIES, molecules(SPECIES, 2, 4).positions, "p", cells, pbc)
    energies, forces, strain = predict_with_strain(model, structures, 1)
    np.testing.assert_allclose(energies, predict(model, structures, False, 8)[0], rtol=1e-13)
    np.testing.assert_allclose(forces, predict(model, structures, True, 8)[1], atol=1e-12)
    np.testing.assert_allclose(strain, strain.swapaxes(2, 3), atol=1e-13)
    h = 1e-4
    for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        found = []
        for steps in (1, -1, 2, -2):
            e = np.zeros((3, 3))
            e[a, b] += 0.5 * steps * h
            e[b, a] += 0.5 * steps * h
            moved = replace(
                structures,
                positions=structures.positions @ (np.eye(3) + e),
                cells=structures.cells @ (np.eye(3) + e),
            )
            found.append(predict(replace_references(model), moved, False, 8)[0])
        slope = (8 * (found[0] - found[1]) - (found[2] - found[3])) / (12 * h)
        np.testing.assert_allclose(strain[:, :, a, b], slope, rtol=1e-6, atol=1e-7)


def replace_references(model):
    """The same networks without the energies of atoms, which would cost digits of differences."""
    return replace(model, atomic_energies=dict.fromkeys(model.atomic_energies, 0.0))
