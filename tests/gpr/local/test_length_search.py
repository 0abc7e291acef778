"""The search along the length scale: bounds, level evidence, and nothing calculated twice."""

from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.gpr.local import local_fit
from aenet_gpr_cli.gpr.local.local_fit import LENGTHS, LengthSearch


class Fit:
    """What the search needs of a fit."""

    class basis:
        words = "descriptor"

    def inducing(self, count):
        """No environments."""

    def design(self, inducing):
        """No rows."""


def searched(monkeypatch, evidence, start):
    """Return a search of a function, and the length scales of each pass over the structures."""
    passes = []

    def evidences_of(design, sets, lengths):
        passes.append(list(lengths))
        return [evidence(length) for length in lengths]

    monkeypatch.setattr(local_fit, "evidences_of", evidences_of)
    search = LengthSearch(Fit(), [], 1, None, lambda *_: None)
    search.climb(start)
    search.refine()
    return search, passes


@pytest.mark.parametrize(
    ("evidence", "start", "best"),
    [
        (lambda length: np.log(length), 16.0, LENGTHS[1]),
        (lambda length: np.log(length), 2 * LENGTHS[1], LENGTHS[1]),
        (lambda length: -np.log(length), 16.0, LENGTHS[0]),
        (lambda length: -np.log(length), LENGTHS[0] / 4, LENGTHS[0]),
        (lambda length: -((np.log2(length) - 5.3) ** 2), 16.0, 2.0**5.3),
        (lambda length: -((np.log2(length) - 5.3) ** 2), 5.0, 2.0**5.3),
    ],
    ids=["rises", "from beyond", "falls", "from below", "vertex", "off the grid"],
)
def test_the_largest_evidence_between_the_bounds_is_found_and_nothing_is_calculated_twice(
    monkeypatch, evidence, start, best
):
    search, passes = searched(monkeypatch, evidence, start)
    assert search.best == pytest.approx(best, rel=1e-9)
    tried = [length for lengths in passes for length in lengths]
    assert all(passes)  # each pass makes all environments, also for no length scale
    assert len(set(tried)) == len(tried)
    assert min(tried) >= LENGTHS[0]
    assert max(tried) <= LENGTHS[1]


@pytest.mark.parametrize("level", [0.0, -np.inf], ids=["level", "none possible"])
def test_level_evidence_ends_the_search_at_a_length_scale_it_has_tried(monkeypatch, level):
    search, passes = searched(monkeypatch, lambda _: level, 16.0)
    assert LENGTHS[0] <= search.best <= LENGTHS[1]
    assert len(passes) <= 2
