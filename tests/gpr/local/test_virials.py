"""Virials in the local process: derivatives, invariances, dense algebra, and what they teach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from aenet_gpr_cli.descriptors.chebyshev.strain import (
    FIRST,
    SECOND,
    known_components,
    periodic_components,
    six_components,
)
from aenet_gpr_cli.gpr.local.accumulation import Sums, add_up, model_of
from aenet_gpr_cli.gpr.local.design import energy_and_force_rows
from aenet_gpr_cli.gpr.local.environments import environments
from aenet_gpr_cli.gpr.local.local_fit import choose_design, fit_local
from aenet_gpr_cli.gpr.local.local_left_out import leave_out
from aenet_gpr_cli.gpr.local.posterior import whiten
from aenet_gpr_cli.gpr.local.virials import virial_rows, virials, with_stress
from aenet_gpr_cli.lattice import volumes
from aenet_gpr_cli.structures import StructureSet
from tests.gpr.local.test_local_process import SMALL as PLAIN
from tests.gpr.local.test_local_process import alloy

SMALL = replace(PLAIN, virials=True, noise_std_virial=0.05, n_inducing=25)


def quiet(*_):
    """Show no progress."""


@pytest.fixture(scope="module")
def sets():
    return alloy(12, seed=0)


@pytest.fixture(scope="module")
def model(sets):
    return fit_local(sets, SMALL, 0, quiet)[0]


def turned(structures: StructureSet, matrix: np.ndarray) -> StructureSet:
    """Apply r → M r to atoms and cells."""
    assert structures.cells is not None
    return replace(structures, positions=structures.positions @ matrix.T, cells=structures.cells @ matrix.T)


def test_rows_are_the_slopes_of_energy_rows_along_strains(model, sets):
    one, h = sets[0], 1e-5
    rows = virial_rows(environments(model.basis, model.scale, one, True), model.inducing)[0]

    def energy_row(strain):
        found = environments(model.basis, model.scale, turned(one, np.eye(3) + strain), True)
        return energy_and_force_rows(found, model.inducing)[0][0]

    for c in range(6):
        strain = np.zeros((3, 3))
        strain[FIRST[c], SECOND[c]] += 0.5 * h
        strain[SECOND[c], FIRST[c]] += 0.5 * h
        numeric = (energy_row(strain) - energy_row(-strain)) / (2 * h)
        np.testing.assert_allclose(rows[c], numeric, rtol=1e-6, atol=1e-6 * np.abs(rows).max())


def test_rows_give_the_predicted_stress(model, sets):
    rows = virial_rows(environments(model.basis, model.scale, sets[1], True), model.inducing)
    stress = model.stresses(sets[1])
    np.testing.assert_allclose(rows[0] @ model.coefficients, virials(replace(sets[1], stress=stress))[0])


def test_turning_the_cell_turns_the_stress(model, sets):
    turn = Rotation.from_euler("xyz", [0.3, -1.0, 2.0]).as_matrix()
    expected = turn @ model.stresses(sets[2])[0] @ turn.T
    np.testing.assert_allclose(model.stresses(turned(sets[2], turn))[0], expected, atol=1e-12)


def test_a_supercell_has_the_same_stress_and_the_same_sigma(model, sets):
    one = sets[3]
    twice = StructureSet(
        one.species * 2,
        np.concatenate([one.positions, one.positions + one.cells[0, 0]], axis=1),
        one.cells * np.array([[2.0], [1.0], [1.0]]),
        one.pbc,
    )
    np.testing.assert_allclose(model.stresses(twice), model.stresses(one), atol=1e-12)
    np.testing.assert_allclose(model.stress_sigma(twice), model.stress_sigma(one), rtol=1e-8)


def test_the_coefficients_solve_the_dense_equations_of_all_rows(sets):
    design = choose_design(sets[:5], SMALL, 0, quiet)
    model, evidence = model_of(design, add_up(design, sets[:5], Sums(len(design.inducing)), quiet))
    rows, targets, logs = [], [], 0.0
    for s in sets[:5]:
        found = environments(design.basis, design.scale, s, True)
        energies, forces = energy_and_force_rows(found, design.inducing)
        noises = np.concatenate([[2e-3 * 2.0], np.full(12, 0.05), np.full(6, 0.05 * 2.0)])
        a = np.concatenate(
            [
                energies,
                forces.reshape(12, -1),
                virial_rows(found, design.inducing)[0],
            ]
        )
        stress = s.stress[0] * np.linalg.det(s.cells[0])
        y = np.concatenate(
            [s.energies - model.prior_energy(s.species), s.forces.ravel(), stress[FIRST, SECOND]]
        )
        rows.append(a / noises[:, None])
        targets.append(y / noises)
        logs += np.log(noises).sum()
    p, y = np.concatenate(rows) @ (b := whiten(design.inducing.covariance())), np.concatenate(targets)
    s2, w2 = (model.noise_energy / 2e-3) ** 2, model.signal_variance
    covariance = w2 * p @ p.T + s2 * np.eye(len(y))
    _, log_det = np.linalg.slogdet(covariance)
    solved = np.linalg.solve(covariance, y)
    dense = -0.5 * (log_det + y @ solved + len(y) * np.log(2 * np.pi)) - logs
    assert evidence == pytest.approx(dense, rel=1e-8)
    np.testing.assert_allclose(
        np.concatenate(rows) @ model.coefficients, w2 * p @ p.T @ solved, atol=1e-6 * np.abs(y).max()
    )
    posterior = np.linalg.inv(p.T @ p / s2 + np.eye(p.shape[1]) / w2)
    own = virial_rows(environments(design.basis, design.scale, sets[6], True), design.inducing)[0] @ b
    expected = np.sqrt(np.einsum("cj,jk,ck->c", own, posterior, own)) / volumes(sets[6])[0]
    np.testing.assert_allclose(model.stress_sigma(sets[6])[0][FIRST, SECOND], expected, rtol=1e-5)


def test_left_out_stress_is_that_of_a_fit_without_the_structure(sets):
    for given in (SMALL, replace(SMALL, virials=False)):
        design = choose_design(sets, given, 0, quiet)
        whole, _ = model_of(design, add_up(design, sets, Sums(len(design.inducing)), quiet))
        off = leave_out(whole, sets[4])
        b, rows, targets = whiten(design.inducing.covariance()), [], []
        for k, s in enumerate(sets):
            found = environments(design.basis, design.scale, s, True)
            energies, forces = energy_and_force_rows(found, design.inducing)
            if k != 4:
                rows += [energies / (2.0 * whole.noise_energy), forces.reshape(12, -1) / whole.noise_force]
                targets.append((s.energies - whole.prior_energy(s.species)) / (2.0 * whole.noise_energy))
                targets.append(s.forces.ravel() / whole.noise_force)
                if given.virials:
                    rows.append(virial_rows(found, design.inducing)[0] / (2.0 * whole.noise_virial))
                    targets.append(virials(s)[0] / (2.0 * whole.noise_virial))
            else:
                own = virial_rows(found, design.inducing)[0]
        p, y = np.concatenate(rows) @ b, np.concatenate(targets)
        without = np.linalg.solve(p.T @ p + np.eye(p.shape[1]) / whole.signal_variance, p.T @ y)
        expected = (virials(sets[4])[0] - own @ b @ without) / volumes(sets[4])[0]
        np.testing.assert_allclose(off.stress_errors, expected, rtol=1e-4, atol=1e-8)
        assert len(off.stress_z) == (6 if given.virials else 0)


def test_shares_with_and_without_stress_give_the_model_of_all(sets):
    unknown = replace(sets[5], stress=np.full((1, 3, 3), np.nan))
    alone = replace(sets[6], cells=None, pbc=(False, False, False), stress=None)
    mixed = [*sets[:4], unknown, alone, replace(sets[7], forces=None)]
    assert [with_stress(s)[0] for s in mixed] == [True] * 4 + [False, False, True]
    design = choose_design(mixed, SMALL, 0, quiet)
    whole = add_up(design, mixed, Sums(len(design.inducing)), quiet)
    assert whole.triangle.n_rows == 7 + 6 * 12 + 5 * 6
    merged = Sums(len(design.inducing))
    for k in range(3):
        merged.merge(add_up(design, mixed, Sums(len(design.inducing)), quiet, (k, 3)).state())
    (one, evidence), (other, same) = model_of(design, whole), model_of(design, merged)
    assert same == pytest.approx(evidence, rel=1e-10)
    np.testing.assert_allclose(other.stresses(sets[8]), one.stresses(sets[8]), rtol=1e-9, atol=1e-12)


def test_evidence_finds_the_noise_and_virials_lower_the_error_of_the_stress():
    rng, training, test = np.random.default_rng(2), alloy(16, seed=3), alloy(12, seed=4)
    few = [replace(s, forces=None) if k % 4 else s for k, s in enumerate(training)]
    noisy = [replace(s, stress=s.stress + 0.2 * _symmetric(rng)) for s in few]
    given = replace(SMALL, noise_std_virial=None, n_inducing=40)
    without, exact, spoilt = (
        fit_local(data, settings, 0, quiet)[0]
        for data, settings in ((few, replace(given, virials=False)), (few, given), (noisy, given))
    )
    errors = [
        np.mean([np.abs(model.stresses(s) - s.stress).mean() for s in test]) for model in (without, exact)
    ]
    assert errors[1] < 0.8 * errors[0]
    assert spoilt.noise_virial > 3 * exact.noise_virial


def _symmetric(rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(size=(1, 3, 3))
    return (noise + noise.transpose(0, 2, 1)) / 2.0


def test_of_slabs_the_components_in_the_plane_are_trained_on(sets):
    flat = sets[4].cells.copy()
    flat[:, :2, 2] = 0.0
    slab = replace(sets[4], cells=flat, pbc=(True, True, False))
    tilted = turned(slab, Rotation.from_euler("xyz", [0.3, -1.0, 2.0]).as_matrix())
    assert periodic_components(slab)[0].tolist() == [True, True, False, False, False, True]
    assert periodic_components(turned(slab, np.roll(np.eye(3), 1, axis=0)))[0].sum() == 3
    assert not periodic_components(tilted).any()
    assert known_components(slab)[1] is None
    assert periodic_components(sets[4]).all()
    assert not periodic_components(replace(slab, pbc=(True, False, False))).any()
    vacuum = replace(slab, stress=slab.stress + np.array([[0, 0, 3], [0, 0, 3], [3, 3, 3.0]]))
    mixed = [*sets[:4], slab]
    design = choose_design(mixed, SMALL, 0, quiet)
    sums, same = (add_up(design, [*sets[:4], s], Sums(len(design.inducing)), quiet) for s in (slab, vacuum))
    assert sums.triangle.n_rows == 5 + 5 * 12 + 4 * 6 + 3
    np.testing.assert_array_equal(same.triangle.factor, sums.triangle.factor)
    model, _ = model_of(design, sums)
    assert len(leave_out(model, slab).stress_z) == 3


def test_a_slab_in_any_direction_teaches_the_same(sets):
    cell, flat = sets[4].cells[0], np.zeros((1, 3, 3))
    flat[0, 0, 0], flat[0, 1, :2] = np.linalg.norm(cell[0]), [0.3, 3.9]
    flat[0, 2] = cell[2]
    slab = replace(sets[4], cells=flat, pbc=(True, True, False))
    turn = Rotation.from_euler("xyz", [0.3, -1.0, 2.0]).as_matrix()
    tilted = replace(turned(slab, turn), forces=slab.forces @ turn.T, stress=turn @ slab.stress @ turn.T)
    known, turns = known_components(tilted)
    assert known[0].tolist() == [True, True, False, False, False, True]
    np.testing.assert_allclose(
        turns[0] @ six_components(tilted.stress)[0], six_components(slab.stress)[0], atol=1e-12
    )
    vacuum = turn @ np.array([[0, 0, 3], [0, 0, 3], [3, 3, 3.0]]) @ turn.T
    design = choose_design([*sets[:4], slab], SMALL, 0, quiet)
    found = []
    for one in (slab, tilted, replace(tilted, stress=tilted.stress + vacuum)):
        sums = add_up(design, [*sets[:4], one], Sums(len(design.inducing)), quiet)
        assert sums.triangle.n_rows == 5 + 5 * 12 + 4 * 6 + 3
        found.append(model_of(design, sums))
    for model, evidence in found[1:]:
        assert evidence == pytest.approx(found[0][1], rel=1e-9)
        np.testing.assert_allclose(model.stresses(sets[7]), found[0][0].stresses(sets[7]), rtol=1e-6)
    off, same = leave_out(found[0][0], slab), leave_out(found[0][0], tilted)
    np.testing.assert_allclose(same.stress_z, off.stress_z, rtol=1e-6)
