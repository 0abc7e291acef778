"""Learning curves: the median of the committee, members that stopped early, and what is drawn."""

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures import learning_curves
from aenet_gpr_cli.figures.learning_curves import LearningCurve

ERRORS = np.array([[8.0, 9.0, 7.0], [4.0, 5.0, 3.0], [2.0, np.nan, 1.0]])
OF_ENERGIES, WEIGHTED = "error (meV per structure)", "weighted error (meV)"


def draw(step="epoch", **curves):
    """The axes of some curves: errors in training, of structures held out (or None), and what they are."""
    return learning_curves.plot({name: LearningCurve(*curve) for name, curve in curves.items()}, step).axes


def test_lines_are_medians_over_the_members_still_training():
    (axis,) = draw(ann_gpr=(ERRORS, 2 * ERRORS, OF_ENERGIES))
    training, validation = axis.lines
    assert list(training.get_xdata()) == [1, 2, 3]
    assert list(training.get_ydata()) == [8.0, 4.0, 1.5]
    assert list(validation.get_ydata()) == [16.0, 8.0, 3.0]


def test_the_shade_reaches_from_the_best_to_the_worst_member():
    (axis,) = draw(ann_gpr=(ERRORS, None, OF_ENERGIES))
    outline = axis.collections[0].get_paths()[0].vertices
    assert {(x, y) for x, y in np.asarray(outline) if x == 2} == {(2.0, 3.0), (2.0, 5.0)}


def test_labels_say_what_and_over_what():
    axes = draw(
        "iteration",
        ann_gpr=(ERRORS, None, OF_ENERGIES),
        ann_direct=(ERRORS[:, :1], None, WEIGHTED),
        ann_combined=(ERRORS, None, WEIGHTED),
    )
    assert [axis.get_ylabel() for axis in axes] == [OF_ENERGIES, WEIGHTED, ""]
    assert [axis.get_xlabel() for axis in axes] == ["iteration"] * 3
    assert [axis.get_title() for axis in axes] == ["GPR-ANN", "direct forces", "forces and copies"]
    assert not axes[1].collections  # a single member has no range


@pytest.mark.parametrize("second", [OF_ENERGIES, WEIGHTED])
def test_only_errors_of_one_kind_share_an_axis(second):
    one, two = draw(ann_gpr=(ERRORS, None, OF_ENERGIES), ann_direct=(100 * ERRORS, None, second))
    assert (one.get_ylim() == two.get_ylim()) == (second == OF_ENERGIES)


def test_the_numbers_of_the_axis_are_plain():
    figure = learning_curves.plot({"ann_gpr": LearningCurve(100 * ERRORS, None, OF_ENERGIES)}, "epoch")
    figure.canvas.draw()
    said = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert {"200", "500"} <= set(said)


def test_steps_without_any_member_and_empty_validation_are_left_out():
    errors = np.array([[1.0], [np.nan], [0.5]])
    (axis,) = draw(ann_gpr=(errors, np.full((3, 1), np.nan), OF_ENERGIES))
    assert [list(line.get_xdata()) for line in axis.lines] == [[1, 3]]


def test_nothing_to_draw_is_an_error():
    with pytest.raises(InputError, match="at least one training"):
        learning_curves.plot({}, "epoch")
