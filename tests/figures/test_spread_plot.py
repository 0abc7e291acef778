"""Spread of committees: every structure where its spread and error are, panels comparable."""

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures import spread_plot
from aenet_gpr_cli.figures.spread_plot import Spread
from aenet_gpr_cli.figures.style import mode_style

SPREADS = {
    "ann_gpr": Spread(np.array([0.001, 0.004]), np.array([0.002, 0.003])),
    "ann_direct": Spread(np.array([0.010, 0.000]), np.array([0.050, 0.020])),
}


def test_points_are_spread_and_error_in_mev():
    axes = spread_plot.plot(SPREADS).axes
    points = axes[0].lines[0]
    assert np.allclose(points.get_xdata(), [1.0, 4.0])
    assert np.allclose(points.get_ydata(), [2.0, 3.0])
    assert points.get_color() == mode_style("ann_gpr").colour
    assert (axes[1].lines[0].get_xdata() > 0).all()  # no spread at all can be drawn, too


def test_panels_share_a_square_range_that_holds_the_largest_values():
    axes = spread_plot.plot(SPREADS).axes
    assert len({axis.get_xlim() for axis in axes} | {axis.get_ylim() for axis in axes}) == 1
    assert axes[0].get_xlim()[1] > 50.0


@pytest.mark.parametrize("n_models", [2, 4, 5, 7])
def test_the_lowest_panel_of_each_column_has_numbers_and_a_label(n_models):
    spreads = {f"ann_{i}": SPREADS["ann_gpr"] for i in range(n_models)}
    figure = spread_plot.plot(spreads)
    figure.draw_without_rendering()
    lowest = {axis.get_subplotspec().colspan.start: axis for axis in figure.axes if axis.get_visible()}
    assert len(lowest) == min(n_models, 4)
    for axis in lowest.values():
        assert axis.get_xlabel() == "spread of energy (meV)"
        assert any(text.get_visible() and text.get_text() for text in axis.get_xticklabels())


def test_no_committee_is_refused():
    with pytest.raises(InputError, match="at least one committee"):
        spread_plot.plot({})
