"""Constants printed by aenet-gpr 3.7.9 (torch 2.13, one thread), and how they were made.

    train, test = ReferenceData(structure_files=...), ReferenceData(structure_files=...)
    train.config_calculator(scale=SCALE, weight=1.0, noise=1e-6, noisefactor=0.5, fit_weight=True,
                            fit_scale=False, train_batch_size=5, eval_batch_size=5)
    train.calculator.eval_batch(eval_images=test.images, get_variance=True)

on XSF files: of `small_molecule` written with 17 digits, or the first published ones in order of their names.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import SquaredExponential
from aenet_gpr_cli.gpr.process_settings import ConjugateGradient
from aenet_gpr_cli.gpr.regression import aenet_gpr
from aenet_gpr_cli.gpr.regression.aenet_gpr import InterleavedNoise, fit_as_aenet_gpr
from aenet_gpr_cli.gpr.regression.gp_model import predict
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver
from aenet_gpr_cli.gpr.uncertainty.energy_sigma import energy_sigma
from aenet_gpr_cli.io.formats.sources import read_sources
from aenet_gpr_cli.structures import StructureSet
from tests.gpr.small_molecule import make_set

SMALL = {
    "weight": 0.38801424568672943,
    "prior": -18641.10649496945,
    "energies": [-18641.60389292204, -18641.67156648405, -18641.85830052692, -18641.744417285492],
    "forces": [
        [-1.03474235633611, -0.02664633254340032, -0.042441450115245694],
        [0.7491874232092528, 0.15781018346257447, 0.11078186265245815],
    ],
    "sigma": [0.023319510545589117, 0.036067542223772835, 0.12122429540056591, 0.06751255729009788],
}
EC_DIMER_20 = {
    "weight": 12.650290892082069,
    "prior": -18582.54305841935,
    "energies": [-18642.22690124079, -18641.67796629523, -18642.282113935722, -18642.329282346367],
    "forces": [
        [-1.1807832435060845, 1.5818543936488823, 1.1039681990516783],
        [-0.6272885504251917, 0.11153705156584692, 0.7288397756278187],
    ],
    "sigma": [0.008978349397511052, 0.013765794669842377, 0.011560056145995385, 0.012697942783564628],
}
# the same equations solved with 60 digits (mpmath): the covariance has a condition number of 1e13, and the
# rounding of aenet-gpr is 4e-6 eV, ours 2e-6
H2_EXACT = [1.9033234761328905, 1.6104842824842551, 1.341774410228984, 1.0955906423223667]
H2_ENERGIES = [1.9033238192441786, 1.6104847689512098, 1.3417736788633192, 1.0955883761289442]


def check(constants: dict, training: StructureSet, test: StructureSet, scale: float) -> None:
    descriptor = Cartesian(training.n_atoms)
    model = fit_as_aenet_gpr(training, descriptor, scale, 1e-6, 0.5)
    energies, forces = predict(model, descriptor, test.positions)
    assert model.signal_std == pytest.approx(constants["weight"], rel=1e-8)
    assert model.prior_mean == pytest.approx(constants["prior"], abs=1e-6)
    np.testing.assert_allclose(energies, constants["energies"], atol=1e-6)
    np.testing.assert_allclose(forces[0, :2], constants["forces"], atol=1e-6)
    # it prints σ divided by the weight
    plain = Covariance.of(SquaredExponential(scale), descriptor, training.positions)
    covariance = InterleavedNoise(plain.kernel, plain.points, plain.origin, plain.n_atoms)
    solver = CholeskySolver(covariance, model.noise_energy, model.noise_force, 0.0)
    sigma = energy_sigma(model, descriptor, test.positions, solver) / model.signal_std
    np.testing.assert_allclose(sigma, constants["sigma"], atol=1e-8)


def test_small_molecule() -> None:
    check(SMALL, make_set(6, 0), make_set(4, 1), 0.8)


def read(folder: Path, part: str, count: int) -> StructureSet:
    structures = sorted(read_sources([folder / f"{part}.zip"]), key=lambda s: s.name)
    return StructureSet.from_structures(structures[:count])


@pytest.mark.published
def test_ec_dimer(published: Callable[[str], Path]) -> None:
    folder = published("ec-dimer")
    check(EC_DIMER_20, read(folder, "train_set", 20), read(folder, "test_set", 4), 1.5)


@pytest.mark.published
def test_h2(published: Callable[[str], Path]) -> None:
    training, test = (read(published("h2"), part, n) for part, n in (("train_set", 7), ("test_set", 4)))
    model = fit_as_aenet_gpr(training, Cartesian(2), 0.4, 1e-6, 0.5)
    energies, forces = predict(model, Cartesian(2), test.positions)
    assert model.signal_std == 1.0  # the fitted weight is above 100, so the first one stays
    # the noise is at the rounding of K: aenet-gpr's own forces on the two atoms differ by 5e-4 eV/Å in size
    theirs = np.abs(np.subtract(H2_ENERGIES, H2_EXACT)).max()
    assert np.abs(energies - H2_EXACT).max() < theirs < 5e-6
    np.testing.assert_allclose(forces[0, :, 0], [-55.2604, 55.2604], atol=1e-3)


def test_noise_is_in_the_order_of_the_other_package() -> None:
    plain = Covariance.of(SquaredExponential(0.8), Cartesian(4), make_set(2, 0).positions)
    noise = InterleavedNoise(plain.kernel, plain.points, plain.origin, 4).noise_variances(0.5, 1.0)
    np.testing.assert_array_equal(noise, [0.25] + [1.0] * 12 + [0.25] + [1.0] * 12)


def test_the_first_factor_solves_the_second_system(monkeypatch: pytest.MonkeyPatch) -> None:
    training, factors = make_set(6, 0), []
    plain = CholeskySolver._factorise
    monkeypatch.setattr(CholeskySolver, "_factorise", lambda *given: factors.append(1) or plain(*given))
    once = fit_as_aenet_gpr(training, Cartesian(4), 0.8, 1e-6, 0.5)
    assert len(factors) == 1
    monkeypatch.setattr(aenet_gpr, "CLOSELY", ConjugateGradient(tolerance=1e-99, max_iterations=1))
    twice = fit_as_aenet_gpr(training, Cartesian(4), 0.8, 1e-6, 0.5)
    assert (len(factors), twice.solver) == (3, "cholesky")
    assert once.signal_std == twice.signal_std
    new = make_set(4, 1).positions
    for ours, other in zip(predict(once, Cartesian(4), new), predict(twice, Cartesian(4), new), strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-8)
