"""Dots lie where the table says, in the colours of the modes; what was not measured has none."""

import itertools

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.error_bars import plot_models, plot_subsets
from aenet_gpr_cli.figures.style import mode_style

TABLE = {
    "ann_energy_only": {"energy_mae": 0.060, "force_norm_mae": 0.6, "force_direction_mae": 24.0},
    "ann_gpr": {"energy_mae": 0.004, "force_norm_mae": 0.03, "force_direction_mae": 1.6},
    "ann_bad": {"energy_mae": 0.120, "force_norm_mae": 1.2, "force_direction_mae": 48.0},
}


def dots(axis):
    """Marked points only: guides have no marker."""
    return [line for line in axis.lines if line.get_marker() not in ("None", None, "")]


def test_dots_lie_at_the_values_of_the_table_in_the_colours_of_the_modes():
    axes = plot_models(TABLE).axes
    for axis, key, factor in zip(
        axes, ("energy_mae", "force_norm_mae", "force_direction_mae"), (1000, 1, 1), strict=True
    ):
        for dot, (name, row) in zip(dots(axis), TABLE.items(), strict=True):
            assert dot.get_xdata()[0] == pytest.approx(row[key] * factor)
            assert dot.get_color() == mode_style(name).colour


def test_the_best_model_is_marked():
    axis = plot_models(TABLE, best="ann_gpr").axes[0]
    assert [dot.get_marker() for dot in dots(axis)] == ["o", "*", "o"]
    assert [label.get_fontweight() for label in axis.get_yticklabels()] == ["normal", "bold", "normal"]


def test_labels_carry_units_and_say_that_axes_are_logarithmic():
    axes = plot_models(TABLE).axes
    assert [a.get_xlabel() for a in axes] == [
        "energy MAE (meV)\nlogarithmic scale",
        "‖F‖ MAE (eV/Å)\nlogarithmic scale",
        "force direction MAE (°)\nlogarithmic scale",
    ]
    assert [t.get_text() for t in axes[0].get_yticklabels()] == ["energy only", "GPR-ANN", "ann bad"]
    assert all(axis.get_xscale() == "log" for axis in axes)


@pytest.mark.parametrize("factor", [0.01, 1.0, 3.7])
def test_no_tick_of_an_angle_is_beyond_half_a_turn_and_none_overlap(factor):
    table = {
        name: row | {"force_direction_mae": factor * row["force_direction_mae"]}
        for name, row in TABLE.items()
    }
    figure = plot_models(table)
    figure.draw_without_rendering()
    for axis in figure.axes:
        boxes = [label.get_window_extent() for label in axis.get_xticklabels() if label.get_text()]
        assert boxes
        assert all(first.x1 < second.x0 for first, second in itertools.pairwise(boxes))
    assert max(float(label.get_text()) for label in figure.axes[2].get_xticklabels()) <= 180


def test_gains_are_relative_to_energy_only_training():
    texts = [text.get_text().strip() for text in plot_models(TABLE).axes[0].texts]
    assert texts == ["60.0", "4.00  (15× less)", "120  (2.0× more)"]


def test_without_the_baseline_there_are_no_gains():
    table = {name: row for name, row in TABLE.items() if name != "ann_energy_only"}
    assert [t.get_text().strip() for t in plot_models(table).axes[0].texts] == ["4.00", "120"]


def test_missing_and_zero_values_are_marked_not_drawn():
    table = TABLE | {
        "ann_direct": {"energy_mae": 0.0, "force_norm_mae": None},
    }
    axes = plot_models(table).axes
    assert [len(dots(axis)) for axis in axes] == [3, 3, 3]
    assert [axis.texts[-1].get_text().strip() for axis in axes] == ["0", "–", "–"]


def test_a_measure_that_no_model_has_gets_no_panel():
    table = {name: {"energy_mae": row["energy_mae"], "force_norm_mae": None} for name, row in TABLE.items()}
    assert len(plot_models(table).axes) == 1


@pytest.mark.parametrize("names", [list(TABLE), list(TABLE)[:2], list(TABLE)[1:], list(TABLE)[:1]])
def test_numbers_stay_within_the_panels(names):
    figure = plot_models({k: v for k, v in TABLE.items() if k in names})
    figure.draw_without_rendering()
    for axis in figure.axes:
        right = axis.get_window_extent().x1
        assert max(text.get_window_extent().x1 for text in axis.texts) <= right + 1  # one pixel


def test_an_empty_table_is_an_error():
    with pytest.raises(InputError, match="at least one model"):
        plot_models({})
    with pytest.raises(InputError, match="at least one model"):
        plot_subsets({}, "energy", {})


def test_a_remark_takes_the_place_of_the_rest_of_a_name():
    axis = plot_models({"ann_gpr_0.03_8": TABLE["ann_gpr"]}, remarks={"ann_gpr_0.03_8": "M = 8"}).axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["GPR-ANN, M = 8"]


SUBSETS = {"C3H4O3": "EC", "Li54": "Li"}


def table(msd):
    keys = ("energy_{}_per_atom", "force_norm_{}")
    return {
        model: {
            subset: {
                key.format(m): scale * (i + 1) if m == "mae" else msd
                for key in keys
                for m in ("mae", "spread")
            }
            for i, subset in enumerate(SUBSETS)
        }
        for model, scale in (("ann_gpr", 0.001), ("ann_direct", 0.002))
    }


def heights(axis):
    return [line.get_ydata() for line in axis.lines]


def test_heights_are_the_table_in_the_colours_of_the_modes():
    figure = plot_subsets(table(None), "energy", SUBSETS)
    (axis,) = figure.axes
    assert np.allclose(heights(axis), [[1.0, 2.0], [2.0, 4.0]])  # meV
    assert [line.get_color() for line in axis.lines] == [
        mode_style(name).colour for name in ("ann_gpr", "ann_direct")
    ]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["EC", "Li"]


def test_committees_have_a_second_panel_with_their_spread():
    above, below = plot_subsets(table(0.5), "force", SUBSETS).axes
    assert above.get_ylabel() == "‖F‖ MAE (eV/Å)\nlogarithmic scale"
    assert below.get_ylabel() == "‖F‖ spread (eV/Å)\nlogarithmic scale"
    assert np.allclose(heights(below), 0.5)


def test_dots_of_models_stand_side_by_side():
    (axis,) = plot_subsets(table(None), "force", SUBSETS).axes
    first, second = (line.get_xdata() for line in axis.lines)
    assert (first < second).all()
    assert first[1] - second[0] > second[0] - first[0]


def test_a_stress_has_a_panel_of_its_own_and_room_for_it():
    with_stress = {name: row | {"stress_mae_gpa": 0.1} for name, row in TABLE.items()}
    usual, wider = plot_models(TABLE), plot_models(with_stress)
    assert [a.get_xlabel().split("\n")[0] for a in wider.axes][len(usual.axes) :] == ["stress MAE (GPa)"]
    each = [figure.get_figwidth() / len(figure.axes) for figure in (usual, wider)]
    assert each[1] == pytest.approx(each[0])
