from __future__ import annotations

import numpy as np
import pytest
from small_molecule import cholesky, make_set

from aenet_gpr_cli.descriptors.inverse_distance import InverseDistance
from aenet_gpr_cli.errors import ConfigError, NumericalError
from aenet_gpr_cli.gpr.conjugate_gradient import ConjugateGradientSolver
from aenet_gpr_cli.gpr.covariance import Covariance
from aenet_gpr_cli.gpr.hyperparameters import (
    GridSearch,
    descriptor_by_likelihood,
    length_scale_by_likelihood,
)
from aenet_gpr_cli.gpr.kernels import SquaredExponential
from aenet_gpr_cli.gpr.regression import fit, predict_energies
from aenet_gpr_cli.gpr.solvers import CholeskySolver, Solver

TRAINING, TEST = make_set(14, seed=0), make_set(40, seed=1)
GRID = [0.05, 0.2, 0.5, 1.0, 2.0, 20.0]


def search(grid: list[float], max_structures: int = 100, seed: int = 0, make_solver=cholesky) -> GridSearch:  # type: ignore[no-untyped-def]
    return length_scale_by_likelihood(
        TRAINING,
        InverseDistance(4),
        "squared_exponential",
        grid,
        1e-3,
        1e-3,
        make_solver,
        max_structures,
        seed,
    )


def test_most_likely_length_scale_is_nearly_the_best_on_unseen_structures() -> None:
    result = search(GRID)
    assert TEST.energies is not None
    errors = []
    for length_scale in GRID:
        model = fit(TRAINING, InverseDistance(4), SquaredExponential(length_scale), 1e-3, 1e-3, cholesky)
        errors.append(
            np.abs(predict_energies(model, InverseDistance(4), TEST.positions) - TEST.energies).mean()
        )
    assert max(errors) > 10 * min(errors)  # the choice matters
    assert errors[GRID.index(result.length_scale)] < 2 * min(errors)
    assert [p.length_scale for p in result.table] == GRID
    assert not result.at_edge


def test_best_at_the_edge_of_the_grid_is_reported() -> None:
    assert search([0.05, 0.1, 0.2]).at_edge


def test_subset_is_seeded() -> None:
    assert search(GRID, 6, 1).table == search(GRID, 6, 1).table
    assert search(GRID, 6, 1).table != search(GRID, 6, 2).table
    assert search(GRID, 6, 1).n_structures == 6
    assert search(GRID).n_structures == 14


def test_a_failed_length_scale_is_in_the_table_and_others_go_on() -> None:
    def picky(covariance: Covariance, noise_energy: float, noise_force: float) -> Solver:
        if covariance.kernel.length_scale > 0.6:
            raise NumericalError("singular")
        return CholeskySolver(covariance, noise_energy, noise_force, 0.0)

    result = search(GRID, make_solver=picky)
    assert result.length_scale <= 0.6
    assert [p.failure for p in result.table] == [""] * 3 + ["singular"] * 3
    with pytest.raises(NumericalError, match="any value of the grid"):
        search([1.0, 2.0], make_solver=picky)


def test_solver_without_determinant_and_empty_grid_are_refused() -> None:
    def iterative(covariance: Covariance, noise_energy: float, noise_force: float) -> Solver:
        return ConjugateGradientSolver(covariance, noise_energy, noise_force, 182, 1e-4, 2000)

    with pytest.raises(ConfigError, match="determinant"):
        search([1.0], make_solver=iterative)
    with pytest.raises(ConfigError, match="at least one value"):
        search([])


def test_likelihood_also_chooses_the_power_of_the_distance() -> None:
    powers, searches, errors = [0.25, 1.0, 6.0], [], []
    assert TEST.energies is not None
    for power in powers:
        descriptor = InverseDistance(4, power=power)
        searches.append(
            length_scale_by_likelihood(
                TRAINING, descriptor, "squared_exponential", GRID, 1e-3, 1e-3, cholesky, 100, 0
            )
        )
        model = fit(TRAINING, descriptor, SquaredExponential(searches[-1].length_scale), 1e-3, 1e-3, cholesky)
        errors.append(np.abs(predict_energies(model, descriptor, TEST.positions) - TEST.energies).mean())
    best = descriptor_by_likelihood(searches)
    assert max(errors) > 2 * min(errors)  # the choice matters
    assert errors[best] < 1.5 * min(errors)
    with pytest.raises(ConfigError, match="same structures"):
        descriptor_by_likelihood([search(GRID, 6), search(GRID, 7)])
