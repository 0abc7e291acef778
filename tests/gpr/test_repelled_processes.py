"""The repulsion of nuclei in what both kinds of process predict: a wall where no data are, nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.baseline import shortest_distances
from aenet_gpr_cli.baseline.repulsion import MARGIN, Repulsion, repulsion_of
from aenet_gpr_cli.descriptors.build import SoapSettings
from aenet_gpr_cli.descriptors.descriptor_settings import CartesianSettings, InverseDistanceSettings
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from aenet_gpr_cli.gpr.local.local_fit import fit_local
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.surrogate import Geometry, Surrogate
from aenet_gpr_cli.structures import StructureSet
from tests.gpr.local.test_local_process import SMALL, alloy, quiet
from tests.gpr.small_molecule import cholesky, make_set

CELL = np.diag([5.0, 6.0, 7.0])
SWAP = np.array([[0, 1, 2, 3], [0, 2, 1, 3]])  # the hydrogen atoms
KINDS = ("molecule", "permutations", "cell", "soap in a cell", "local")


def periodic(structures):
    cells = np.tile(CELL, (len(structures), 1, 1))
    return replace(structures, cells=cells, pbc=(True, True, True))


def full(structures, settings, permutations=None):
    geometry = replace(Geometry.of(structures, settings), permutations=permutations)
    kernel = make_kernel("squared_exponential", 1.0)
    return Surrogate(
        fit(structures, geometry.make_descriptor(), kernel, 1e-3, 1e-3, cholesky, geometry.n_centres),
        geometry,
    )


@pytest.fixture(scope="module", params=KINDS)
def case(request):
    """A process without repulsion, and the sets that it was fitted to."""
    molecules = make_set(8, 0)
    if request.param == "local":
        sets = alloy(8, seed=0)
        return fit_local(sets, SMALL, 0, quiet)[0], sets
    structures = molecules if request.param in ("molecule", "permutations") else periodic(molecules)
    settings = {
        "molecule": CartesianSettings(),
        "soap in a cell": SoapSettings(cutoff=4.0, n_max=3, l_max=2, sigma=0.6),
    }.get(request.param, InverseDistanceSettings(1.0))
    return full(structures, settings, SWAP if request.param == "permutations" else None), [structures]


@pytest.fixture
def walled(case):
    """The same with repulsion, its sets, and a structure with two atoms closer than any of these."""
    plain, sets = case
    species = sorted({symbol for s in sets for symbol in s.species})
    known = repulsion_of(species, sets)
    one = sets[0].select([0])
    pair = one.positions[0, 1] - one.positions[0, 0]
    inside = 0.75 * known.outer[species.index(one.species[0]), species.index(one.species[1])]
    close = one.moved_to(one.positions.copy())
    close.positions[0, 1] = close.positions[0, 0] + inside * pair / np.linalg.norm(pair)
    return replace(plain, repulsion=known), close


def test_nothing_changes_where_the_data_are(case, walled):
    plain, sets = case
    for structures in sets:
        for ours, theirs in zip(
            walled[0].energies_and_forces(structures), plain.energies_and_forces(structures), strict=True
        ):
            assert np.array_equal(ours, theirs)
        assert np.array_equal(walled[0].energies(structures), plain.energies(structures))


def test_close_atoms_have_the_energy_of_both_by_every_way(case, walled):
    process, close = walled
    added = process.repulsion.between(close)
    assert added.energies[0] > 1.0
    np.testing.assert_allclose(process.energies(close) - case[0].energies(close), added.energies, rtol=1e-6)
    energies, forces = process.energies_and_forces(close)
    mean = case[0].energies_and_forces(close)
    np.testing.assert_allclose(energies - mean[0], added.energies, rtol=1e-6)
    np.testing.assert_allclose(forces - mean[1], added.forces, atol=1e-6)
    away = close.positions[0, 1] - close.positions[0, 0]
    assert added.forces[0, 1] @ away > 1.0  # pushed apart
    assert added.forces[0, 0] @ away < -1.0


def test_forces_inside_the_wall_are_minus_the_slope_of_the_energy(walled):
    process, close = walled
    _, forces = process.energies_and_forces(close)
    for atom, axis in np.ndindex(2, 3):
        step = np.zeros_like(close.positions)
        step[0, atom, axis] = 1e-4
        up, down = (process.energies(close.moved_to(close.positions + k * step))[0] for k in (1, -1))
        assert forces[0, atom, axis] == pytest.approx((down - up) / 2e-4, rel=1e-5, abs=1e-4)


def test_the_last_tenth_of_the_way_to_the_data_is_free():
    structures = make_set(8, 0)
    process = full(structures, InverseDistanceSettings(1.0))
    walled = replace(process, repulsion=repulsion_of(("C", "H", "O"), [structures]))
    distances = np.linalg.norm(structures.positions[:, 1] - structures.positions[:, 0], axis=1)
    i, shortest = (
        int(np.argmin(distances)),
        float(np.linalg.norm(structures.positions[:, [1, 2]] - structures.positions[:, :1], axis=2).min()),
    )
    outer = walled.repulsion.outer[1, 2]
    assert outer == pytest.approx(MARGIN * shortest)
    one = structures.select([i])
    for r, free in ((1.001 * outer, True), (0.95 * outer, False)):
        near = one.moved_to(one.positions.copy())
        near.positions[0, 1] = (
            near.positions[0, 0] + r * (one.positions[0, 1] - one.positions[0, 0]) / distances[i]
        )
        assert (walled.energies(near)[0] == process.energies(near)[0]) == free


def test_pairs_are_seen_across_the_boundary_of_the_cell():
    known = Repulsion(np.array([1.0, 8.0]), np.full((2, 2), 1.5))
    positions = np.array([[[0.1, 1.0, 1.0], [4.4, 1.0, 1.0]]])
    inside = StructureSet(("O", "H"), positions, CELL[None], (True, True, True))
    free = replace(inside, pbc=(False, True, True))
    added = known.between(inside)
    assert added.energies[0] > 1.0
    assert not known.between(free).energies.any()
    assert added.forces[0, 0, 0] > 1.0  # away from the image on its left
    np.testing.assert_allclose(added.forces.sum(axis=1), 0.0, atol=1e-12)


def test_blocks_of_structures_do_not_matter(monkeypatch):
    structures = periodic(make_set(7, 0))
    known = Repulsion(np.array([1.0, 6.0, 8.0]), np.full((3, 3), 1.6))
    whole = known.between(structures)
    monkeypatch.setattr(shortest_distances, "ATOMS_AT_A_TIME", 9)
    pieces = known.between(structures)
    for name in ("energies", "forces", "strain_gradients"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name), rtol=1e-12, atol=1e-14)
    assert np.ptp(whole.energies) > 0.1
    found = repulsion_of(("C", "H", "O"), [structures])
    monkeypatch.undo()
    assert found == repulsion_of(("C", "H", "O"), [structures])


def test_an_element_that_it_does_not_know_is_named():
    known = Repulsion(np.array([1.0]), np.ones((1, 1)))
    with pytest.raises(InputError, match="expected H, got C, O"):
        known.between(make_set(1, 0))
