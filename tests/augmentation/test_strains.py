"""Strained copies: how strains are drawn, what they do to atoms and cells, labels to first order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.augmentation.adaptive import adaptive_strains
from aenet_gpr_cli.augmentation.copy_labels import label_with_taylor, taylor_energies
from aenet_gpr_cli.augmentation.displacements import Adaptive, Placement, displace
from aenet_gpr_cli.augmentation.strains import displacements_of, random_strains, strain_of, strained
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import StructureSet


def crystals(n: int = 3, pbc=(True, True, True)) -> StructureSet:
    """Different skew cells with three atoms."""
    rng = np.random.default_rng(4)
    cells = 4.0 * np.eye(3) + 0.5 * rng.normal(size=(n, 3, 3))
    names = tuple(f"s{k}" for k in range(n))
    return StructureSet(("Li", "O", "O"), rng.normal(size=(n, 3, 3)), cells, pbc, names=names)


def copies_of(structures, strain=0.02, n=4, seed=3):
    positions, parents, copies = displace(structures, Placement(displacement=0.03), n, seed)
    strains = random_strains(structures, n, seed, strain=strain).reshape(-1, 3, 3)
    return *strained(structures, positions, parents, strains), parents, copies, strains, positions


def test_all_six_components_are_normal_with_the_standard_deviation_asked_for():
    strains = random_strains(crystals(2), 4000, 1, strain=0.01)
    np.testing.assert_array_equal(strains, strains.swapaxes(-1, -2))
    six = strains.reshape(-1, 9)[:, [0, 4, 8, 5, 2, 1]]
    np.testing.assert_allclose(np.cov(six.T), 1e-4 * np.eye(6), atol=6e-6)
    np.testing.assert_allclose(six.mean(axis=0), 0.0, atol=5e-4)


def test_strains_depend_on_seed_name_and_number_only():
    structures = crystals()
    whole = random_strains(structures, 6, 1)
    np.testing.assert_array_equal(random_strains(structures, 2, 1, first_copy=3), whole[:, 3:5])
    np.testing.assert_array_equal(random_strains(structures.select([2, 0]), 6, 1), whole[[2, 0]])
    assert np.abs(random_strains(structures, 6, 2) - whole).min() > 0.0


def test_slabs_are_strained_in_their_plane_and_wires_and_molecules_not_at_all():
    slab = crystals(pbc=(True, False, True))
    strains = random_strains(slab, 5, 1)
    normal = np.cross(slab.cells[:, 0], slab.cells[:, 2])
    np.testing.assert_allclose(strains @ normal[:, None, :, None], 0.0, atol=1e-12)
    assert np.abs(strains).max() > 0.5
    for pbc in ((True, False, False), (False, False, False)):
        assert not random_strains(crystals(pbc=pbc), 5, 1).any()


def test_cell_and_atoms_are_strained_alike_and_the_displacement_comes_on_top():
    structures = crystals()
    positions, cells, parents, _, strains, unstrained = copies_of(structures)
    np.testing.assert_allclose(strain_of(structures, parents, cells), strains, atol=1e-14)
    off = displacements_of(structures, parents, positions, cells)
    np.testing.assert_allclose(off, unstrained - structures.positions[parents], atol=1e-13)
    still = strained(structures, structures.positions[parents], parents, strains)[0]
    fractional = np.linalg.solve(cells.swapaxes(1, 2), still.swapaxes(1, 2))
    own = np.linalg.solve(structures.cells.swapaxes(1, 2), structures.positions.swapaxes(1, 2))
    np.testing.assert_allclose(fractional, own[parents], atol=1e-12)


def harmonic(structures: StructureSet) -> np.ndarray:
    """A sum over pairs of atoms and images within the cell: any smooth function of cell and positions."""
    energies = np.zeros(len(structures))
    for shift in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)):
        arms = structures.positions[:, None] - structures.positions[:, :, None]
        arms = arms + (np.array(shift) @ structures.cells)[:, None, None]
        energies += np.exp(-0.1 * (arms**2).sum(axis=-1)).sum(axis=(1, 2))
    return energies


def labelled(structures: StructureSet) -> StructureSet:
    """With forces and stress by finite differences."""
    h, forces, stress = 1e-5, np.zeros_like(structures.positions), np.zeros((len(structures), 3, 3))
    for atom in range(3):
        for axis in range(3):
            step = np.zeros_like(structures.positions)
            step[:, atom, axis] = h
            up, down = (harmonic(structures.moved_to(structures.positions + s * step)) for s in (1, -1))
            forces[:, atom, axis] = -(up - down) / (2 * h)
    for a in range(3):
        for b in range(3):
            strain = np.zeros((3, 3))
            strain[a, b] = strain[b, a] = h if a == b else h / 2
            turned = [
                structures.moved_to(
                    structures.positions @ (np.eye(3) + s * strain),
                    structures.cells @ (np.eye(3) + s * strain),
                )
                for s in (1, -1)
            ]
            stress[:, a, b] = (harmonic(turned[0]) - harmonic(turned[1])) / (2 * h)
    stress /= np.abs(np.linalg.det(structures.cells))[:, None, None]
    return replace(structures, energies=harmonic(structures), forces=forces, stress=stress)


def test_the_error_of_taylor_labels_falls_with_the_square_of_displacement_and_strain():
    structures, errors = labelled(crystals()), []
    for size in (1.0, 0.5):
        positions, parents, copies = displace(structures, Placement(displacement=0.02 * size), 30, 1)
        strains = random_strains(structures, 30, 1, strain=0.004 * size).reshape(-1, 3, 3)
        positions, cells = strained(structures, positions, parents, strains)
        made = label_with_taylor(structures, positions, parents, copies, cells)
        np.testing.assert_array_equal(made.structures.cells, cells)
        errors.append(np.abs(harmonic(made.structures) - made.structures.energies).mean())
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.05)


def test_taylor_labels_of_strained_copies_need_every_stress():
    structures = labelled(crystals())
    stress = structures.stress.copy()
    stress[1, 0, 0] = np.nan
    positions, cells, parents, *_ = copies_of(structures)
    with pytest.raises(InputError, match=r"stress of all structures, 1 of 3 have none.*strain: 0"):
        taylor_energies(replace(structures, stress=stress), positions, parents, cells)
    with pytest.raises(InputError, match=r"3 of 3 have none"):
        taylor_energies(replace(structures, stress=None), positions, parents, cells)


def test_adaptive_strains_go_as_far_as_sigma_allows_in_opposite_pairs():
    structures, softness = crystals(), np.array([1.0, 2.0, 100.0])

    def sigma(some: StructureSet, around: StructureSet) -> np.ndarray:
        which = [int(name[1:]) for name in some.names]
        strains = strain_of(structures, np.array(which), some.cells)
        return np.sqrt((strains**2).mean(axis=(1, 2))) / softness[which]

    limits = Adaptive(smallest_strain=1e-4, largest_strain=0.05)
    found = adaptive_strains(structures, 4, 1, sigma, 0.01, limits)
    size = np.sqrt((found**2).mean(axis=(2, 3)))
    np.testing.assert_allclose(size[:, 2:], np.array([0.01, 0.02, 0.05])[:, None].repeat(2, 1), rtol=0.06)
    np.testing.assert_allclose(size[0, :2], size[0, 2:] * 0.5 ** (1 / 6))
    np.testing.assert_array_equal(found[:, 0], -found[:, 1])
    part = adaptive_strains(structures, 2, 1, sigma, 0.01, limits, first_copy=2, n_all=4)
    np.testing.assert_array_equal(part, found[:, 2:])
    assert not adaptive_strains(crystals(pbc=(False,) * 3), 4, 1, sigma, 0.01, limits).any()
