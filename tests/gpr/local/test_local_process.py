"""The local process: derivatives, invariances, and its closed forms against dense algebra."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from aenet_gpr_cli.baseline.repulsion import Repulsion
from aenet_gpr_cli.descriptors.interface.neighbour_list import neighbour_list
from aenet_gpr_cli.descriptors.soap.soap_environments import SoapEnvironments
from aenet_gpr_cli.gpr.local import local_fit
from aenet_gpr_cli.gpr.local.accumulation import Sums, add_up, model_of
from aenet_gpr_cli.gpr.local.design import Inducing, energy_and_force_rows, energy_rows, kernel
from aenet_gpr_cli.gpr.local.environments import Scale, environments, sample
from aenet_gpr_cli.gpr.local.local_fit import choose_design, choose_environment, fit_local
from aenet_gpr_cli.gpr.local.local_left_out import calibrated, leave_out
from aenet_gpr_cli.gpr.local.posterior import solve, whiten
from aenet_gpr_cli.gpr.local.triangle import Triangle
from aenet_gpr_cli.gpr.process_settings import Local, SoapOfAtoms
from aenet_gpr_cli.io.artefacts.stored_gps import read_local, write_local
from aenet_gpr_cli.reference_energies import least_squares_energies
from aenet_gpr_cli.structures import StructureSet

SMALL = Local(
    radial_cutoff=4.5,
    radial_order=6,
    angular_cutoffs=(3.5,),
    angular_order=3,
    n_inducing=20,
    length_scale=1.0,
    virials=False,
)


def alloy(n: int, seed: int, size: tuple[int, int, int] = (1, 1, 1), other: str = "Au") -> list[StructureSet]:
    """Strained, rattled cells of Cu and Au, or another, in changing composition, with all labels of EMT."""
    rng, sets = np.random.default_rng(seed), []
    for _ in range(n):
        atoms = bulk("Cu", "fcc", a=3.8, cubic=True) * size
        n_others = rng.integers(1, 4)
        atoms.symbols[rng.choice(4, n_others, replace=False)] = other
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.05 * rng.normal(size=(3, 3))), scale_atoms=True)
        atoms.rattle(0.1, seed=int(rng.integers(1000)))
        atoms.calc = EMT()
        sets.append(
            StructureSet(
                tuple(atoms.get_chemical_symbols()),
                atoms.positions[None],
                atoms.cell.array[None],
                (True, True, True),
                np.array([atoms.get_potential_energy()]),
                atoms.get_forces()[None],
                names=(f"s{len(sets)}",),
                stress=atoms.get_stress(voigt=False)[None],
            )
        )
    return sets


@pytest.fixture(scope="module")
def sets():
    return alloy(12, seed=0)


SOAP = replace(SMALL, descriptor="soap", soap=SoapOfAtoms(cutoff=4.0, n_max=3, l_max=3), length_scale=4.0)


LEARNED = replace(SMALL, length_scale=None)


@pytest.fixture(scope="module", params=[SMALL, SOAP, LEARNED], ids=["chebyshev", "soap", "learned"])
def model(sets, request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_fit, "FEWEST_OF_METRIC", 1)
        model, _ = fit_local(sets, request.param, 0, lambda *_: None)
    assert (model.scale.metric is not None) == (request.param is LEARNED)
    return model


def quiet(*_):
    """Show no progress."""


def test_forces_are_minus_the_slope_of_the_energy(model, sets):
    one, h = sets[0], 1e-4
    _, forces = model.energies_and_forces(one)
    for atom, axis in ((0, 0), (1, 2), (3, 1)):
        step = np.zeros_like(one.positions)
        step[0, atom, axis] = h
        up, down = (model.energies(replace(one, positions=one.positions + s * step))[0] for s in (1, -1))
        assert abs(forces[0, atom, axis]) > 1e-3
        assert forces[0, atom, axis] == pytest.approx(-(up - down) / (2 * h), rel=1e-6, abs=1e-8)
    np.testing.assert_allclose(forces.sum(axis=1), 0.0, atol=1e-12)


def test_rows_of_forces_give_the_predicted_forces(model, sets):
    found = environments(model.basis, model.scale, sets[1], True)
    energies, forces = energy_and_force_rows(found, model.inducing)
    expected = model.energies_and_forces(sets[1])
    np.testing.assert_allclose(forces @ model.coefficients, expected[1][0], atol=1e-10)
    prior = model.prior_energy(sets[1].species)
    np.testing.assert_allclose(energies @ model.coefficients + prior, expected[0], atol=1e-10)


def test_stress_is_the_slope_along_a_strain(model, sets):
    one, h = sets[2], 1e-5
    stress = model.stresses(one)[0]
    volume = abs(np.linalg.det(one.cells[0]))
    for a, b in ((0, 0), (1, 2)):
        strain = np.zeros((3, 3))
        strain[a, b] = h
        energies = []
        for sign in (1, -1):
            turn = np.eye(3) + sign * strain
            moved = replace(one, positions=one.positions @ turn.T, cells=one.cells @ turn.T)
            energies.append(model.energies(moved)[0])
        assert stress[a, b] == pytest.approx(
            (energies[0] - energies[1]) / (2 * h * volume), rel=1e-6, abs=1e-9
        )
    np.testing.assert_allclose(stress, stress.T, atol=1e-10)


def test_a_supercell_has_twice_the_energy_and_the_same_forces_and_stress(model, sets):
    one = sets[3]
    cell = one.cells[0].copy()
    twice = StructureSet(
        one.species * 2,
        np.concatenate([one.positions, one.positions + cell[0]], axis=1),
        (cell * np.array([[2.0], [1.0], [1.0]]))[None],
        one.pbc,
    )
    energies, forces = model.energies_and_forces(one)
    double, same = model.energies_and_forces(twice)
    np.testing.assert_allclose(double, 2 * energies, rtol=1e-11)
    np.testing.assert_allclose(same, np.concatenate([forces, forces], axis=1), atol=1e-10)
    np.testing.assert_allclose(model.stresses(twice), model.stresses(one), atol=1e-12)
    # the same environments: errors add up and do not average out
    np.testing.assert_allclose(model.energy_sigma(twice), 2 * model.energy_sigma(one), rtol=1e-6)


def test_order_wrapping_and_choice_of_cell_do_not_matter(model, sets):
    one = sets[4]
    order = np.array([2, 0, 3, 1])
    shifts = np.array([[1, 0, 0], [0, -2, 0], [0, 0, 0], [1, 1, 1]]) @ one.cells[0]
    skewed = np.array([[1.0, 0, 0], [2, 1, 0], [0, -1, 1]]) @ one.cells[0]
    other = StructureSet(
        tuple(one.species[i] for i in order), (one.positions + shifts)[:, order], skewed[None], one.pbc
    )
    energies, forces = model.energies_and_forces(one)
    again, moved = model.energies_and_forces(other)
    np.testing.assert_allclose(again, energies, rtol=1e-11)
    np.testing.assert_allclose(moved, forces[:, order], atol=1e-10)
    np.testing.assert_allclose(model.energy_sigma(other), model.energy_sigma(one), rtol=1e-8)


def everything(sets):
    """All environments of all sets as inducing ones, with rows and targets in units of noise."""
    rng = np.random.default_rng(1)
    model, _ = fit_local(sets, replace(SMALL, n_inducing=1), 0, quiet)
    raw, kinds = sample(model.basis, sets, rng)
    scale = Scale.of(model.basis, raw, kinds)
    x = scale(raw, kinds)
    parts = [x[kinds == t] for t in (0, 1)]
    inducing = Inducing(np.concatenate(parts), np.cumsum([0, *map(len, parts)]), 1.0)
    atomic = np.array(list(least_squares_energies(sets, model.basis.species).values()))
    rows, targets = [], []
    for s in sets:
        energies, forces = energy_and_force_rows(environments(model.basis, scale, s, True), inducing)
        rows += [energies / 0.02, forces.reshape(-1, len(inducing)) / 0.05]
        prior = atomic[model.basis.species_index(s.species)].sum()
        targets += [(s.energies - prior) / 0.02, s.forces.ravel() / 0.05]
    return inducing, np.concatenate(rows), np.concatenate(targets)


def test_evidence_and_mean_are_those_of_a_dense_process(sets):
    inducing, rows, targets = everything(sets[:4])
    triangle = Triangle(len(inducing))
    triangle.add(rows, targets)
    found = solve(triangle.factor, len(rows), 0.0, whiten(inducing.covariance()))
    blocks = inducing.covariance()
    k = np.zeros((len(inducing), len(inducing)))
    k[: len(blocks[0]), : len(blocks[0])], k[len(blocks[0]) :, len(blocks[0]) :] = blocks
    # covariance of what is observed: signal A K⁻¹ Aᵀ, noise 1, both times the noise scale
    signal = found.signal_variance * rows @ np.linalg.pinv(k, rcond=1e-13, hermitian=True) @ rows.T
    covariance = signal + found.noise_scale**2 * np.eye(len(rows))
    _, log_det = np.linalg.slogdet(covariance)
    fit = targets @ np.linalg.solve(covariance, targets)
    dense = -0.5 * (log_det + fit + len(rows) * np.log(2 * np.pi))
    assert found.log_evidence == pytest.approx(dense, rel=1e-6)
    mean = signal @ np.linalg.solve(covariance, targets)
    np.testing.assert_allclose(rows @ found.coefficients, mean, atol=1e-5 * np.abs(targets).max())


def test_the_energy_covariance_on_all_environments_is_that_of_the_sums(sets):
    inducing, rows, _ = everything(sets[:3])
    energies = rows[[0, 13, 26]] * 0.02
    b = whiten(inducing.covariance())
    sums = (energies @ b) @ (energies @ b).T
    direct = np.zeros((3, 3))
    start = 0
    for t, stop in enumerate(inducing.offsets[1:]):
        own = kernel(inducing.z[start:stop], inducing.z[start:stop], 1.0)
        where = np.concatenate(
            [[i] * s.species.count(("Au", "Cu")[t]) for i, s in enumerate(sets[:3])]
        ).astype(int)
        for i in range(3):
            for j in range(3):
                direct[i, j] += own[np.ix_(where == i, where == j)].sum()
        start = stop
    np.testing.assert_allclose(sums, direct, rtol=1e-6)


def test_left_out_errors_are_those_of_a_fit_without_the_structure(model, sets):
    noise = model.noise_energy * 2.0

    def rows_of(s):
        found = environments(model.basis, model.scale, s, True)
        energies, forces = energy_and_force_rows(found, model.inducing)
        a = np.concatenate([energies / noise, forces.reshape(12, -1) / model.noise_force])
        prior = model.prior_energy(s.species)
        return a, np.concatenate([(s.energies - prior) / noise, s.forces.ravel() / model.noise_force])

    b = whiten(model.inducing.covariance())
    for i in (0, 7):
        off = leave_out(model, sets[i])
        parts = [rows_of(s) for k, s in enumerate(sets) if k != i]
        a, y = (np.concatenate(x) for x in zip(*parts, strict=True))
        p = a @ b
        inverse = np.linalg.inv(p.T @ p + np.eye(p.shape[1]) / model.signal_variance)
        own, target = rows_of(sets[i])
        expected = target - own @ b @ inverse @ p.T @ y
        assert off.energy_errors[0] == pytest.approx(expected[0] * noise, rel=1e-4, abs=1e-6)
        np.testing.assert_allclose(off.force_errors, expected[1:] * model.noise_force, atol=1e-5)
        variances = 1.0 + np.diag(own @ b @ inverse @ b.T @ own.T)
        np.testing.assert_allclose(off.force_z, expected[1:] / np.sqrt(variances[1:]), atol=1e-4)
        # what no inducing environment takes up makes the energy less certain still
        assert 0.0 < abs(off.energy_z[0]) < abs(expected[0]) / np.sqrt(variances[0])


def test_a_structure_of_which_all_is_inducing_counts_as_new_without_that(sets):
    model, _ = fit_local(sets, replace(SMALL, n_inducing=400, length_scale=4.0), 0, quiet)
    for s in sets[:4]:
        found = environments(model.basis, model.scale, s, False)
        rows = energy_rows(found, model.inducing)
        kept, parts = [], []
        for kind in range(2):
            z, x = model.inducing.z[model.inducing.of(kind)], found.x[found.kinds == kind]
            off = np.linalg.norm(z[:, None] - x, axis=2).min(axis=1, initial=np.inf)
            kept.append(z[off > 1e-3])
            parts.append(len(kept[-1]))
        assert sum(parts) == len(model.inducing) - 4
        inducing = Inducing(np.concatenate(kept), np.cumsum([0, *parts]), 4.0)
        rest = replace(model, inducing=inducing, _whitening=[])
        without = rest.unspanned(found, energy_rows(found, inducing))[0]
        assert without > 100.0 * model.unspanned(found, rows)[0]
        assert model.unspanned_if_new(found, rows) == pytest.approx(without, rel=1e-5)


@pytest.mark.parametrize("n_inducing", [40, 400])
def test_sigma_of_new_structures_is_that_of_their_errors(n_inducing):
    # whether few or all environments of the training structures are inducing
    model, _ = fit_local(
        alloy(40, seed=7), replace(SMALL, n_inducing=n_inducing, length_scale=None), 0, quiet
    )
    z = []
    for s in alloy(60, seed=8):
        sigma = np.hypot(model.energy_sigma(s), model.energy_noise(s.n_atoms))
        z.append(((model.energies(s) - s.energies) / sigma)[0])
    assert 0.5 < np.sqrt(np.mean(np.square(z))) < 2.0


@pytest.mark.parametrize("length_scale", [16.0, 128.0])
def test_what_one_structure_alone_determines_is_no_noise_of_its_left_out_errors(length_scale):
    # without the only one with palladium, differences of nearly equal numbers say what is not known: 1,000 eV
    many = [*alloy(20, seed=0), alloy(1, seed=5, other="Pd")[0]]
    given = replace(SMALL, length_scale=length_scale, n_inducing=400)
    off = leave_out(fit_local(many, given, 0, quiet)[0], many[-1])
    forces = many[-1].forces
    assert np.isfinite(off.energy_z).all()
    assert np.isfinite(off.force_z).all()
    assert np.abs(off.energy_errors).max() < 0.5
    assert np.abs(off.force_errors).max() < np.abs(forces).max()


def test_sigma_is_calibrated_for_energies_and_forces_apart(model, sets):
    plain = replace(model, sigma_factor=1.0, force_sigma_factor=1.0)
    parts = [leave_out(plain, s) for s in sets]
    right = calibrated(plain, parts, [1] * len(parts))
    z = np.concatenate([part.force_z for part in parts])
    widest = np.sort(np.abs(z))[int(0.95 * len(z)) - 1 : int(0.95 * len(z)) + 1] / 1.96
    assert right.force_sigma_factor >= np.sqrt(np.mean(z**2))
    assert widest.min() <= right.force_sigma_factor
    assert right.force_sigma_factor <= max(np.sqrt(np.mean(z**2)), widest.max()) + 1e-12
    # structures count as many times as they stand for
    many = calibrated(plain, parts, [10**6, *[1] * (len(parts) - 1)])
    assert many.sigma_factor == pytest.approx(abs(parts[0].energy_z[0]), rel=0.02)
    np.testing.assert_allclose(
        right.force_sigma(sets[0]), right.force_sigma_factor * plain.force_sigma(sets[0])
    )
    assert right.energy_noise(4) == pytest.approx(right.sigma_factor * plain.energy_noise(4))
    assert right.sigma_factor != pytest.approx(right.force_sigma_factor, rel=1e-3)


def test_shares_of_the_structures_and_interrupted_sums_give_the_model_of_all(sets):
    mixed = [
        *sets[:5],
        replace(sets[5], forces=None),
        StructureSet.from_structures([sets[6].structure(0)] * 3),
    ]
    design = choose_design(mixed, SMALL, 0, quiet)
    kept = []
    whole = add_up(
        design, mixed, Sums(len(design.inducing)), quiet, keep=lambda sums: kept.append(sums.state())
    )
    model, evidence = model_of(design, whole)
    merged = Sums(len(design.inducing))
    for k in range(3):
        merged.merge(add_up(design, mixed, Sums(len(design.inducing)), quiet, (k, 3)).state())
    resumed = Sums(len(design.inducing))
    resumed.merge(kept[2])
    add_up(design, mixed, resumed, quiet)
    assert whole.triangle.n_rows == 8 * 13 + 1
    for sums in (merged, resumed):
        assert sums.triangle.n_rows == whole.triangle.n_rows
        again, same = model_of(design, sums)
        assert same == pytest.approx(evidence, rel=1e-10)
        for s in sets:
            np.testing.assert_allclose(again.energies(s), model.energies(s), rtol=1e-9)
            np.testing.assert_allclose(again.energy_sigma(s), model.energy_sigma(s), rtol=1e-6)


def test_factors_of_parts_merge_to_the_factor_of_all():
    rng = np.random.default_rng(5)
    rows, targets = rng.normal(size=(90, 7)), rng.normal(size=90)
    whole, first, second = Triangle(7), Triangle(7), Triangle(7)
    for start in range(0, 90, 4):
        whole.add(rows[start : start + 4], targets[start : start + 4])
    first.add(rows[:50], targets[:50])
    second.add(rows[50:], targets[50:])
    first.merge(second.factor, second.n_rows)
    assert (first.n_rows, first.factor.shape) == (90, (8, 8))
    square = np.column_stack([rows, targets]).T @ np.column_stack([rows, targets])
    for triangle in (whole, first):
        np.testing.assert_allclose(triangle.factor.T @ triangle.factor, square, atol=1e-10)


def test_other_cells_and_compositions_are_predicted(sets):
    training, test = alloy(60, seed=3), alloy(20, seed=4)
    model, _ = fit_local(training, replace(SMALL, n_inducing=60, length_scale=None), 0, quiet)
    off, spread = [], []
    for s in test:
        _, forces = model.energies_and_forces(s)
        off.append(np.abs(forces - s.forces).mean())
        spread.append(np.abs(s.forces).mean())
    assert np.mean(off) < 0.15 * np.mean(spread)


def test_sigma_is_zero_at_most_of_the_noise_where_there_are_data_and_large_where_there_are_none(model, sets):
    far = replace(sets[0], positions=sets[0].positions.copy())
    far.positions[0, 1] = far.positions[0, 0] + 1.2
    assert model.energy_sigma(far)[0] > 5 * model.energy_sigma(sets[0])[0] > 0.0


def test_energy_rows_need_no_derivatives(model, sets):
    found = environments(model.basis, model.scale, sets[5], False)
    assert found.slopes is None
    full = energy_and_force_rows(environments(model.basis, model.scale, sets[5], True), model.inducing)[0]
    np.testing.assert_array_equal(energy_rows(found, model.inducing), full)


def test_other_structures_of_the_kind_are_within_the_training_data_and_squeezed_ones_are_not():
    """Also where every training environment is an inducing one, at no distance from itself."""
    training, test = alloy(40, seed=3), alloy(10, seed=4)
    model, _ = fit_local(training, replace(SMALL, n_inducing=1000), 0, quiet)
    inside = [model.domain(s)[0] < 1.0 for s in test]
    assert np.mean(inside) >= 0.8
    squeezed = [replace(s, positions=0.8 * s.positions, cells=0.8 * s.cells) for s in test]
    assert all(model.domain(s)[0] > 1.0 for s in squeezed)


def test_an_atom_pushed_at_its_neighbour_is_outside_whatever_the_descriptor_says():
    """A sum over neighbours changes little; the distance of a pair does."""
    training = alloy(40, seed=3, size=(2, 1, 1))
    model, _ = fit_local(training, replace(SMALL, n_inducing=200), 0, quiet)
    blind = replace(model, shortest=None)
    assert max(model.domain(s)[0] for s in training) <= 1.0
    np.testing.assert_array_equal([model.domain(s) for s in training], [blind.domain(s) for s in training])
    one, pushed, distances = alloy(1, seed=5, size=(2, 1, 1))[0], [], []
    near = neighbour_list(one.positions, one.cells, one.pbc, 3.2)
    towards = near.vectors[0] / np.linalg.norm(near.vectors[0])
    for length in (1.9, 1.7, 1.5):
        positions = one.positions.copy()
        positions[0, 0] += near.vectors[0] - length * towards
        pushed.append(replace(one, positions=positions))
        pair = model.worst_pair(pushed[-1].structure(0))
        distances.append(model.domain(pushed[-1])[0])
        assert pair is not None
        assert pair.distance <= length + 1e-9
        assert 0 in (pair.first, pair.second)
    assert 1.0 < distances[0] < distances[1] < distances[2]
    assert [blind.domain(s)[0] for s in pushed] < distances


def bent(species: tuple[str, str, str], sign: float, seed: int) -> StructureSet:
    """Return molecules whose energy is that of their angle; the middle atom alone has two neighbours."""
    angles = np.random.default_rng(seed).uniform(2.4, np.pi, 40)
    ends = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=-1)
    positions = np.stack([np.zeros_like(ends), np.tile([1.0, 0.0, 0.0], (40, 1)), ends], axis=1)
    return StructureSet(
        species, positions, np.zeros((40, 3, 3)), (False, False, False), 5.0 * sign * np.cos(angles)
    )


@pytest.mark.parametrize("differ", [False, True])
def test_evidence_resolves_species_where_two_sums_mix_them_up(differ):
    # weights of the species: -1, 0, 1, so that B and N add up to what C and C do
    sets = [bent(("C", "B", "N"), 1.0, 0), bent(("C", "C", "C"), -1.0 if differ else 1.0, 1)]
    keys = Local(radial_cutoff=1.6, angular_cutoffs=(1.5,), radial_order=4, angular_order=4)
    assert choose_environment(sets, keys, 0, quiet) == ((1.5,), differ)


def test_a_stored_process_predicts_the_same(model, sets, tmp_path):
    model = replace(model, repulsion=Repulsion(np.array([79.0, 29.0]), np.full((2, 2), 3.0)))
    with h5py.File(tmp_path / "local.h5", "w") as file:
        write_local(file.create_group("local"), model)
        again = read_local(file["local"])
    assert again.repulsion == model.repulsion
    np.testing.assert_array_equal(again.shortest, model.shortest)
    with h5py.File(tmp_path / "local.h5", "a") as file:  # as an earlier version wrote it
        del file["local/shortest"]
        earlier = read_local(file["local"])
    assert earlier.shortest is None
    assert earlier.worst_pair(sets[0].structure(0)) is None
    np.testing.assert_allclose(earlier.domain(sets[0]), model.domain(sets[0]))
    for structures in alloy(2, seed=5):
        for ours, theirs in zip(
            again.energies_and_forces(structures), model.energies_and_forces(structures), strict=True
        ):
            assert np.array_equal(ours, theirs)


def test_of_one_element_evidence_decides_between_both_descriptors():
    """And of several, or where angles are given, there is nothing to decide."""
    small = replace(LEARNED, n_inducing=100, angular_cutoffs="auto", soap=SOAP.soap)
    copper = [s for s in alloy(40, seed=5, other="Cu") if set(s.species) == {"Cu"}]
    kinds = ("chebyshev", "soap")
    evidence = [fit_local(copper, replace(small, descriptor=kind), 0, quiet)[1] for kind in kinds]
    assert abs(evidence[1] - evidence[0]) > 100.0
    chosen = choose_design(copper, small, 0, quiet).basis
    assert isinstance(chosen, SoapEnvironments) == (evidence[1] > evidence[0])
    assert len(small.bases(("Cu",))) == len(small.bases(("Cu", "Ni"))) + 1
    assert not replace(small, angular_cutoffs=(4.0,)).compares_soap(1)
