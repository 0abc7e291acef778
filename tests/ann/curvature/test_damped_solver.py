import numpy as np
import pytest

from aenet_gpr_cli.ann.curvature.damped_solver import (
    WIDTH,
    add_square,
    lapack_factorise,
    lapack_invert,
    lapack_solve,
)


@pytest.fixture
def square():
    rows = np.random.default_rng(3).standard_normal((40, 30))
    return rows.T @ rows


def test_factors_solve_and_invert(square):
    factor = square.copy()
    factor[np.triu_indices(30, 1)] = np.nan  # never read
    assert lapack_factorise(factor)
    lower = np.tril(factor)
    assert lower @ lower.T == pytest.approx(square, abs=1e-12)
    solution = np.arange(30.0)
    lapack_solve(factor, solution)
    assert square @ solution == pytest.approx(np.arange(30.0), abs=1e-9)
    lapack_invert(factor)
    assert np.tril(factor) @ lower == pytest.approx(np.eye(30), abs=1e-9)
    assert np.isnan(factor[np.triu_indices(30, 1)]).all()


def test_the_square_of_rows_is_added_to_the_lower_triangle(square):
    rows = np.random.default_rng(4).standard_normal((7, 30))
    total = np.where(np.tri(30, dtype=bool), square, np.nan)  # above the diagonal nothing is read
    add_square(total, rows)
    assert np.tril(total) == pytest.approx(np.tril(square + rows.T @ rows), abs=1e-12)
    with pytest.raises(ValueError, match="float64 of 30 columns"):
        add_square(square, rows[:, :20])


@pytest.mark.parametrize("width", [1, WIDTH - 1, WIDTH, WIDTH + 1, 3 * WIDTH + 5])
def test_factors_of_any_number_of_blocks_are_those_of_numpy(width):
    rows = np.random.default_rng(5).standard_normal((width + 20, width))
    square = rows.T @ rows
    factor = np.where(np.tri(width, dtype=bool), square, np.nan)
    assert lapack_factorise(factor)
    assert np.tril(factor) == pytest.approx(np.linalg.cholesky(square), abs=1e-11 * width)
    assert np.isnan(factor[np.triu_indices(width, 1)]).all()


@pytest.mark.parametrize("where", [7, WIDTH + 7])
def test_a_matrix_that_is_not_positive_definite_has_no_factor(where):
    rows = np.random.default_rng(6).standard_normal((3 * WIDTH, 2 * WIDTH))
    square = rows.T @ rows
    square[where, where] = -1.0
    assert not lapack_factorise(square)


@pytest.mark.parametrize("wrong", [np.eye(3, dtype=np.float32), np.eye(6)[:, ::2], np.eye(4)[:, :3]])
def test_other_arrays_are_refused(wrong):
    with pytest.raises(ValueError, match="row-major square matrix of float64"):
        lapack_factorise(wrong)
    with pytest.raises(ValueError, match="vector of 4 float64"):
        lapack_solve(np.eye(4), np.arange(4))
