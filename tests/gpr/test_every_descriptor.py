"""What must hold for every descriptor and kernel: slopes, solvers, limits of sigma, bound, symmetries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.descriptor_settings import SoapSettings
from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.interface.feature_distances import squared_distances
from aenet_gpr_cli.descriptors.soap.soap_descriptor import Soap
from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.composite import Composite
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.descriptors.structure.permutation import PermutationImages
from aenet_gpr_cli.descriptors.structure.rotation import Rotated, find_rotation
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import KERNELS, make_kernel
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.regression.gp_model import GPModel, predict, predict_energies
from aenet_gpr_cli.gpr.solvers.cholesky import Solver
from aenet_gpr_cli.gpr.solvers.conjugate_gradient import ConjugateGradientSolver
from aenet_gpr_cli.gpr.uncertainty.energy_sigma import EnergySigmaBound, energy_sigma, refactorise
from aenet_gpr_cli.structures import FloatArray
from tests.gpr.small_molecule import SPECIES, cg, cholesky, make_set

TRAINING, TEST = make_set(8, seed=0), make_set(5, seed=1)
POINTS = ((0.5, 0.5, 0.5), (-0.5, 1.0, 0.0), (1.0, -0.3, 0.4))
SWAP = [0, 2, 1, 3]  # the two hydrogen atoms
TURN = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
MOVES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "translation": lambda vectors: vectors + np.array([0.7, -1.1, 0.4]),
    "rotation": lambda vectors: vectors @ TURN.T,
    "permutation": lambda vectors: vectors[:, SWAP],
}
RIGID, ALL = ("translation", "rotation"), tuple(MOVES)


def soap(average: str, centres: tuple[tuple[float, float, float], ...] | None = None) -> Soap:
    keys = SoapSettings(cutoff=3.0, n_max=3, l_max=2, sigma=0.6, average=average, centres=centres)  # type: ignore[arg-type]
    return Soap(SPECIES, keys)


def rotated(descriptor: Soap, n_blocks: int) -> Rotated:
    return Rotated(descriptor, find_rotation(descriptor.linearise(TRAINING.positions), n_blocks, 1e-12, 0))


@dataclass(frozen=True)
class Case:
    """A descriptor, the number of its centres, a length scale, its symmetries, and how to get far away."""

    descriptor: Descriptor
    length_scale: float
    symmetries: tuple[str, ...]
    stretch: float = 0.01
    n_centres: int = 1


INVERSE = InverseDistance(4)
CASES = {
    "cartesian": Case(Cartesian(4), 0.8, (), 30.0),
    "inverse distance": Case(INVERSE, 0.8, RIGID),
    "inverse distance squared": Case(InverseDistance(4, power=2.0), 0.8, RIGID),
    "soap outer": Case(soap("outer"), 1.0, ALL),
    "soap inner": Case(soap("inner"), 1.0, ALL),
    "soap species": Case(soap("species"), 1.0, ALL),
    "soap atom by atom": Case(soap("off"), 2.0, RIGID),
    "soap pairs of atoms": Case(soap("off"), 2.0, ALL, n_centres=4),
    "soap points": Case(soap("off", POINTS), 2.0, ("permutation",)),
    "soap pairs of points": Case(soap("off", POINTS), 1.5, ("permutation",), n_centres=3),
    "soap outer, rotated": Case(rotated(soap("outer"), 1), 1.0, ALL),
    "soap pairs of points, rotated": Case(
        rotated(soap("off", POINTS), 3), 1.5, ("permutation",), n_centres=3
    ),
    "composite": Case(Composite((INVERSE, soap("outer")), (1.0, 0.5)), 0.8, RIGID),
    "permutation images": Case(PermutationImages(INVERSE, [[0, 1, 2, 3], SWAP]), 0.8, ALL, n_centres=2),
}


@dataclass(frozen=True)
class Fitted:
    """A case fitted with one kernel."""

    case: Case
    kernel: str
    model: GPModel
    solver: Solver


@pytest.fixture(scope="module", params=[(name, kernel) for name in CASES for kernel in KERNELS], ids=str)
def fitted(request: pytest.FixtureRequest) -> Fitted:
    name, kernel = request.param
    case = CASES[name]
    made = make_kernel(kernel, case.length_scale)
    model = fit(TRAINING, case.descriptor, made, 1e-3, 1e-3, cholesky, n_centres=case.n_centres)
    return Fitted(case, kernel, model, refactorise(model, case.descriptor, 1e-8))


def test_forces_are_minus_the_gradient_of_the_energy(fitted: Fitted) -> None:
    h = 1e-4
    steps = h * np.eye(12).reshape(12, 4, 3)
    forces = predict(fitted.model, fitted.case.descriptor, TEST.positions[:1])[1]
    above, below = (
        predict_energies(fitted.model, fitted.case.descriptor, TEST.positions[0] + sign * steps)
        for sign in (1, -1)
    )
    assert np.abs(forces).max() > 0.05  # the comparison would also hold for zeros
    # digits of a total energy of -18642 eV (4e-12) over h; truncation of order h²
    np.testing.assert_allclose(forces.ravel(), -(above - below) / (2 * h), atol=2e-6)


def test_matrix_free_fit_equals_the_dense_one(fitted: Fitted) -> None:
    def iterative(covariance: Covariance, noise_energy: float, noise_force: float) -> Solver:
        return ConjugateGradientSolver(covariance, noise_energy, noise_force, cg(0, 1e-9, 2000))

    case = fitted.case
    kernel = make_kernel(fitted.kernel, case.length_scale)
    results = [
        predict(
            fit(TRAINING, case.descriptor, kernel, 1e-2, 1e-2, solver, case.n_centres),
            case.descriptor,
            TEST.positions,
        )
        for solver in (cholesky, iterative)
    ]
    for free, dense in zip(results[1], results[0], strict=True):
        assert np.ptp(dense) > 0.02
        np.testing.assert_allclose(free, dense, atol=1e-6)


def test_sigma_is_within_the_noise_on_data_and_the_prior_far_away(fitted: Fitted) -> None:
    model, descriptor = fitted.model, fitted.case.descriptor
    on_data = energy_sigma(model, descriptor, TRAINING.positions, fitted.solver)
    assert on_data.max() <= model.noise_std_energy * (1 + 1e-3)
    centre = np.array(POINTS[0])
    far = centre + fitted.case.stretch * (TRAINING.positions[:2] - centre)
    covariance = model.covariance(descriptor)
    values = descriptor.values(far)
    x = values.reshape(-1, len(covariance.origin)) - covariance.origin
    assert np.sqrt(squared_distances(x, covariance.x).min()) > 8.0 * model.length_scale
    prior = model.signal_std * np.sqrt(covariance.energy_variances(values))
    np.testing.assert_allclose(energy_sigma(model, descriptor, far, fitted.solver), prior, rtol=1e-4)


def test_bound_is_never_below_sigma(fitted: Fitted) -> None:
    model, descriptor = fitted.model, fitted.case.descriptor
    sigma = energy_sigma(model, descriptor, TEST.positions, fitted.solver)
    assert sigma.min() > 0.0
    bound = EnergySigmaBound(model, descriptor, 5)(TEST.positions)
    assert (bound >= sigma * (1 - 1e-5)).all()
    assert bound.mean() > 1.005 * sigma.mean()  # part of the data was left out


@pytest.mark.parametrize("move", MOVES)
def test_symmetries_of_the_descriptor_are_those_of_energy_and_forces(fitted: Fitted, move: str) -> None:
    model, descriptor = fitted.model, fitted.case.descriptor
    energies, forces = predict(model, descriptor, TEST.positions)
    moved_energies, moved_forces = predict(model, descriptor, MOVES[move](TEST.positions))
    if move not in fitted.case.symmetries:
        assert np.abs(moved_energies - energies).max() > 1e-2
        return
    expected = forces if move == "translation" else MOVES[move](forces)
    np.testing.assert_allclose(moved_energies, energies, atol=1e-7)
    np.testing.assert_allclose(moved_forces, expected, atol=1e-6)
