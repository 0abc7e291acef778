"""Atoms in another order: matched whatever the orientation, and put back bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from aenet_gpr_cli.structures import Structure, StructureSet
from aenet_gpr_cli.subsystems.grouping import group
from aenet_gpr_cli.subsystems.ordering import in_file_order, in_order_of

# a chiral molecule with several atoms of each species: CHFCl-CH2-OH without symmetry, roughly
SPECIES = ("C", "C", "F", "Cl", "H", "H", "H", "O", "H")
POSITIONS = np.array(
    [
        [0.0, 0.0, 0.0], [1.52, 0.1, 0.0], [-0.6, 1.2, 0.1], [-0.7, -1.1, 1.2], [-0.3, -0.5, -0.95],
        [1.9, 0.65, 0.9], [1.9, 0.6, -0.9], [2.0, -1.25, 0.05], [2.97, -1.2, 0.3],
    ]
)  # fmt: skip


def molecule(rng: np.random.Generator, name: str = "reference", noise: float = 0.0) -> Structure:
    moved = POSITIONS + noise * rng.standard_normal(POSITIONS.shape)
    return Structure(SPECIES, moved, energy=1.0, forces=rng.standard_normal(POSITIONS.shape), name=name)


def shuffled(structure: Structure, rng: np.random.Generator) -> tuple[Structure, np.ndarray]:
    order = rng.permutation(structure.n_atoms)
    assert structure.forces is not None
    return replace(
        structure,
        species=tuple(structure.species[i] for i in order),
        positions=structure.positions[order],
        forces=structure.forces[order],
    ), order


@pytest.mark.parametrize("seed", range(20))
def test_atoms_find_their_places_in_any_orientation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = molecule(rng, "moved", noise=0.04)
    turned = replace(whole, positions=whole.positions @ Rotation.random(rng=rng).as_matrix().T + 3.0)
    other, order = shuffled(turned, rng)
    found = in_order_of(other, molecule(rng))
    assert found.species == SPECIES
    np.testing.assert_array_equal(found.positions, turned.positions)
    np.testing.assert_array_equal(found.forces, turned.forces)
    assert found.atom_order == tuple(np.argsort(order))
    assert other.species != SPECIES  # something was to be done


def test_the_way_back_is_exact() -> None:
    rng = np.random.default_rng(1)
    other, _ = shuffled(molecule(rng), rng)
    back = in_file_order(in_order_of(other, molecule(rng)))
    assert back.species == other.species
    assert back.atom_order is None
    np.testing.assert_array_equal(back.positions, other.positions)
    np.testing.assert_array_equal(back.forces, other.forces)


def test_an_order_put_into_a_third_one_still_leads_back() -> None:
    rng = np.random.default_rng(2)
    other, _ = shuffled(molecule(rng), rng)
    third, _ = shuffled(molecule(rng), rng)
    back = in_file_order(in_order_of(in_order_of(other, molecule(rng)), third))
    np.testing.assert_array_equal(back.positions, other.positions)


def test_atoms_are_matched_across_the_boundary_of_a_cell() -> None:
    rng = np.random.default_rng(3)
    cell, pbc = np.diag([9.0, 8.0, 30.0]), (True, True, False)
    whole = replace(molecule(rng, noise=0.03), cell=cell, pbc=pbc)
    wrapped = whole.positions - np.floor(whole.positions[:, :2] / [9.0, 8.0]) @ cell[:2]
    other, _ = shuffled(replace(whole, positions=wrapped), rng)
    found = in_order_of(other, replace(molecule(rng), cell=cell, pbc=pbc))
    np.testing.assert_array_equal(found.positions, wrapped)


def test_the_same_species_in_the_same_order_are_left_alone() -> None:
    rng = np.random.default_rng(4)
    one, other = molecule(rng, "a"), molecule(rng, "b", noise=1.0)
    assert in_order_of(other, one) is other


def test_a_group_has_one_order_and_remembers_the_others() -> None:
    rng = np.random.default_rng(5)
    originals = [molecule(rng, "a"), *(shuffled(molecule(rng, f"b{i}", 0.03), rng)[0] for i in range(3))]
    (members,) = group(originals).values()
    together = StructureSet.from_structures(members)
    assert together.atom_orders is not None
    assert (together.atom_orders[0] == np.arange(9)).all()
    for i, original in enumerate(originals):
        back = in_file_order(together.select([i]).structure(0))
        assert back.species == original.species
        np.testing.assert_array_equal(back.positions, original.positions)


def test_a_template_gives_the_order() -> None:
    rng = np.random.default_rng(6)
    other, _ = shuffled(molecule(rng, "a"), rng)
    (members,) = group([other], templates=[molecule(rng)]).values()
    assert members[0].species == SPECIES
    elsewhere = replace(molecule(rng), pbc=(True, True, True), cell=10 * np.eye(3))
    (members,) = group([other], templates=[elsewhere]).values()
    assert members[0].species == other.species


def ethylene(rng) -> Structure:
    base = np.array(
        [
            [0.0, 0, 0.66],
            [0, 0, -0.66],
            [0, 0.92, 1.23],
            [0, -0.92, 1.23],
            [0, 0.92, -1.23],
            [0, -0.92, -1.23],
        ]
    )
    return Structure(("C", "C", "H", "H", "H", "H"), base + 0.03 * rng.standard_normal(base.shape))


def test_equal_elements_in_another_order_are_matched_by_bonds():
    rng = np.random.default_rng(0)
    reference, other = ethylene(rng), ethylene(rng)
    order = [0, 1, 4, 3, 2, 5]
    renumbered = replace(other, positions=other.positions[order])
    found = in_order_of(renumbered, reference)
    assert found.atom_order is not None
    assert {found.atom_order[2], found.atom_order[3]} == {3, 4}  # the hydrogens of the first carbon
    np.testing.assert_array_equal(in_file_order(found).positions, renumbered.positions)


def test_a_structure_with_the_same_bonds_keeps_its_order():
    rng = np.random.default_rng(1)
    reference = ethylene(rng)
    other = ethylene(rng)
    turned = replace(other, positions=other.positions[[0, 1, 3, 2, 4, 5]])  # as a rotation would
    for structure in (other, turned):
        assert in_order_of(structure, reference) is structure
    stretched = other.positions.copy()
    stretched[2] += [0.0, 1.5, 1.0]  # a bond that breaks is no renumbering
    broken = replace(other, positions=stretched)
    assert in_order_of(broken, reference) is broken
