"""Curves against the bond length: what is given is drawn, errors and spread above it, panels comparable."""

import dataclasses

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures import energy_curves

LENGTHS = np.linspace(0.9, 2.0, 30)
TARGET = 1 / LENGTHS**2
KNOWN = energy_curves.Points(LENGTHS[::10], TARGET[::10], "training", "black", "o")


def curve(offset, members=3, sigma=None):
    predicted = TARGET + offset * (1 + np.arange(members))[:, None]
    return energy_curves.Curve("model", "#1f4e9c", LENGTHS, TARGET, predicted, sigma, (KNOWN,))


def panels(figure):
    axes = figure.axes
    return axes[: len(axes) // 2], axes[len(axes) // 2 :]


def test_the_mean_lies_over_the_target_and_its_distance_above():
    above, below = panels(energy_curves.plot([curve(0.01)], "energy"))
    target, predicted, points = below[0].lines
    assert np.allclose(target.get_ydata(), TARGET)
    assert np.allclose(predicted.get_ydata(), TARGET + 0.02)
    assert np.allclose(points.get_xdata(), KNOWN.lengths)
    assert np.allclose(above[0].lines[0].get_ydata(), 0.02)
    low, high = above[0].get_ylim()
    assert low <= 0.01 < 0.02 <= high  # spread and error are both in view


def test_spread_is_that_of_the_committee_or_the_given_sigma():
    assert np.allclose(curve(0.01).spread, 0.01)  # 1, 2, 3 hundredths
    sigma = np.full(len(LENGTHS), 0.3)
    assert curve(0.01, sigma=sigma).spread is sigma
    assert curve(0.01, members=1).spread is None
    above, _ = panels(energy_curves.plot([curve(0.01, members=1)], "energy"))
    assert not above[0].collections  # nothing is shaded where nothing is known


def test_panels_share_their_ranges():
    above, below = panels(energy_curves.plot([curve(0.001), curve(0.5)], "force"))
    for axes in (above, below):
        assert len({axis.get_ylim() for axis in axes}) == 1
    assert "eV/Å" in below[0].get_ylabel()
    assert "eV/Å" in above[0].get_ylabel()


def test_more_than_four_curves_go_on_in_the_next_line():
    figure = energy_curves.plot([curve(0.01)] * 5, "energy")
    assert len([axis for axis in figure.axes if axis.get_visible()]) == 10


def test_a_perfect_prediction_can_be_drawn():
    figure = energy_curves.plot([curve(0.0)], "energy")
    assert figure.axes[0].get_ylim()[0] > 0


def test_modes_have_energies_above_forces_with_the_99_percent_interval():
    figure = energy_curves.plot_modes([curve(0.01), curve(0.02)], [curve(0.1), curve(0.2)])
    assert [axis.get_ylabel() for axis in figure.axes[:4]] == ["energy (eV)", "", "force (eV/Å)", ""]
    (interval,) = figure.axes[0].collections
    edges = interval.get_paths()[0].vertices[:, 1]
    expected = TARGET[0] + 0.02 + 2.576 * np.array([-0.01, 0.01])
    assert np.isclose(edges[:, None], expected).any(axis=0).all()


def test_an_inset_shows_the_long_bonds():
    (inset,) = energy_curves.plot_modes([curve(0.001)], [curve(0.001)]).axes[0].child_axes
    low, high = inset.get_xlim()
    assert LENGTHS[0] < low < high == LENGTHS[-1]
    assert np.allclose(inset.lines[0].get_ydata(), TARGET)
    bottom, top = inset.get_ylim()
    assert bottom < TARGET[-1] < top < TARGET[0]


def test_the_mean_by_the_recipe_of_the_paper_is_dashed():
    ours = dataclasses.replace(curve(0.01), paper=TARGET + 0.3)
    figure = energy_curves.plot_modes([ours], [curve(0.1)])
    (dashed,) = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert np.allclose(dashed.get_ydata(), TARGET + 0.3)
    assert "as in the paper" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_legend_of_all_that_panels_may_hold_fits_into_the_figure():
    labels = [energy_curves.Points(LENGTHS, TARGET, f"{m} labels", "red", "s") for m in ("Taylor", "GP")]
    known = energy_curves.Points(LENGTHS, TARGET, "training", "black", "o")
    full = dataclasses.replace(curve(0.01), points=(*labels, known), paper=TARGET)
    figure = energy_curves.plot_modes([full] * 4, [full] * 4)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


def test_no_curve_is_refused():
    with pytest.raises(InputError, match="at least one curve"):
        energy_curves.plot([], "energy")
    with pytest.raises(InputError, match="at least one curve"):
        energy_curves.plot_modes([], [])
