"""Learning curves: the median of the committee, and members that stopped early."""

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures import learning_curves
from aenet_gpr_cli.figures.learning_curves import LearningCurve

LOSSES = np.array([[8.0, 9.0, 7.0], [4.0, 5.0, 3.0], [2.0, np.nan, 1.0]])


def test_lines_are_medians_over_the_members_still_training():
    axis = learning_curves.plot({"ann_gpr": LearningCurve(LOSSES, 2 * LOSSES)}, "loss (eV)", "epoch").axes[0]
    training, validation = axis.lines
    assert list(training.get_xdata()) == [1, 2, 3]
    assert list(training.get_ydata()) == [8.0, 4.0, 1.5]
    assert list(validation.get_ydata()) == [16.0, 8.0, 3.0]


def test_the_shade_reaches_from_the_best_to_the_worst_member():
    axis = learning_curves.plot({"ann_gpr": LearningCurve(LOSSES, None)}, "loss (eV)", "epoch").axes[0]
    outline = axis.collections[0].get_paths()[0].vertices
    assert {(x, y) for x, y in np.asarray(outline) if x == 2} == {(2.0, 3.0), (2.0, 5.0)}


def test_labels_say_what_and_over_what():
    curves = {"ann_gpr": LearningCurve(LOSSES, None), "ann_direct": LearningCurve(LOSSES[:, :1], None)}
    axes = learning_curves.plot(curves, "loss (eV)", "iteration").axes
    assert axes[0].get_ylabel() == "loss (eV)"
    assert [axis.get_xlabel() for axis in axes] == ["iteration", "iteration"]
    assert [axis.get_title() for axis in axes] == ["GPR-ANN", "direct forces"]
    assert not axes[1].collections  # a single member has no range


def test_steps_without_any_member_and_empty_validation_are_left_out():
    losses = np.array([[1.0], [np.nan], [0.5]])
    axis = learning_curves.plot(
        {"ann_gpr": LearningCurve(losses, np.full((3, 1), np.nan))}, "loss", "epoch"
    ).axes[0]
    assert [list(line.get_xdata()) for line in axis.lines] == [[1, 3]]


def test_nothing_to_draw_is_an_error():
    with pytest.raises(InputError, match="at least one training"):
        learning_curves.plot({}, "loss", "epoch")
