"""Top and side views of structures with their numbers (Figure S16 of the paper).

Takes atoms and text and draws them; the projection is ASE's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.data.colors import jmol_colors
from ase.visualize.plot import plot_atoms
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import DOUBLE_COLUMN, GREY, grid, new_figure, print_style
from aenet_gpr_cli.structures import FloatArray, Structure

COLUMNS = 4
ROTATIONS = {"top": "0x,0y,0z", "side": "-90x,0y,0z"}
RADIUS = 0.8  # of the covalent radius: atoms behind others stay visible
MARGIN = 1.3  # Å around the centres of the outermost atoms
SMALLEST_RANGE = 7.0  # Å: small molecules are not blown up


@dataclass(frozen=True, slots=True)
class StructureView:
    """One subset: one of its structures, and the text above and below it."""

    title: str
    remark: str
    structure: Structure


def plot(views: Sequence[StructureView]) -> Figure:
    """Draw each structure from above (left) and from the side (right).

    Parameters
    ----------
    views : sequence of StructureView
    """
    if not views:
        raise InputError("structure figure: expected at least one subset, got none")
    lines, columns = grid(len(views), COLUMNS)
    with print_style():
        figure = new_figure(DOUBLE_COLUMN * columns / COLUMNS + 0.2, 1.45 * lines + 0.3)
        cells = figure.subfigures(lines, columns, squeeze=False)
        for cell, view in zip(cells.flat, views, strict=False):
            cell.suptitle(view.title, fontsize=7.5, fontweight="bold")
            cell.supxlabel(view.remark, fontsize=6.5, color=GREY)
            for axis, rotation in zip(cell.subplots(1, 2), ROTATIONS.values(), strict=True):
                _draw(axis, view.structure, rotation)
        symbols = sorted(
            {s for view in views for s in view.structure.species}, key=atomic_numbers.__getitem__
        )
        figure.legend(handles=[_key(s) for s in symbols], loc="outside lower center", ncols=len(symbols))
    return figure


def _draw(axis: Axes, structure: Structure, rotation: str) -> None:
    atoms = Atoms(structure.species, structure.positions, cell=structure.cell, pbc=structure.pbc)
    plot_atoms(atoms, axis, rotation=rotation, radii=RADIUS, show_unit_cell=2 if any(structure.pbc) else 0)
    for patch in axis.patches:
        patch.set_linewidth(0.5)
    _crop(axis, np.array([patch.center for patch in axis.patches if isinstance(patch, Circle)]))
    axis.set_axis_off()


def _crop(axis: Axes, centres: FloatArray) -> None:
    """Show the atoms and not the vacuum of their cell."""
    low, high = centres.min(axis=0) - MARGIN, centres.max(axis=0) + MARGIN
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, SMALLEST_RANGE / 2)
    axis.set_xlim(middle[0] - half[0], middle[0] + half[0])
    axis.set_ylim(middle[1] - half[1], middle[1] + half[1])


def _key(symbol: str) -> Line2D:
    colour = jmol_colors[atomic_numbers[symbol]]
    return Line2D([], [], linestyle="", marker="o", color=colour, markeredgecolor="black", label=symbol)
