"""Unwrapping and duplicates."""

from __future__ import annotations

import time

import numpy as np
import pytest

from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.subsystems.geometry import duplicates, unwrap

CELLS = {
    "orthogonal": np.diag([6.0, 7.0, 8.0]),
    "skewed": np.array([[6.0, 0.0, 0.0], [2.9, 6.0, 0.0], [-2.5, 2.0, 7.0]]),
}


def periodic(
    cell: np.ndarray, n: int = 8, atoms: int = 5, jitter: float = 0.3, pbc=(True, True, True)
) -> StructureSet:
    rng = np.random.default_rng(1)
    reference = rng.random((atoms, 3)) @ cell
    return StructureSet(
        species=("H",) * atoms,
        positions=reference + jitter * rng.uniform(-1, 1, (n, atoms, 3)),
        cells=np.repeat(cell[None], n, axis=0),
        pbc=pbc,
        energies=rng.random(n),
        forces=rng.random((n, atoms, 3)),
        names=tuple(f"s{i}" for i in range(n)),
    )


def molecules(n: int = 10, atoms: int = 6, seed: int = 0) -> StructureSet:
    rng = np.random.default_rng(seed)
    return StructureSet(("C",) * atoms, 3.0 * rng.random((n, atoms, 3)), names=tuple(map(str, range(n))))


def with_positions(structures: StructureSet, positions: np.ndarray) -> StructureSet:
    names = tuple(map(str, range(len(positions))))
    return StructureSet(structures.species, positions, names=names)


@pytest.mark.parametrize("kind", list(CELLS))
def test_unwrapping_undoes_wrapping(kind: str) -> None:
    cell = CELLS[kind]
    smooth = periodic(cell)
    rng = np.random.default_rng(2)
    shifts = rng.integers(-2, 3, (len(smooth), smooth.n_atoms, 3))
    shifts[0] = 0  # the first structure is the reference
    wrapped = StructureSet(
        smooth.species, smooth.positions + shifts @ cell, smooth.cells, smooth.pbc, smooth.energies,
        smooth.forces, smooth.names,
    )  # fmt: skip
    found = unwrap(wrapped)
    # Adding and subtracting a lattice vector costs one rounding each.
    np.testing.assert_allclose(found.structures.positions, smooth.positions, rtol=0, atol=1e-13)
    assert found.n_atoms_shifted == np.any(shifts != 0, axis=2).sum()
    assert found.shifted == tuple(n for n, s in zip(smooth.names, shifts, strict=True) if s.any())
    assert found.jumping == ()
    assert found.structures.energies is wrapped.energies
    assert found.structures.forces is wrapped.forces


def test_atoms_at_home_keep_every_bit() -> None:
    structures = periodic(CELLS["skewed"])
    found = unwrap(structures)
    assert found.n_atoms_shifted == 0
    assert found.structures.positions.tobytes() == structures.positions.tobytes()


def test_only_periodic_directions_are_shifted() -> None:
    structures = periodic(CELLS["orthogonal"], pbc=(True, True, False))
    moved = structures.positions.copy()
    moved[1] += [6.0, 0.0, 8.0]
    found = unwrap(
        StructureSet(structures.species, moved, structures.cells, structures.pbc)
    ).structures.positions
    np.testing.assert_allclose(found[1], structures.positions[1] + [0, 0, 8.0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", list(CELLS))
def test_no_image_is_nearer_than_the_chosen_one(kind: str) -> None:
    structures = periodic(CELLS[kind], n=40, jitter=20.0)
    found = unwrap(structures)
    displacement = found.structures.positions - structures.positions[0]
    images = np.array(np.meshgrid(*[range(-2, 3)] * 3)).reshape(3, -1).T @ CELLS[kind]
    nearest = np.linalg.norm(displacement[:, :, None] + images, axis=3).min(axis=2)
    np.testing.assert_allclose(np.linalg.norm(displacement, axis=2), nearest, rtol=0, atol=1e-9)
    assert len(found.jumping) > 20  # atoms that moved anywhere are named


def test_isolated_structures_are_left_alone() -> None:
    structures = molecules()
    assert unwrap(structures).structures is structures


def test_duplicates_are_found_in_any_position_and_orientation() -> None:
    base = molecules()
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    copies = np.concatenate(
        [base.positions, base.positions[[4]] @ rotation + 5.0, base.positions[[7]] + 1e-4]
    )
    copies[-1, 0] += 5e-5
    found = duplicates(with_positions(base, copies), 1e-6)
    assert [pair[:2] for pair in found] == [(4, 10)]
    assert found[0][2] < 1e-12
    near = duplicates(with_positions(base, copies), 1e-3)
    assert [pair[:2] for pair in near] == [(4, 10), (7, 11)]
    assert 1e-6 < near[1][2] < 1e-4


def test_duplicates_see_through_the_boundary() -> None:
    structures = periodic(CELLS["orthogonal"], n=4)
    positions = structures.positions.copy()
    positions[3] = positions[1]
    positions[3, 2] += CELLS["orthogonal"][1]
    found = duplicates(StructureSet(structures.species, positions, structures.cells, structures.pbc), 1e-6)
    assert [pair[:2] for pair in found] == [(1, 3)]


def test_duplicates_agree_with_a_comparison_of_all_pairs() -> None:
    rng = np.random.default_rng(5)
    line = np.zeros((60, 2, 3))
    line[:, 1, 0] = np.round(rng.uniform(1, 2, 60), 2)
    structures = StructureSet(("H", "H"), line)
    found = duplicates(structures, 1e-9)
    assert len(found) == 60 - len(np.unique(line[:, 1, 0]))
    for one, other, _ in found:
        assert one < other
        assert line[one, 1, 0] == line[other, 1, 0]


def test_many_copies_cost_no_more_than_one() -> None:
    structures = molecules(1, 20)
    start = time.perf_counter()
    found = duplicates(with_positions(structures, np.repeat(structures.positions, 3000, axis=0)), 1e-6)
    assert len(found) == 2999
    assert time.perf_counter() - start < 10.0  # all pairs would be 4.5 million comparisons of 190 distances


@pytest.mark.parametrize("n", [0, 1])
def test_one_structure_has_no_duplicate(n: int) -> None:
    assert duplicates(with_positions(molecules(), np.zeros((n, 6, 3))), 1e-6) == []


def test_an_isolated_atom_is_legal() -> None:
    alone = StructureSet(("H",), np.zeros((3, 1, 3)))
    assert unwrap(alone).n_atoms_shifted == 0


def test_strained_cells_are_no_duplicates_but_turned_ones_are() -> None:
    """One atom has no distances: the cell tells structures apart."""
    cells = np.array([np.diag(d) for d in ((3.0, 3.0, 3.1), (3.0, 3.1, 3.0), (3.0, 3.0, 3.2))])
    atoms = StructureSet(("Cu",), np.zeros((3, 1, 3)), cells, (True, True, True), names=("a", "b", "c"))
    assert [pair[:2] for pair in duplicates(atoms, 1e-6)] == [(0, 1)]
