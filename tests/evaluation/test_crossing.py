"""Where two power laws cross."""

import numpy as np
import pytest

from aenet_gpr_cli.evaluation.crossing import crossing

X = np.array([20.0, 40.0, 100.0, 200.0])


@pytest.mark.parametrize("at", [25.0, 70.0, 199.0])
def test_power_laws_cross_where_they_do(at):
    assert crossing(X, X / at, (X / at) ** 2) == pytest.approx(at)


def test_everywhere_and_nowhere():
    assert crossing(X, 0.5 * X, X) == X[0]
    assert crossing(X, X, 0.5 * X) is None
    assert crossing(X, X, X) is None


def test_the_last_crossing_counts():
    assert crossing(X, [1.0, 3.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0]) > 40.0
