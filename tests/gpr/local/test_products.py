"""Evidence from sums of products against that from the triangle of the rows."""

from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.gpr.local.posterior import solve, whiten, whitening_parts
from aenet_gpr_cli.gpr.local.products import Products
from aenet_gpr_cli.gpr.local.triangle import Triangle


def problem(rng, n_rows=120, orders=6):
    """Return covariances of two species, rows whose size spans some orders, and targets."""
    parts = []
    for m in (9, 6):
        z = rng.normal(size=(m, 3))
        parts.append(np.exp(-0.5 * ((z[:, None] - z) ** 2).sum(axis=2)))
    rows = rng.normal(size=(n_rows, 15)) * np.logspace(0, orders, n_rows)[:, None] ** rng.integers(
        0, 2, (n_rows, 1)
    )
    return parts, rows, rows @ rng.normal(size=15) + rng.normal(size=n_rows)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_evidence_is_that_of_the_triangle(seed):
    parts, rows, targets = problem(np.random.default_rng(seed))
    triangle, products = Triangle(15), Products(whitening_parts(parts))
    for start in range(0, 120, 7):
        triangle.add(rows[start : start + 7], targets[start : start + 7])
        products.add(rows[start : start + 7], targets[start : start + 7])
    exact = solve(triangle.factor, 120, 3.0, whiten(parts)).log_evidence
    assert products.log_evidence(3.0) == pytest.approx(exact, abs=0.1)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_coefficients_predict_as_those_of_the_triangle(seed):
    parts, rows, targets = problem(np.random.default_rng(seed), orders=2)
    triangle, products = Triangle(15), Products(whitening_parts(parts))
    triangle.add(rows, targets)
    products.add(rows, targets)
    exact = rows @ solve(triangle.factor, 120, 3.0, whiten(parts)).coefficients
    found = rows @ products.coefficients(3.0)
    np.testing.assert_allclose(found, exact, atol=1e-6 * np.abs(targets).max())


def test_rows_of_another_noise_enter_as_if_they_were_divided_by_it():
    parts, rows, targets = problem(np.random.default_rng(4), orders=1)
    whitening = whitening_parts(parts)
    whole, known, added = Products(whitening), Products(whitening), Products(whitening)
    known.add(rows[:80], targets[:80])
    added.add(rows[80:], targets[80:])
    whole.add(rows[:80], targets[:80])
    whole.add(rows[80:] / 0.3, targets[80:] / 0.3)
    both = known.plus(added, 0.3)
    assert both.n_rows == 120
    assert both.log_evidence(1.0) == pytest.approx(whole.log_evidence(1.0), abs=1e-3)
    assert both.log_evidence(1.0) != pytest.approx(known.plus(added, 1.0).log_evidence(1.0), abs=1.0)


def test_rows_that_are_not_finite_are_refused():
    parts, rows, targets = problem(np.random.default_rng(5))
    products = Products(whitening_parts(parts))
    products.add(np.where(rows == rows[3, 4], np.nan, rows), targets)
    with pytest.raises(NumericalError, match="got NaN"):
        products.log_evidence(0.0)


def test_the_evidence_of_a_single_environment_is_that_of_the_rows():
    """As of a species of isolated atoms, or of molecules that are all the same."""
    rng = np.random.default_rng(1)
    rows, targets = rng.normal(size=(9, 1)), rng.normal(size=9)
    whitening = np.array([[0.7]])
    products, triangle = Products([whitening]), Triangle(1)
    products.add(rows, targets)
    triangle.add(rows, targets)
    known = solve(triangle.factor, 9, 2.0, whitening)
    assert products.log_evidence(2.0) == pytest.approx(known.log_evidence, rel=1e-10)
    np.testing.assert_allclose(products.coefficients(2.0), known.coefficients, rtol=1e-10)
