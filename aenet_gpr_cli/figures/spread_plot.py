"""Error of a committee against its spread, structure by structure: is it large where the error is?

Takes spreads and errors and draws them; computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import DOUBLE_COLUMN, GREY, grid, mode_style, new_figure, print_style
from aenet_gpr_cli.structures import FloatArray
from aenet_gpr_cli.units import MEV_PER_EV

COLUMNS = 4
SMALLEST = 1e-4  # meV: exactly zero has no place on a logarithmic axis


@dataclass(frozen=True, slots=True)
class Spread:
    """Energies of some structures by one committee.

    Attributes
    ----------
    deviations : ndarray of shape (n_structures,), eV
        Standard deviation over the members.
    errors : ndarray of shape (n_structures,), eV
        Absolute error of their mean.
    """

    deviations: FloatArray
    errors: FloatArray


def plot(spreads: Mapping[str, Spread]) -> Figure:
    """Draw one panel for each committee, at most four in a line.

    Parameters
    ----------
    spreads : mapping of str to Spread
        By model.

    Returns
    -------
    Figure
        On the solid line the error equals the spread; below the dashed line it is less than twice as large.
    """
    if not spreads:
        raise InputError("spread figure: expected at least one committee, got none")
    lines, columns = grid(len(spreads), COLUMNS)
    joined = [np.concatenate([s.deviations, s.errors]) * MEV_PER_EV for s in spreads.values()]
    values = np.maximum(np.concatenate(joined), SMALLEST)
    limits = np.percentile(values, 1) / 2, values.max() * 2
    with print_style():
        figure = new_figure(DOUBLE_COLUMN * max(columns, 2) / COLUMNS, 0.2 + 2.0 * lines)
        axes = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
        for axis in axes.flat[len(spreads) :]:
            axis.set_visible(False)
        for axis, (name, spread) in zip(axes.flat, spreads.items(), strict=False):
            style = mode_style(name)
            x, y = (np.maximum(v * MEV_PER_EV, SMALLEST) for v in (spread.deviations, spread.errors))
            axis.plot(x, y, ".", color=style.colour, markersize=2.5, alpha=0.5, rasterized=True)
            axis.plot(limits, limits, color="black", linewidth=0.7)
            axis.plot(limits, [2 * limit for limit in limits], "--", color=GREY, linewidth=0.7)
            axis.set_title(style.label, color=style.colour, fontweight="bold")
            axis.set_xscale("log")
            axis.set_yscale("log")
            axis.set_xlim(limits)
            axis.set_ylim(limits)
            axis.set_box_aspect(1)
        for axis in axes.flat[max(0, len(spreads) - columns) : len(spreads)]:  # the lowest of each column
            axis.set_xlabel("spread of energy (meV)")
            axis.tick_params(labelbottom=True)
        for axis in axes[:, 0]:
            axis.set_ylabel("|error| (meV)")
    return figure
