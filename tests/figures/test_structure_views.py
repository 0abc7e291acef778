"""Views of structures: every atom in both views, numbers above, species explained once."""

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures import structure_views
from aenet_gpr_cli.figures.structure_views import StructureView
from aenet_gpr_cli.structures import Structure

FREE = (False, False, False)
WATER = Structure(("O", "H", "H"), np.array([[0, 0, 0], [0, 0.8, 0.6], [0, -0.8, 0.6]], float), None, FREE)
LITHIUM = Structure(("Li",), np.zeros((1, 3)), 3.4 * np.eye(3), (True, True, True))


def test_both_views_show_every_atom_and_the_legend_every_species():
    figure = structure_views.plot(
        [StructureView("H₂O", "water displaced, 4 + 6", WATER), StructureView("Li", "bulk", LITHIUM)]
    )
    assert [len(axis.patches) >= n for axis, n in zip(figure.axes, (3, 3, 1, 1), strict=True)] == [True] * 4
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["H", "Li", "O"]
    assert [cell.get_suptitle() for cell in figure.subfigs] == ["H₂O", "Li"]


def test_views_differ_in_their_direction():
    (from_above, from_the_side) = structure_views.plot([StructureView("H₂O", "", WATER)]).axes

    def centres(axis):
        return np.array([patch.center for patch in axis.patches[:3]])

    def widths(points):
        return np.ptp(points, axis=0)

    assert widths(centres(from_above))[1] == pytest.approx(1.6)  # y upwards on paper
    assert widths(centres(from_the_side))[1] == pytest.approx(0.6)  # z upwards


def test_no_structure_is_refused():
    with pytest.raises(InputError, match="at least one subset"):
        structure_views.plot([])
