"""Errors of several models on each subset as bars (Figures S10 and S11 of the paper).

Takes error measures by model and subset and draws them; computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import DOUBLE_COLUMN, mode_style, new_figure, print_style
from aenet_gpr_cli.units import MEV_PER_EV

QUANTITIES = {
    "energy": ("energy {} (meV/atom)", "energy_{}_per_atom", MEV_PER_EV),
    "force": ("‖F‖ {} (eV/Å)", "force_norm_{}", 1.0),
}
MEASURES = ("mae", "msd")
WIDTH = 0.8  # of the bars of a subset together


def plot(
    table: Mapping[str, Mapping[str, Mapping[str, Any]]], quantity: str, labels: Mapping[str, str]
) -> Figure:
    """Draw MAE and, of committees, MSD on each subset.

    Parameters
    ----------
    table : mapping of str to mapping of str to metrics
        Model → subset → error measures.
    quantity : str
        ``energy`` or ``force``.
    labels : mapping of str to str
        Subset → how it is written.

    Returns
    -------
    Figure
        Logarithmic axes; what was not measured, or is zero, has no bar.

    Raises
    ------
    InputError
        If there is no model.
    """
    if not table:
        raise InputError("subset figure: expected at least one model, got none")
    text, key, factor = QUANTITIES[quantity]
    subsets = list(next(iter(table.values())))
    measures = [
        m for m in MEASURES if any(row.get(key.format(m)) for r in table.values() for row in r.values())
    ]
    with print_style():
        figure = new_figure(DOUBLE_COLUMN, 1.4 + 1.7 * len(measures))
        axes = figure.subplots(len(measures), 1, sharex=True, squeeze=False)[:, 0]
        for axis, measure in zip(axes, measures, strict=True):
            for number, (model, rows) in enumerate(table.items()):
                values = [rows.get(name, {}).get(key.format(measure)) or np.nan for name in subsets]
                _bars(axis, number, len(table), np.array(values) * factor, model)
            axis.set_yscale("log")
            axis.set_ylabel(text.format(measure.upper()))
        _name(axes[-1], [labels[name] for name in subsets])
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=len(names))
    return figure


def _bars(axis: Axes, number: int, count: int, values: np.ndarray, model: str) -> None:
    style = mode_style(model)
    width = WIDTH / count
    places = np.arange(len(values)) + (number - (count - 1) / 2) * width
    axis.bar(places, values, width, color=style.color, label=style.label)


def _name(axis: Axes, names: Sequence[str]) -> None:
    axis.set_xticks(range(len(names)), list(names), rotation=50, ha="right", rotation_mode="anchor")
    axis.tick_params(axis="x", length=0)
    axis.margins(x=0.01)
