"""Curves of active learning: one entry in the legend for each model and strategy, all curves drawn."""

import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.active_curves import ErrorCurve, plot


def test_seeds_share_an_entry_and_strategies_look_different():
    curves = [
        ErrorCurve("gpr", strategy, [10, 20, 40], [0.3, 0.1 + s, 0.05], [0.1, 0.05, 0.02])
        for strategy in ("uncertainty", "random")
        for s in (0.0, 0.01)
    ]
    energies, forces = plot(curves, goal=0.05).axes
    assert len(energies.lines) == 4
    assert len(forces.lines) == 5  # the goal
    assert [line.get_ydata()[1] for line in forces.lines[:4]] == [0.1, 0.11, 0.1, 0.11]
    assert energies.lines[0].get_ydata()[0] == pytest.approx(100.0)  # meV
    assert len({line.get_linestyle() for line in forces.lines[:4]}) == 2
    assert len(energies.get_legend().get_texts()) == 2


def test_nothing_to_draw_is_told():
    with pytest.raises(InputError, match="at least one round"):
        plot([])
