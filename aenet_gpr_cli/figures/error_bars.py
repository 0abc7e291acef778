"""Errors of models as bars: of the training modes on all structures, and on each subset (Figures S10, S11).

Takes error measures and draws them; computes nothing but the ratio written beside a bar.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import (
    DOUBLE_COLUMN,
    GREY,
    mode_style,
    new_figure,
    print_style,
    three_digits,
    title_of,
)
from aenet_gpr_cli.units import MEV_PER_EV

BASELINE = "ann_energy_only"  # no ratios where it is missing
WIDE_RANGE = 1.8  # decades, from where on one labelled tick per decade is enough
MOST_TICKS = {False: 6, True: 4}  # where the range is narrow, and wide
CHARACTER_WIDTH = 0.03  # of the numbers, in widths of one of three panels
SUBSET_QUANTITIES = {
    "energy": ("energy {} (meV/atom)", "energy_{}_per_atom", MEV_PER_EV),
    "force": ("‖F‖ {} (eV/Å)", "force_norm_{}", 1.0),
}
SUBSET_WIDTH = 0.8  # of the bars of a subset together


@dataclass(frozen=True, slots=True)
class Measure:
    """One panel: which metric, in which unit."""

    key: str
    label: str
    factor: float


MEASURES = (
    Measure("energy_mae", "energy MAE (meV)", MEV_PER_EV),
    Measure("force_norm_mae", "‖F‖ MAE (eV/Å)", 1.0),
    Measure("force_direction_mae", "force direction MAE (°)", 1.0),
)


def plot_models(table: Mapping[str, Mapping[str, Any]], remarks: Mapping[str, str] | None = None) -> Figure:
    """Draw the errors of several models as bars on logarithmic axes, with the gain over energy-only training.

    Parameters
    ----------
    table : mapping of str to metrics
        Model name → error measures, as `evaluation.metrics` returns them; drawn from top to bottom.
    remarks : mapping of str to str, optional
        Model name → remark behind the name of its mode, in place of the rest, such as δ and M.
    """
    if not table:
        raise InputError("summary figure: expected at least one model, got none")
    measures = [m for m in MEASURES if any(row.get(m.key) for row in table.values())]
    names = list(table)
    with print_style():
        figure = new_figure(DOUBLE_COLUMN, 0.75 + 0.27 * len(names))
        axes = figure.subplots(1, max(1, len(measures)), sharey=True, squeeze=False)[0]
        for axis, measure in zip(axes, measures, strict=False):
            _draw_bars(axis, names, [_value(table[name], measure) for name in names], measure)
        titles = [title_of(name, (remarks or {}).get(name), ", ") for name in names]
        axes[0].set_yticks(range(len(names)), titles)
        axes[0].invert_yaxis()
    return figure


def _draw_bars(axis: Axes, names: Sequence[str], values: Sequence[float | None], measure: Measure) -> None:
    start = min(value for value in values if value) / 3  # a logarithmic bar needs a visible beginning
    reference = dict(zip(names, values, strict=True)).get(BASELINE)
    decades = 0.5  # from the start to the right end
    for row, (name, value) in enumerate(zip(names, values, strict=True)):
        if not value:  # not measured, or exactly zero: no place on a logarithmic axis
            axis.text(start, row, " –" if value is None else " 0", va="center", color=GREY)
            continue
        axis.barh(row, value - start, left=start, height=0.62, color=mode_style(name).colour)
        text = f" {three_digits(value)}"
        if reference and name != BASELINE:
            text += f"  ({_ratio(reference / value)})"
        axis.text(value, row, text, va="center", fontsize=7, color="black")
        decades = max(decades, math.log10(value / start) / (1 - CHARACTER_WIDTH * len(text)))
    axis.set_xscale("log")
    axis.set_xlim(start, start * 10**decades)
    wide = decades > WIDE_RANGE
    axis.xaxis.set_major_locator(
        LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=MOST_TICKS[wide])
    )
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel(measure.label)
    axis.tick_params(axis="y", length=0)


def _ratio(gain: float) -> str:
    """Say how many times smaller, or larger, an error is."""
    size, word = (gain, "less") if gain >= 1 else (1 / gain, "more")
    return f"{size:.0f}× {word}" if size >= 9.95 else f"{size:.1f}× {word}"


def _value(row: Mapping[str, Any], measure: Measure) -> float | None:
    value = row.get(measure.key)
    return None if value is None else float(value) * measure.factor


def plot_subsets(
    table: Mapping[str, Mapping[str, Mapping[str, Any]]], quantity: str, labels: Mapping[str, str]
) -> Figure:
    """Draw MAE and, of committees, the spread (MSD in the paper) on each subset.

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
    """
    if not table:
        raise InputError("subset figure: expected at least one model, got none")
    text, key, factor = SUBSET_QUANTITIES[quantity]
    subsets = list(next(iter(table.values())))
    measures = [
        m
        for m in ("mae", "spread")
        if any(row.get(key.format(m)) for r in table.values() for row in r.values())
    ]
    with print_style():
        figure = new_figure(DOUBLE_COLUMN, 1.4 + 1.7 * len(measures))
        axes = figure.subplots(len(measures), 1, sharex=True, squeeze=False)[:, 0]
        for axis, measure in zip(axes, measures, strict=True):
            for number, (model, rows) in enumerate(table.items()):
                values = [rows.get(name, {}).get(key.format(measure)) or np.nan for name in subsets]
                _draw_subset_bars(axis, number, len(table), np.array(values) * factor, model)
            axis.set_yscale("log")
            axis.set_ylabel(text.format("MAE" if measure == "mae" else measure))
        _name_subsets(axes[-1], [labels[name] for name in subsets])
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=len(names))
    return figure


def _draw_subset_bars(axis: Axes, number: int, count: int, values: np.ndarray, model: str) -> None:
    style = mode_style(model)
    width = SUBSET_WIDTH / count
    places = np.arange(len(values)) + (number - (count - 1) / 2) * width
    axis.bar(places, values, width, color=style.colour, label=style.label)


def _name_subsets(axis: Axes, names: Sequence[str]) -> None:
    axis.set_xticks(range(len(names)), list(names), rotation=50, ha="right", rotation_mode="anchor")
    axis.tick_params(axis="x", length=0)
    axis.margins(x=0.01)
