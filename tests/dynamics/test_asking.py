"""Runs that are answered together: an error is that of one run, and nothing stays open."""

import numpy as np
import pytest

from aenet_gpr_cli.dynamics.asking import Ask, answer, answer_together
from aenet_gpr_cli.dynamics.evaluation import Evaluation
from aenet_gpr_cli.errors import InputError


def asking(steps, closed):
    """Ask so many times; return the energies, or what was said against it."""
    energies = []
    try:
        for number in range(steps):
            found = yield Ask(np.full((1, 3), number), None, False, False)
            energies.append(found.energy)
    except InputError as error:
        return f"{error} after {len(energies)}"
    finally:
        closed.append(steps)
    return energies


def potential(positions, cell, strain, look, listed=None):
    return Evaluation(float(positions.sum()), -positions)


def test_each_run_has_its_own_end_and_its_own_error():
    seen, closed = [], []

    def potentials(asks):
        seen.append(sorted(asks))
        refused = {k for k in asks if k == 1 and len(seen) == 2}
        return {k: InputError("no") if k in refused else potential(*ask) for k, ask in asks.items()}

    found = answer_together({k: asking(k + 2, closed) for k in range(3)}, potentials)
    assert found == {0: [0.0, 3.0], 1: "no after 1", 2: [0.0, 3.0, 6.0, 9.0]}
    assert seen == [[0, 1, 2], [0, 1, 2], [2], [2]]
    assert answer(asking(2, closed), potential) == [0.0, 3.0]


def test_what_ends_the_potential_closes_all_runs():
    closed = []

    def broken(asks):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer_together({k: asking(k + 1, closed) for k in range(3)}, broken)
    assert sorted(closed) == [1, 2, 3]
