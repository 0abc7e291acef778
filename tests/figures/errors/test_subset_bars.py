"""Bars by subset: heights are the table, models in their colours, nothing drawn for what was not measured."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.errors import subset_bars
from aenet_gpr_cli.figures.style import mode_style

SUBSETS = {"C3H4O3": "EC", "Li54": "Li"}


def table(msd):
    keys = ("energy_{}_per_atom", "force_norm_{}")
    return {
        model: {
            subset: {
                key.format(m): scale * (i + 1) if m == "mae" else msd for key in keys for m in ("mae", "msd")
            }
            for i, subset in enumerate(SUBSETS)
        }
        for model, scale in (("ann_gpr", 0.001), ("ann_direct", 0.002))
    }


def heights(axis):
    return [[bar.get_height() for bar in group] for group in axis.containers]


def test_heights_are_the_table_in_the_colours_of_the_modes():
    figure = subset_bars.plot(table(None), "energy", SUBSETS)
    (axis,) = figure.axes
    assert np.allclose(heights(axis), [[1.0, 2.0], [2.0, 4.0]])  # meV
    colours = [group[0].get_facecolor()[:3] for group in axis.containers]
    assert colours == [to_rgb(mode_style(name).color) for name in ("ann_gpr", "ann_direct")]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["EC", "Li"]


def test_committees_have_a_second_panel_with_their_spread():
    above, below = subset_bars.plot(table(0.5), "force", SUBSETS).axes
    assert above.get_ylabel() == "‖F‖ MAE (eV/Å)"
    assert below.get_ylabel() == "‖F‖ MSD (eV/Å)"
    assert np.allclose(heights(below), 0.5)


def test_bars_of_models_stand_side_by_side():
    (axis,) = subset_bars.plot(table(None), "force", SUBSETS).axes
    first, second = (group[0] for group in axis.containers)
    assert np.isclose(first.get_x() + first.get_width(), second.get_x())


def test_nothing_to_draw_is_refused():
    with pytest.raises(InputError, match="at least one model"):
        subset_bars.plot({}, "energy", {})
