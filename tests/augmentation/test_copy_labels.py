"""Labels of copies: of a surrogate, block by block with its σ; of Taylor, exact on a linear surface."""

# mypy: disable-error-code="call-arg"
# (a star before the last arguments is counted as all of them)

from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.augmentation.copy_labels import (
    BLOCK,
    label_with_gp,
    label_with_taylor,
    missed_by,
    taylor_energies,
)
from aenet_gpr_cli.augmentation.displacements import Placement, displace
from aenet_gpr_cli.augmentation.strains import strained
from aenet_gpr_cli.errors import InputError, NumericalError
from aenet_gpr_cli.structures import StructureSet


@pytest.fixture
def copies():
    structures = StructureSet(
        species=("O", "H"), positions=np.random.default_rng(0).normal(size=(3, 2, 3)), names=("a", "b", "c")
    )
    return structures, *displace(structures, Placement(displacement=0.1), 7, seed=1)


def energy(structures):
    positions = structures.positions
    return np.einsum("cax,cax->c", positions, positions)


def moved_by(structures, around):
    return np.linalg.norm(structures.positions - around.positions, axis=(1, 2))


def reach(structures):
    positions = structures.positions
    return np.abs(positions).max(axis=(1, 2))


def test_labels_are_those_of_the_model_for_any_block_size(copies):
    structures, positions, parents, numbers = copies
    for block_size in (1, 4, 21, 1000):
        augmented = label_with_gp(
            structures, positions, parents, numbers, energy, moved_by, block_size, domain=reach
        )
        assert np.array_equal(augmented.structures.energies, energy(augmented.structures))
        assert np.array_equal(augmented.sigma, moved_by(augmented.structures, structures.select(parents)))
        assert np.array_equal(augmented.domain_distance, reach(augmented.structures))
        assert augmented.label == "gpr"


def test_no_block_is_larger_than_asked_and_progress_reaches_the_end(copies):
    structures, positions, parents, numbers = copies
    sizes, reports = [], []

    def counting(block):
        sizes.append(len(block))
        return energy(block)

    label_with_gp(
        structures, positions, parents, numbers, counting, None, 8, lambda *report: reports.append(report)
    )
    assert sizes == [8, 8, 5]
    assert [report[:2] for report in reports] == [(8, 21), (16, 21), (21, 21)]


def test_sigma_is_not_asked_for_unless_wanted(copies):
    augmented = label_with_gp(*copies, energy, None)
    assert augmented.sigma is None


@pytest.mark.parametrize("which", ["energies", "standard deviations"])
def test_labels_that_are_not_finite_are_an_error(copies, which):
    def broken(structures, around=None):
        positions = structures.positions
        return np.where(np.arange(len(positions)) == 2, np.nan, 1.0)

    functions = (broken, moved_by) if which == "energies" else (energy, broken)
    with pytest.raises(NumericalError, match=f"1 of 21 predicted {which}"):
        label_with_gp(*copies, *functions)


def on_surface(energy, gradient, n: int = 4) -> StructureSet:
    positions = np.random.default_rng(0).normal(size=(n, 3, 3))
    return StructureSet(
        species=("C", "O", "O"),
        positions=positions,
        energies=np.array([energy(r) for r in positions]),
        forces=-np.array([gradient(r) for r in positions]),
        names=tuple(f"s{i}" for i in range(n)),
    )


SLOPE = np.random.default_rng(1).normal(size=(3, 3))
ROOT = np.random.default_rng(2).normal(size=(9, 9))
HESSIAN = ROOT @ ROOT.T


def linear() -> StructureSet:
    return on_surface(lambda r: 5.0 + np.sum(SLOPE * r), lambda r: SLOPE)


def quadratic_energy(r):
    return 0.5 * r.ravel() @ HESSIAN @ r.ravel()


def quadratic() -> StructureSet:
    return on_surface(quadratic_energy, lambda r: (HESSIAN @ r.ravel()).reshape(3, 3))


def test_exact_on_a_linear_surface():
    structures = linear()
    positions, parents, _ = displace(structures, Placement(displacement=0.5), 20, seed=1)
    exact = 5.0 + np.einsum("ax,cax->c", SLOPE, positions)
    # rounding of energies of about 10 eV
    np.testing.assert_allclose(taylor_energies(structures, positions, parents), exact, atol=1e-13)


def test_error_is_the_second_order_term_of_a_quadratic_surface():
    structures = quadratic()
    positions, parents, _ = displace(structures, Placement(displacement=0.01), 20, seed=1)
    step = (positions - structures.positions[parents]).reshape(-1, 9)
    exact = np.array([quadratic_energy(r) for r in positions])
    second_order = 0.5 * np.einsum("ci,ij,cj->c", step, HESSIAN, step)
    assert second_order.min() > 0
    np.testing.assert_allclose(
        exact - taylor_energies(structures, positions, parents), second_order, atol=1e-12
    )


