from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.gpr.hyperparameters.parabola import climb


def run(function, start: float, bounds=(-10.0, 10.0), step=0.4, curvature=None):  # type: ignore[no-untyped-def]
    seen: dict[float, float | None] = {}

    def evaluate(x: float) -> float | None:
        assert x not in seen  # never twice
        assert bounds[0] <= x <= bounds[1]
        seen[x] = function(x)
        return seen[x]

    found = climb(evaluate, start, bounds, step, 1e-4, 30, curvature)
    known = {x: v for x, v in seen.items() if v is not None}
    return max(known, key=known.__getitem__) if known else None, found, len(seen)


@pytest.mark.parametrize("start", [-6.0, 0.0, 1.3, 1.6, 7.0])
def test_maximum_of_a_smooth_function(start: float) -> None:
    best, curvature, count = run(lambda x: -np.log(np.cosh(x - 1.5)) + 0.1 * np.sin(x), start)
    assert best == pytest.approx(1.5, abs=0.15)
    assert curvature == pytest.approx(1.0, rel=0.4)
    assert count < 12


def test_known_curvature_saves_a_point() -> None:
    best, _, count = run(lambda x: -0.7 * (x - 0.3) ** 2, 0.0, curvature=1.4)
    assert best == pytest.approx(0.3)
    assert count == 3


@pytest.mark.parametrize(("sign", "end"), [(1.0, 2.0), (-1.0, -2.0)])
def test_a_maximum_outside_ends_at_the_bound(sign: float, end: float) -> None:
    assert run(lambda x: sign * x, 0.0, bounds=(-2.0, 2.0))[0] == end


def test_where_there_is_no_value_it_turns_round() -> None:
    best, _, _ = run(lambda x: None if x > 1.0 else -((x - 0.7) ** 2), 4.0)
    assert best == pytest.approx(0.7, abs=0.1)
    assert run(lambda x: None, 0.0, bounds=(-1.0, 1.0))[0] is None
