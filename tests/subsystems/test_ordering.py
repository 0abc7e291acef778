"""Atoms in another order: matched whatever the orientation, and put back bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc100, fcc111
from ase.build import molecule as ase_molecule
from ase.neighborlist import natural_cutoffs, neighbor_list
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


def as_structure(atoms: Atoms, noise: float = 0.0, seed: int = 0) -> Structure:
    positions = atoms.positions + noise * np.random.default_rng(seed).standard_normal(atoms.positions.shape)
    pbc = tuple(bool(p) for p in atoms.pbc)
    return Structure(tuple(atoms.symbols), positions, atoms.cell.array if any(pbc) else None, pbc)


def surface(size: tuple[int, int, int] = (3, 3, 3)) -> Atoms:
    return fcc111("Cu", size, vacuum=8.0, periodic=True)


def with_adsorbate(adsorbate, site: str, offset=(0, 0), turn: float = 0.0, height: float = 1.2) -> Atoms:
    slab = surface()
    if isinstance(adsorbate, Atoms):
        adsorbate = adsorbate.copy()
        adsorbate.rotate(turn, "z")
    add_adsorbate(slab, adsorbate, height, site, offset=offset)
    return slab


def lying_co2() -> Atoms:
    return Atoms("CO2", [[0.0, 0, 0], [1.18, 0, 0], [-1.18, 0, 0]])


def water_chain(owner: int) -> Atoms:
    """Three water molecules, of which one has a proton too many."""
    one = np.array([[0.0, 0, 0], [0, 0.6, 0.75], [0, -0.6, 0.75]])
    positions = [one + np.array([2.5 * k, 0, 0]) for k in range(3)]
    proton = [[2.5 * owner + (1.0 if owner < 2 else -1.0), 0, -0.2]]
    return Atoms("OHHOHHOHHH", np.concatenate([*positions, proton]))


def moved_adatom(offset) -> Atoms:
    slab = fcc100("Cu", (3, 3, 3), vacuum=8.0, periodic=True)
    add_adsorbate(slab, "Cu", 1.8, "hollow", offset=offset)
    return slab


def without_an_atom(which: int) -> Atoms:
    """A crystal with a hole at the origin, into which one of its neighbours may have hopped."""
    crystal = bulk("Cu", cubic=True) * (2, 2, 2)
    hole = crystal.positions[0].copy()
    if which:
        near = np.argsort(crystal.get_distances(0, range(32), mic=True))
        crystal.positions[near[which]] = hole
    del crystal[[0]]
    return crystal


def slid(steps: int, n_atoms: int = 27) -> Atoms:
    """The slab, or its lowest layers, moved by vectors of its lattice under an adsorbate that stays."""
    slab = with_adsorbate("O", "fcc")
    slab.positions[:n_atoms] += steps * slab.cell.array[0] / 3
    return slab


MOTIONS = {
    "another site": [with_adsorbate("O", at, n) for at in ("fcc", "hcp", "ontop") for n in ((0, 0), (1, 1))],
    "a molecule turns": [with_adsorbate(lying_co2(), "ontop", (0, 0), turn, 1.9) for turn in (0, 180, 60)],
    "a molecule goes": [with_adsorbate(ase_molecule("CO"), "ontop", n, 0, 1.9) for n in ((0, 0), (0, 1))],
    "a proton hops": [water_chain(owner) for owner in (0, 2, 1)],
    "an atom diffuses": [moved_adatom(at) for at in ((0, 0), (1, 0), (1, 2))],
    "a vacancy hops": [without_an_atom(which) for which in (0, 1, 7)],
    "the slab slides": [slid(steps) for steps in (0, 1, 2)],
    "a layer slides": [slid(steps, 9) for steps in (0, 1, 2)],
}  # fmt: skip


@pytest.mark.parametrize("noise", [0.02, 0.1])
@pytest.mark.parametrize("what", MOTIONS)
def test_atoms_that_move_are_not_renumbered(what: str, noise: float) -> None:
    reference, *others = MOTIONS[what]
    for seed in range(5):
        for other in (reference, *others):
            structure = as_structure(other, noise, seed)
            assert in_order_of(structure, as_structure(reference, noise, 99)) is structure


def test_neighbours_of_metals_come_and_go() -> None:
    """In frames of the tutorial on slabs bonds differ all the time, also by a pattern like a renumbering."""
    for seed in range(4):
        rng, frames = np.random.default_rng(seed), []
        for _ in range(40):
            slab = surface((2, 2, 3))
            add_adsorbate(slab, "O", 1.2, "fcc", offset=rng.uniform(-0.05, 0.05, 2))
            slab.rattle(0.06, rng=rng)
            frames.append(as_structure(slab))
        assert all(in_order_of(frame, frames[0]) is frame for frame in frames[1:])


SOLIDS = {
    "slab": surface((2, 2, 3)),
    "adsorbate": with_adsorbate("O", "fcc"),
    "molecule on a slab": with_adsorbate(lying_co2(), "ontop", height=1.9),
    "metal": bulk("Cu", cubic=True) * (2, 2, 2),
    "oxide": bulk("MgO", "rocksalt", a=4.21, cubic=True) * (2, 2, 2),
    "silicon": bulk("Si", cubic=True) * (2, 2, 2),
}


@pytest.mark.parametrize("drift", [0.0, 2.0])
@pytest.mark.parametrize("exchanged", ["two", "all"])
@pytest.mark.parametrize("kind", SOLIDS)
def test_renumbered_atoms_of_solids_get_their_places_back(kind: str, exchanged: str, drift: float) -> None:
    rng, reference = np.random.default_rng(3), as_structure(SOLIDS[kind], 0.03, 1)
    other = as_structure(SOLIDS[kind], 0.03, 2)
    metal = np.flatnonzero(np.array(other.species) == other.species[0])
    order = np.arange(other.n_atoms)
    far = metal[[0, -1]]  # no neighbours of each other
    if exchanged == "two":
        order[far] = far[::-1]
    elif drift == 0.0:
        order[metal] = rng.permutation(metal)
    else:  # where most atoms have kept their numbers the drift is known
        some = rng.permutation(metal)[: len(metal) // 3]
        order[some] = np.roll(some, 1)
    shift = drift * other.cell[0] / np.linalg.norm(other.cell[0])
    renumbered = replace(other, positions=other.positions[order] + shift)
    found = in_order_of(renumbered, reference)
    assert found.atom_order is not None
    np.testing.assert_array_equal(found.positions, other.positions + shift)


def test_an_adsorbate_that_goes_hides_no_renumbering() -> None:
    reference, other = (
        as_structure(with_adsorbate("O", "fcc", at), 0.05, k) for k, at in enumerate(((0, 0), (1, 1)))
    )
    order = np.arange(28)
    order[[4, 20]] = 20, 4
    found = in_order_of(replace(other, positions=other.positions[order]), reference)
    np.testing.assert_array_equal(found.positions, other.positions)


def bonded(structure: Structure) -> set[tuple[int, int]]:
    atoms = Atoms(structure.species, structure.positions)
    return set(zip(*neighbor_list("ij", atoms, natural_cutoffs(atoms, 1.2)), strict=True))


@pytest.mark.parametrize("name", ["CH3CH2OH", "CH3COOH", "C4H4O"])
def test_renumbered_molecules_are_found_in_any_orientation(name: str) -> None:
    reference, other = (as_structure(ase_molecule(name), 0.03, seed) for seed in (0, 1))
    partner = dict(bonded(reference))  # of a hydrogen atom: it has one
    hydrogens = [i for i, symbol in enumerate(other.species) if symbol == "H"]
    pairs = [(i, j) for i in hydrogens for j in hydrogens if i < j and partner[i] != partner[j]]
    assert pairs
    for seed, (i, j) in enumerate(pairs):
        order = np.arange(other.n_atoms)
        order[[i, j]] = j, i
        turn = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
        renumbered = replace(other, positions=(other.positions @ turn.T + 2.0)[order])
        assert bonded(renumbered) != bonded(reference)
        found = in_order_of(renumbered, reference)
        assert bonded(found) == bonded(reference)
        np.testing.assert_array_equal(in_file_order(found).positions, renumbered.positions)
