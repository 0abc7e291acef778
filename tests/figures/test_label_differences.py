"""Difference of labels against δ: medians are drawn where they belong, δ in rising order."""

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures import label_differences
from aenet_gpr_cli.figures.label_differences import Cut
from aenet_gpr_cli.figures.style import mode_style


def test_each_delta_has_its_median_in_mev():
    (axis,) = label_differences.plot({0.03: np.array([0.01, 0.02, 0.06]), 0.01: np.array([-0.001] * 3)}).axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0.01", "0.03"]
    drawn = {tuple(line.get_ydata()) for line in axis.lines if len(line.get_ydata()) == 2}
    assert any(np.allclose(pair, 20.0) for pair in drawn)
    assert any(np.allclose(pair, -1.0) for pair in drawn)


def test_errors_of_the_labels_are_lines_against_delta():
    errors = {"taylor": {0.01: 0.001, 0.03: 0.009}, "gpr": {0.01: 0.002, 0.03: 0.002}}
    (axis,) = label_differences.plot_errors(errors).axes
    taylor, gpr = axis.lines
    assert list(taylor.get_xdata()) == [0.01, 0.03]
    assert np.allclose(taylor.get_ydata(), [1.0, 9.0])
    assert np.allclose(gpr.get_ydata(), 2.0)
    assert taylor.get_color() == mode_style("ann_taylor").colour


def test_a_cut_shows_the_tangent_at_the_structure_and_both_labels_at_the_copy():
    way = np.linspace(-0.1, 0.1, 21)
    cut = Cut(way, 3 * way**2 + way, 1.0, 0.05, {"taylor": 0.05, "gpr": 0.0575})
    (axis,) = label_differences.plot_cut(cut).axes
    surface, tangent, *points = axis.lines
    assert (tangent.get_ydata() <= surface.get_ydata() + 1e-12).all()
    assert np.allclose(tangent.get_ydata(), way)
    assert [(p.get_xdata()[0], p.get_ydata()[0]) for p in points] == [(0, 0), (0.05, 0.05), (0.05, 0.0575)]


def test_nothing_to_compare_is_refused():
    with pytest.raises(InputError, match="at least one δ"):
        label_differences.plot_errors({})


def test_no_common_delta_is_refused():
    with pytest.raises(InputError, match="same δ"):
        label_differences.plot({})