def test_labels_lie_too_low_where_the_curvature_is_positive():
    # Figure S13 of the paper
    structures = quadratic()
    positions, parents, copies = displace(structures, Placement(displacement=0.05), 20, seed=1)
    labels = label_with_taylor(structures, positions, parents, copies).structures.energies
    assert (labels < [quadratic_energy(r) for r in positions]).all()


def test_error_grows_with_the_square_of_delta():
    def energy(r):
        return np.exp(-0.5 * np.linalg.norm(r[0] - r[1])) + np.sum(np.sin(r))

    def gradient(r):
        h, result = 1e-6, np.zeros((3, 3))
        for i in range(9):
            step = np.zeros(9)
            step[i] = h
            result.flat[i] = (energy(r + step.reshape(3, 3)) - energy(r - step.reshape(3, 3))) / (2 * h)
        return result

    structures = on_surface(energy, gradient)
    errors = []
    for delta in (0.004, 0.008):
        positions, parents, _ = displace(structures, Placement(displacement=delta), 50, seed=1)
        exact = np.array([energy(r) for r in positions])
        errors.append(np.abs(exact - taylor_energies(structures, positions, parents)).mean())
    assert errors[1] / errors[0] == pytest.approx(4.0, rel=0.05)  # third-order terms are a few per cent


def test_blocks_do_not_matter_and_parents_may_come_in_any_order():
    structures = linear()
    positions, parents, _ = displace(structures, Placement(displacement=0.1), BLOCK // 3, seed=1)
    assert len(parents) > BLOCK
    order = np.random.default_rng(0).permutation(len(parents))
    straight = taylor_energies(structures, positions, parents)
    assert np.array_equal(taylor_energies(structures, positions[order], parents[order]), straight[order])


def test_labelled_set_says_where_it_comes_from_and_claims_no_sigma():
    structures = linear()
    positions, parents, copies = displace(structures, Placement(displacement=0.1), 3, seed=1)
    augmented = label_with_taylor(structures, positions, parents, copies)
    assert augmented.label == "taylor"
    assert augmented.sigma is None
    assert augmented.structures.forces is None
    assert augmented.parents == tuple(structures.names[i] for i in parents)
    assert np.array_equal(augmented.structures.positions, positions)


@pytest.mark.parametrize("missing", ["energies", "forces"])
def test_reference_labels_are_needed(missing):
    structures = replace(linear(), **{missing: None})
    positions, parents, _ = displace(structures, Placement(displacement=0.1), 3, seed=1)
    with pytest.raises(InputError, match="energies and forces"):
        taylor_energies(structures, positions, parents)


def test_an_anchored_label_does_not_see_what_a_process_misses_to_first_order(copies):
    structures, positions, parents, numbers = copies
    slope = np.random.default_rng(2).normal(size=(2, 3))

    def off(some):
        return energy(some) + 0.7 + np.einsum("cax,ax->c", some.positions, slope)

    known = replace(structures, energies=energy(structures), forces=-2.0 * structures.positions)
    missed = missed_by(known, off(known), known.forces - slope)
    found = label_with_gp(known, positions, parents, numbers, off, None, 4, missed=missed).structures
    assert found.energies == pytest.approx(energy(found), abs=1e-12)
    assert np.abs(off(found) - energy(found)).min() > 1e-3


def test_anchored_labels_of_a_process_that_knows_nothing_are_those_of_taylor(copies):
    structures, positions, parents, numbers = copies
    strains = 0.02 * np.array([[1.0, 0.5, 0.0], [0.5, -1.0, 0.2], [0.0, 0.2, 0.3]])
    n, stress = len(structures), np.random.default_rng(3).normal(size=(3, 3, 3))
    crystals = replace(
        structures,
        cells=np.broadcast_to(5.0 * np.eye(3), (n, 3, 3)),
        pbc=(True, True, True),
        energies=np.arange(float(n)),
        forces=np.random.default_rng(1).normal(size=(n, 2, 3)),
        stress=stress + stress.transpose(0, 2, 1),
    )
    everywhere = np.broadcast_to(strains, (len(parents), 3, 3))
    moved, cells = strained(crystals, positions, parents, everywhere)
    missed = missed_by(crystals, np.zeros(n), np.zeros((n, 2, 3)), np.zeros((n, 3, 3)))
    ours = label_with_gp(
        crystals, moved, parents, numbers, lambda some: np.zeros(len(some)), None, cells=cells, missed=missed
    )
    theirs = label_with_taylor(crystals, moved, parents, numbers, cells)
    assert ours.structures.energies == pytest.approx(theirs.structures.energies, abs=1e-12)
