"""Difference of labels against δ: medians are drawn where they belong, δ in rising order."""

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures import label_differences


def test_each_delta_has_its_median_in_mev():
    (axis,) = label_differences.plot({0.03: np.array([0.01, 0.02, 0.06]), 0.01: np.array([-0.001] * 3)}).axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0.01", "0.03"]
    drawn = {tuple(line.get_ydata()) for line in axis.lines if len(line.get_ydata()) == 2}
    assert any(np.allclose(pair, 20.0) for pair in drawn)
    assert any(np.allclose(pair, -1.0) for pair in drawn)


def test_no_common_delta_is_refused():
    with pytest.raises(InputError, match="same δ"):
        label_differences.plot({})
