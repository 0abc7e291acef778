"""The Chebyshev descriptor: ænet's numbers, the sums of its definition, derivatives and symmetries."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.polynomial.chebyshev import chebvander
from scipy.spatial.transform import Rotation

from aenet_gpr_cli.descriptors.chebyshev import chebyshev_work
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import (
    MANY,
    ChebyshevBasis,
    edge_gradients,
    edge_jacobians,
    features,
    jvp,
    linearise,
    values,
    vjp,
)
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_work import Room
from aenet_gpr_cli.descriptors.interface.neighbour_list import NeighbourList, neighbour_list
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.structures import StructureSet

SPECIES = ("Li", "C", "H", "O")
CELL = np.array([[4.1, 0.2, 0.0], [-1.2, 3.7, 0.3], [0.4, -0.9, 4.4]])
PERIODIC, ISOLATED = (True, True, True), (False, False, False)
AENET = Path(__file__).parents[2] / "data" / "chebyshev" / "aenet.npz"


def jacobian(basis, species_index, neighbours):
    """Dense dG_if/dR_k of each structure, (n_structures, n_atoms, n_features, n_atoms, 3)"""
    n, atoms = neighbours.n_structures, neighbours.n_atoms
    tangents = np.tile(np.eye(3 * atoms).reshape(3 * atoms, 1, atoms, 3), (1, n, 1, 1))
    change = jvp(basis, species_index, neighbours, tangents.reshape(3 * atoms, n * atoms, 3))
    # (k, c, s, i, f) -> (s, i, f, k, c)
    return change.reshape(atoms, 3, n, atoms, -1).transpose(2, 3, 4, 0, 1)


def basis(n_species: int = 4, angular_order: int | None = 4, radial_order: int = 6) -> ChebyshevBasis:
    return ChebyshevBasis(SPECIES[:n_species], 4.5, radial_order, 3.6, angular_order)


def block(
    n: int = 2, atoms: int = 6, n_species: int = 4, periodic: bool = False, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, NeighbourList]:
    """Random positions on a perturbed grid (no two atoms nearer than 0.9 Å), species, and neighbours."""
    rng = np.random.default_rng(seed)
    grid = 1.7 * np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3)
    positions = np.stack([grid[rng.permutation(27)[:atoms]] for _ in range(n)])
    positions = positions + rng.uniform(-0.23, 0.23, positions.shape)
    species = np.tile(np.arange(atoms) % n_species, n)
    cells = np.tile(1.4 * CELL, (n, 1, 1)) if periodic else None
    return positions, species, neighbour_list(positions, cells, PERIODIC if periodic else ISOLATED, 4.5)


def pair_sums(basis: ChebyshevBasis, species: np.ndarray, neighbours: NeighbourList) -> np.ndarray:
    """Radial and angular sums exactly as defined, over all pairs j < k."""
    spins, out = basis.type_spins[species], []
    fc = lambda r, cutoff: np.where(r < cutoff, 0.5 * (np.cos(np.pi * r / cutoff) + 1), 0)  # noqa: E731
    for a, b in zip(neighbours.offsets[:-1], neighbours.offsets[1:]):
        v, s = neighbours.vectors[a:b], spins[neighbours.index[a:b]]
        r = np.linalg.norm(v, axis=1)
        inside = r < basis.radial_cutoff
        t = chebvander(2 * r[inside] / basis.radial_cutoff - 1, basis.radial_order)
        radial = [
            fc(r[inside], basis.radial_cutoff) * weight @ t for weight in (np.ones(inside.sum()), s[inside])
        ]
        j, k = np.triu_indices(len(r), 1)
        cosine = np.sum(v[j] * v[k], axis=1) / (r[j] * r[k])
        t = chebvander(cosine, max(basis.n_angular, 1) - 1)[:, : basis.n_angular]
        w = fc(r, basis.angular_cutoff or 1.0)
        angular = [weight @ t for weight in (w[j] * w[k], w[j] * w[k] * s[j] * s[k])]
        halves = [np.concatenate(pair) for pair in zip(radial, angular)]
        out.append(halves[0] if len(basis.species) == 1 else np.concatenate(halves))
    return np.array(out)


@pytest.mark.parametrize(
    ("key", "species"),
    [("ec_0", ("C", "H", "O")), ("ec_1", ("C", "H", "O")), ("li_0", ("Li", "C", "H", "O"))],
)
def test_equals_aenet(key, species):
    data = np.load(AENET, allow_pickle=False)
    aenet = ChebyshevBasis(species, 6.5, 12, 4.0, 4)
    cells, pbc = (data["li_0_cell"][None], PERIODIC) if key == "li_0" else (None, ISOLATED)
    neighbours = neighbour_list(data[f"{key}_positions"][None], cells, pbc, aenet.cutoff)
    index = aenet.species_index(data[f"{key}_species"].tolist())
    # ænet's values have 17 digits and are of the order of 10.
    np.testing.assert_allclose(values(aenet, index, neighbours), data[f"{key}_values"], atol=1e-12, rtol=0)
    if f"{key}_jacobian_first_atom" in data:
        first = jacobian(aenet, index, neighbours)[0, 0]
        assert np.abs(first).max() > 1
        np.testing.assert_allclose(first, data[f"{key}_jacobian_first_atom"], atol=1e-11, rtol=0)


@pytest.mark.parametrize("n_species", [1, 2, 3, 4])
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize(("radial_order", "angular_order"), [(6, 4), (20, 8), (0, 0), (1, 1)])
def test_equals_the_pair_sums(n_species, periodic, radial_order, angular_order):
    _, species, neighbours = block(2, 9, n_species, periodic)
    chosen = basis(n_species, angular_order, radial_order)
    expected = pair_sums(chosen, species, neighbours)
    assert expected.shape[1] == chosen.n_features
    found = values(chosen, species, neighbours)
    # Rounding grows with the largest sum, A_0, which is of the order of (neighbours)².
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14 * max(np.abs(expected).max(), 10))


@pytest.mark.parametrize(
    ("n", "spins"),
    [(1, [0]), (2, [-1, 1]), (3, [-1, 0, 1]), (4, [-2, -1, 1, 2]), (5, [-2, -1, 0, 1, 2])],
)
def test_type_spins_follow_the_environment_list(n, spins):
    chosen = ChebyshevBasis(("A", "B", "C", "D", "E")[:n], 5.0, 1, 3.0, 1)
    assert chosen.type_spins.tolist() == spins


@pytest.mark.parametrize("angular_order", [None, -1])
def test_radial_only_basis_is_the_radial_part(angular_order):
    _, species, neighbours = block()
    full, radial = basis(), replace(basis(), angular_order=angular_order, angular_cutoff=None)
    columns = np.r_[0 : full.n_radial, full.n_radial + full.n_angular : full.n_features - full.n_angular]
    np.testing.assert_array_equal(
        values(radial, species, neighbours), values(full, species, neighbours)[:, columns]
    )
    cotangents = np.random.default_rng(1).normal(size=(2, len(species), full.n_features))
    without_angular = np.zeros_like(cotangents)
    without_angular[:, :, columns] = cotangents[:, :, columns]
    np.testing.assert_allclose(
        vjp(radial, species, neighbours, cotangents[:, :, columns]),
        vjp(full, species, neighbours, without_angular),
        atol=1e-13,
    )


@pytest.mark.parametrize("n_species", [1, 3])
@pytest.mark.parametrize("periodic", [False, True])
def test_jacobian_is_the_derivative_of_the_values(n_species, periodic):
    positions, species, neighbours = block(2, 5, n_species, periodic)
    chosen, h = basis(n_species), 1e-5
    found = jacobian(chosen, species, neighbours)
    assert found.shape == (2, 5, chosen.n_features, 5, 3)
    # Each function and each atom must contribute, or else the comparison would show nothing.
    assert (np.abs(found).max(axis=(0, 1, 3, 4)) > 1e-3).all()
    assert (np.abs(found).max(axis=(0, 1, 2, 4)) > 1e-3).all()
    for k in range(5):
        for c in range(3):
            step = np.zeros_like(positions)
            step[:, k, c] = h
            plus, minus = (values(chosen, species, neighbours.moved(sign * step)) for sign in (1, -1))
            numeric = ((plus - minus) / (2 * h)).reshape(2, 5, -1)
            # h² times the third derivative, about 1e3 at the highest orders
            np.testing.assert_allclose(found[..., k, c], numeric, atol=2e-7, rtol=1e-7)


@pytest.mark.parametrize("n_species", [1, 4])
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("angular_order", [None, 0, 4, 8])
def test_products_are_products_with_the_jacobian(n_species, periodic, angular_order):
    _, species, neighbours = block(2, 6, n_species, periodic)
    chosen = basis(n_species, angular_order)
    rng = np.random.default_rng(2)
    cotangents = rng.normal(size=(3, 2, 6, chosen.n_features))
    tangents = rng.normal(size=(3, 2, 6, 3))
    back = vjp(chosen, species, neighbours, cotangents.reshape(3, 12, -1))
    forward = jvp(chosen, species, neighbours, tangents.reshape(3, 12, 3))
    left = np.einsum("mac,mac->m", back, tangents.reshape(3, 12, 3))
    right = np.einsum("maf,maf->m", cotangents.reshape(3, 12, -1), forward)
    assert (np.abs(left) > 1e-2).all()
    np.testing.assert_allclose(left, right, rtol=1e-11)
    dense = np.einsum("msif,sifkc->mskc", cotangents, jacobian(chosen, species, neighbours))
    np.testing.assert_allclose(back.reshape(dense.shape), dense, atol=1e-11)


@pytest.mark.parametrize("n_species", [1, 4])
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("angular_order", [None, 4])
def test_gradients_by_edges_add_up_to_those_by_positions(n_species, periodic, angular_order):
    _, species, neighbours = block(2, 6, n_species, periodic)
    chosen = basis(n_species, angular_order)
    cotangents = np.random.default_rng(2).normal(size=(12, chosen.n_features))
    found = edge_gradients(chosen, species, neighbours, cotangents[None])[0]
    total = np.zeros((12, 3))
    np.add.at(total, neighbours.index, found)
    np.add.at(total, np.repeat(np.arange(12), np.diff(neighbours.offsets)), -found)
    expected = vjp(chosen, species, neighbours, cotangents[None])[0]
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(total, expected, atol=1e-12)


def test_strain_changes_the_descriptors_as_the_edges_say():
    _, species, neighbours = block(2, 6, periodic=True)
    cotangents = np.random.default_rng(2).normal(size=(12, basis().n_features))
    virial = edge_gradients(basis(), species, neighbours, cotangents[None])[0].T @ neighbours.vectors
    strain, h = np.random.default_rng(3).normal(size=(3, 3)), 1e-5
    sums = []
    for sign in (1, -1):
        strained = replace(neighbours, vectors=neighbours.vectors @ (np.eye(3) + sign * h * strain).T)
        sums.append(np.sum(cotangents * values(basis(), species, strained)))
    assert np.sum(virial * strain) == pytest.approx((sums[0] - sums[1]) / (2 * h), rel=1e-7)


def test_moving_all_atoms_together_changes_nothing():
    _, species, neighbours = block(periodic=True)
    cotangents = np.random.default_rng(3).normal(size=(2, 12, basis().n_features))
    gradient = vjp(basis(), species, neighbours, cotangents).reshape(2, 2, 6, 3)
    assert np.abs(gradient).max() > 1
    np.testing.assert_allclose(gradient.sum(axis=2), 0, atol=1e-12)  # Newton's third law


def test_invariant_under_rotation_translation_and_permutation():
    positions, species, neighbours = block(1, 8)
    expected = values(basis(), species, neighbours)
    turned = positions @ Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix().T + [5.0, -3.0, 2.0]
    order = np.array([4, 1, 2, 3, 0, 5, 6, 7])  # atoms 0 and 4 are of the same species
    assert species[0] == species[4]
    for other, expectation in ((turned, expected), (positions[:, order], expected[order])):
        found = values(basis(), species, neighbour_list(other, None, ISOLATED, 4.5))
        np.testing.assert_allclose(found, expectation, atol=1e-12)


def test_invariant_under_lattice_translation_and_wrapping():
    positions, species, neighbours = block(1, 6, periodic=True)
    cell = 1.4 * CELL
    shifted = positions + np.random.default_rng(4).integers(-3, 4, size=(1, 6, 3)) @ cell
    wrapped = (np.linalg.solve(cell.T, positions[0].T).T % 1.0 @ cell)[None]
    assert np.abs(wrapped - positions).max() > 1
    for other in (shifted, wrapped):
        found = values(basis(), species, neighbour_list(other, cell[None], PERIODIC, 4.5))
        np.testing.assert_allclose(found, values(basis(), species, neighbours), atol=1e-11)


def test_supercell_equals_unit_cell_smaller_than_the_cutoff():
    cell = 0.7 * CELL
    unit = np.array([[0.0, 0.0, 0.0], [1.3, 1.2, 1.5]])
    images = np.stack(np.meshgrid(*[np.arange(2)] * 3), -1).reshape(-1, 3) @ cell
    large = (images[:, None] + unit).reshape(1, 16, 3)
    small_list = neighbour_list(unit[None], cell[None], PERIODIC, 4.5)
    large_list = neighbour_list(large, 2 * cell[None], PERIODIC, 4.5)
    assert (small_list.index == np.repeat([0, 1], np.diff(small_list.offsets))).any()  # own images
    chosen, c = basis(2), np.random.default_rng(5).normal(size=(1, 2, basis(2).n_features))
    small = values(chosen, np.array([0, 1]), small_list)
    np.testing.assert_allclose(
        values(chosen, np.tile([0, 1], 8), large_list), np.tile(small, (8, 1)), atol=1e-11
    )
    gradient = vjp(chosen, np.array([0, 1]), small_list, c)
    repeated = vjp(chosen, np.tile([0, 1], 8), large_list, np.tile(c, (1, 8, 1)))
    np.testing.assert_allclose(repeated, np.tile(gradient, (1, 8, 1)), atol=1e-11)


def test_atom_without_neighbours_is_zero():
    positions = np.array([[[0.0, 0, 0], [1.1, 0, 0], [99.0, 0, 0]]])
    neighbours = neighbour_list(positions, None, ISOLATED, 4.5)
    found = values(basis(), np.array([0, 1, 2]), neighbours)
    assert (found[2] == 0).all()
    assert (found[0] != 0).any()
    assert (
        vjp(basis(), np.array([0, 1, 2]), neighbours, np.ones((1, 3, basis().n_features)))[0, 2] == 0
    ).all()


def test_smooth_at_the_cutoffs():
    chosen = basis(2)
    for cutoff in (chosen.radial_cutoff, chosen.angular_cutoff):
        x = cutoff + np.array([-1e-4, -1e-6, 0.0, 1e-6])
        positions = np.array([[[0.0, 0, 0], [0, 1.2, 0], [a, 0, 0]] for a in x])
        neighbours = neighbour_list(positions, None, ISOLATED, 9.0)  # longer than needed, on purpose
        species = np.tile([0, 0, 1], 4)
        first = values(chosen, species, neighbours).reshape(4, 3, -1)[:, 0]
        # f_c ~ (π²/4)(1 − r/R_c)² near R_c, times the neighbour's own slope along the other terms
        assert np.abs(first[1] - first[3]).max() < 1e-5
        slope = jacobian(chosen, species, neighbours)[:, 0, :, 2, 0]
        new = slice(0, 7) if cutoff == chosen.radial_cutoff else slice(7, 12)
        assert (slope[2:, new] == 0).all()
        assert 0 < np.abs(slope[1, new]).max() < 1e-4


def test_edges_beyond_the_cutoff_do_not_contribute():
    positions, species, neighbours = block(2, 8)
    long = neighbour_list(positions, None, ISOLATED, 8.0)
    assert len(long.index) > len(neighbours.index)
    np.testing.assert_allclose(
        values(basis(), species, long), values(basis(), species, neighbours), atol=1e-13
    )


def test_results_do_not_depend_on_blocks_or_threads():
    positions, species, neighbours = block(7, 6, periodic=True)
    structures = StructureSet(
        tuple(np.array(SPECIES)[species[:6]]), positions, np.tile(1.4 * CELL, (7, 1, 1)), PERIODIC
    )
    expected = features(basis(), structures, block_size=100)
    np.testing.assert_array_equal(expected, values(basis(), species, neighbours).reshape(7, 6, -1))
    for block_size, threads in ((1, 1), (3, 2), (7, 16)):
        np.testing.assert_array_equal(features(basis(), structures, block_size, threads), expected)
    rng = np.random.default_rng(6)
    cotangents, tangents = rng.normal(size=(2, 42, basis().n_features)), rng.normal(size=(2, 42, 3))
    for function, given in ((vjp, cotangents), (jvp, tangents)):
        one = function(basis(), species, neighbours, given)
        np.testing.assert_array_equal(function(basis(), species, neighbours, given, threads=3), one)


def test_inputs_are_not_changed():
    _, species, neighbours = block()
    before = neighbours.vectors.copy(), species.copy()
    values(basis(), species, neighbours)
    vjp(basis(), species, neighbours, np.ones((1, 12, basis().n_features)))
    np.testing.assert_array_equal(neighbours.vectors, before[0])
    np.testing.assert_array_equal(species, before[1])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("species", ("C", "C")),
        ("species", ()),
        ("radial_cutoff", 0.0),
        ("radial_cutoff", float("nan")),
        ("radial_order", -1),
        ("angular_cutoff", None),
        ("angular_order", -2),
    ],
)
def test_impossible_basis_is_refused_by_key(key, value):
    with pytest.raises(ConfigError, match=key):
        replace(basis(), **{key: value})


def test_unknown_species_and_wrong_length_are_refused():
    with pytest.raises(InputError, match="Xe"):
        basis().species_index(["C", "Xe"])
    _, species, neighbours = block()
    with pytest.raises(InputError, match="species_index"):
        values(basis(), species[:-1], neighbours)


@pytest.mark.parametrize("n_species", [1, 3])
def test_several_angular_cutoffs_are_the_descriptors_of_each_side_by_side(n_species):
    _, species, neighbours = block(2, 9, n_species)
    cutoffs = (4.2, 3.6, 2.4)
    several = replace(basis(n_species), angular_cutoff=cutoffs[0], inner_cutoffs=cutoffs[1:])
    rng = np.random.default_rng(3)
    tangents = rng.normal(size=(2, len(species), 3))
    cotangents = rng.normal(size=(2, len(species), several.n_features))
    pulled, edges = np.zeros((2, len(species), 3)), edge_jacobians(several, species, neighbours)
    found, pushed = values(several, species, neighbours), jvp(several, species, neighbours, tangents)
    radial = replace(several, angular_order=None, angular_cutoff=None, inner_cutoffs=())
    parts = [(radial, 0, several.n_radial)]
    for k, cutoff in enumerate(cutoffs):
        one = replace(several, angular_cutoff=cutoff, inner_cutoffs=())
        parts.append((one, several.n_radial + k * several.n_angular, several.n_angular))
    seen = 0
    for one, start, count in parts:
        halves = range(several.n_features // several.half)
        here = np.concatenate([h * several.half + start + np.arange(count) for h in halves])
        skipped = one.n_radial if one is not radial else 0
        there = np.concatenate([h * one.half + skipped + np.arange(count) for h in halves])
        for of_all, of_one in (
            (found, values(one, species, neighbours)),
            (pushed, jvp(one, species, neighbours, tangents)),
            (edges, edge_jacobians(one, species, neighbours)),
        ):
            np.testing.assert_allclose(of_all[..., here], of_one[..., there], atol=1e-11)
        alone = np.zeros((2, len(species), one.n_features))
        alone[..., there] = cotangents[..., here]
        pulled += vjp(one, species, neighbours, alone)
        seen += len(here)
    assert seen == several.n_features
    np.testing.assert_allclose(vjp(several, species, neighbours, cotangents), pulled, atol=1e-10)


@pytest.mark.parametrize("inner", [(3.6,), (4.0,), (3.0, 3.2), (0.0,)])
def test_angular_cutoffs_descend(inner):
    with pytest.raises(ConfigError, match="descending"):
        replace(basis(), inner_cutoffs=inner)


@pytest.mark.parametrize("periodic", [False, True])
def test_resolved_species_add_the_sums_over_the_neighbours_of_each(periodic):
    """A part of its own for the second and the third of four species: their neighbours as if alone."""
    _, species, neighbours = block(2, 9, 4, periodic)
    plain = basis(4)
    resolved = replace(plain, resolved=True)
    assert resolved.n_features == 4 * plain.half
    assert not resolved.is_aenet
    found = values(resolved, species, neighbours)
    np.testing.assert_array_equal(found[:, : plain.n_features], values(plain, species, neighbours))
    for part, kind in ((2, 1), (3, 2)):
        kept = species[neighbours.index] == kind
        centre = np.repeat(np.arange(len(species)), np.diff(neighbours.offsets))
        offsets = np.concatenate([[0], np.cumsum(np.bincount(centre[kept], minlength=len(species)))])
        alone = replace(
            neighbours, offsets=offsets, index=neighbours.index[kept], vectors=neighbours.vectors[kept]
        )
        own = values(replace(plain, species=("X",)), np.zeros_like(species), alone)
        np.testing.assert_allclose(found[:, part * plain.half : (part + 1) * plain.half], own, atol=1e-11)


def test_derivatives_of_a_resolved_descriptor_agree_with_each_other():
    _, species, neighbours = block(2, 6, 4, True)
    chosen, rng, h = replace(basis(4), resolved=True, inner_cutoffs=(2.9,)), np.random.default_rng(5), 1e-5
    tangents = rng.normal(size=(1, len(species), 3))
    cotangents = rng.normal(size=(1, len(species), chosen.n_features))
    pushed = jvp(chosen, species, neighbours, tangents)
    moved = tangents[0][neighbours.index] - np.repeat(tangents[0], np.diff(neighbours.offsets), axis=0)
    ahead, back = (
        values(chosen, species, replace(neighbours, vectors=neighbours.vectors + sign * h * moved))
        for sign in (1, -1)
    )
    np.testing.assert_allclose(pushed[0], (ahead - back) / (2 * h), atol=2e-6)
    pulled = vjp(chosen, species, neighbours, cotangents)
    assert (pulled * tangents).sum() == pytest.approx((cotangents * pushed).sum(), rel=1e-10)
    edges = edge_jacobians(chosen, species, neighbours)
    centre = np.repeat(np.arange(len(species)), np.diff(neighbours.offsets))
    of_edges = np.einsum("eaf,ef->ea", edges, cotangents[0][centre])
    np.testing.assert_allclose(
        of_edges, edge_gradients(chosen, species, neighbours, cotangents[:1])[0], atol=1e-10
    )
    assert (of_edges * moved).sum() == pytest.approx((cotangents * pushed).sum(), rel=1e-10)


@pytest.mark.parametrize("more", [{}, {"inner_cutoffs": (3.0, 2.5), "resolved": True}])
def test_a_basis_comes_back_from_its_attributes(more):
    chosen = replace(basis(), **more)
    stored = {
        key: np.array(value) if isinstance(value, tuple) else value for key, value in asdict(chosen).items()
    }
    assert ChebyshevBasis.from_attributes(stored) == chosen


MANY_KINDS = [
    {},
    {"inner_cutoffs": (2.9, 2.2)},
    {"resolved": True, "inner_cutoffs": (2.9,)},
    {"angular_order": None},
    {"angular_order": 0},
    {"angular_order": 1},
    {"angular_cutoff": 4.7},  # longer than the radial one
]


@pytest.mark.parametrize("more", MANY_KINDS)
def test_one_pass_gives_values_gradients_and_strain(more):
    positions, species, neighbours = block(2, 6, periodic=True)
    chosen, h = replace(basis(), **more), 1e-5
    neighbours = neighbour_list(positions, np.tile(1.4 * CELL, (2, 1, 1)), PERIODIC, chosen.cutoff + 0.4)
    cotangents = np.random.default_rng(2).normal(size=(1, 12, chosen.n_features))
    found = linearise(chosen, species, neighbours)
    np.testing.assert_array_equal(found.values, values(chosen, species, neighbours))
    gradients, strains = found.vjp(cotangents, strain=True)
    np.testing.assert_array_equal(gradients, found.vjp(cotangents)[0])
    total = lambda edges: (cotangents[0] * values(chosen, species, edges)).reshape(2, -1).sum(1)  # noqa: E731
    direction = np.random.default_rng(3).normal(size=positions.shape)
    ahead, back = (total(neighbours.moved(sign * h * direction)) for sign in (1, -1))
    along = (gradients.reshape(2, 6, 3) * direction).sum(axis=(1, 2))
    np.testing.assert_allclose(along, (ahead - back) / (2 * h), rtol=1e-6, atol=1e-6)
    strain = np.random.default_rng(4).normal(size=(3, 3))
    strain = strain + strain.T
    ahead, back = (
        total(replace(neighbours, vectors=neighbours.vectors @ (np.eye(3) + sign * h * strain)))
        for sign in (1, -1)
    )
    np.testing.assert_allclose(
        (strains[0] * strain).sum(axis=(1, 2)), (ahead - back) / (2 * h), rtol=1e-6, atol=1e-5
    )
    np.testing.assert_allclose(strains, strains.swapaxes(-1, -2), atol=0)


@pytest.mark.parametrize("more", MANY_KINDS)
def test_products_with_many_cotangents_are_those_with_each(more):
    _, species, neighbours = block(2, 6, periodic=True)
    chosen = replace(basis(), **more)
    cotangents = np.random.default_rng(2).normal(size=(MANY, 12, chosen.n_features))
    many = linearise(chosen, species, neighbours, gradients=True).vjp(cotangents, strain=True)
    for k, one in enumerate(cotangents):
        few = linearise(chosen, species, neighbours).vjp(one[None], strain=True)
        for of_many, of_few in zip(many, few):
            np.testing.assert_allclose(of_many[k], of_few[0], atol=1e-11)


def test_the_room_of_another_structure_changes_nothing():
    room, rng = Room(), np.random.default_rng(2)
    for atoms, chosen in ((9, basis()), (4, replace(basis(), resolved=True)), (12, basis()), (12, basis(2))):
        _, species, neighbours = block(2, atoms, len(chosen.species), True, atoms)
        cotangents = rng.normal(size=(1, 2 * atoms, chosen.n_features))
        for edges in (neighbours, neighbours.moved(rng.normal(0, 0.05, (2, atoms, 3)))):
            found, alone = (linearise(chosen, species, edges, room=r) for r in (room, None))
            np.testing.assert_array_equal(found.values, alone.values)
            for ours, theirs in zip(found.vjp(cotangents, strain=True), alone.vjp(cotangents, strain=True)):
                np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("size", [1, 40, 10000])
@pytest.mark.parametrize("more", [{}, {"resolved": True, "inner_cutoffs": (2.9, 2.2)}])
def test_batches_change_nothing(size, more, monkeypatch):
    """An atom alone has more edges than a batch is meant to have, or all atoms are one."""
    _, species, neighbours = block(2, 9, periodic=True)
    chosen, rng = replace(basis(), **more), np.random.default_rng(2)
    cotangents, tangents = rng.normal(size=(5, 18, chosen.n_features)), rng.normal(size=(2, 18, 3))

    def all_of_it() -> list[np.ndarray]:
        return [
            values(chosen, species, neighbours),
            *linearise(chosen, species, neighbours).vjp(cotangents, strain=True),
            vjp(chosen, species, neighbours, cotangents),
            jvp(chosen, species, neighbours, tangents),
            edge_jacobians(chosen, species, neighbours),
            edge_gradients(chosen, species, neighbours, cotangents),
        ]

    expected = all_of_it()
    monkeypatch.setattr(chebyshev_work, "BATCH", size)
    for found, of_usual in zip(all_of_it(), expected, strict=True):
        np.testing.assert_allclose(found, of_usual, rtol=0, atol=1e-13 * np.abs(of_usual).max())
