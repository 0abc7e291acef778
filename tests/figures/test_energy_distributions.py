"""Distributions: every structure is counted, all parts share their bins."""

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures import energy_distributions


def heights(axis):
    return sum(patch.get_height() for patch in axis.patches)


def test_every_structure_is_counted_once():
    rng = np.random.default_rng(0)
    figure = energy_distributions.plot({"train": rng.uniform(0, 1, 30), "test": rng.uniform(0, 2, 70)})
    (axis,) = figure.axes
    assert heights(axis) == 100
    assert [text.get_text() for text in axis.get_legend().get_texts()] == [
        "test, 70 structures",
        "training, 30 structures",
    ]
    assert "eV" in axis.get_xlabel()


@pytest.mark.parametrize(("n_train", "n_test"), [(160, 40), (60, 150)])
def test_the_smaller_part_is_drawn_in_front(n_train, n_test):
    rng = np.random.default_rng(0)
    parts = {"train": rng.uniform(0, 1, n_train), "test": rng.uniform(0, 1, n_test)}
    (axis,) = energy_distributions.plot(parts).axes
    assert [sum(p.get_height() for p in c) for c in axis.containers] == sorted(
        [n_train, n_test], reverse=True
    )
    assert {patch.get_alpha() for patch in axis.patches} == {None}  # nor does what is behind shine through


def test_equal_energies_are_no_empty_range():
    assert heights(energy_distributions.plot({"train": np.zeros(3)}).axes[0]) == 3


def test_each_augmented_set_has_a_panel_in_the_colour_of_its_method():
    rng = np.random.default_rng(1)
    sets = {name: rng.uniform(0, 2, 50) for name in ("gpr_0.034", "taylor_0.003", "gpr_0.021", "gpr_0.008")}
    figure = energy_distributions.plot_augmented(rng.uniform(0, 1, 9), sets)
    axes = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in axes] == [name.replace("_", " ") for name in sets]
    colors = [axis.title.get_color() for axis in axes]
    assert colors[0] == colors[2] != colors[1]


def test_nothing_to_draw_is_told():
    with pytest.raises(InputError, match="at least one energy"):
        energy_distributions.plot({"train": np.zeros(0)})
    with pytest.raises(InputError, match="at least one augmented set"):
        energy_distributions.plot_augmented(np.zeros(3), {})


def test_every_method_begins_a_line_of_its_own():
    sets = {f"{m}_{i}": np.linspace(0, 1, 5) for m, n in (("gpr", 5), ("taylor", 2)) for i in range(n)}
    figure = energy_distributions.plot_augmented(np.linspace(0, 1, 9), sets)
    places = [axis.get_subplotspec() for axis in figure.axes if axis.get_visible()]
    assert [(p.rowspan.start, p.colspan.start) for p in places] == [
        (0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (2, 1)
    ]  # fmt: skip
