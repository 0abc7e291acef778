"""Errors of models as dots: of the training modes on all structures, and on each subset (Figures S10, S11).

Takes error measures and draws them; computes nothing but the ratio written beside a dot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import (
    DOUBLE_COLUMN,
    GREY,
    logarithmic,
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
SUBSET_WIDTH = 0.6  # of the dots of a subset together
LOGARITHMIC = "logarithmic scale"


@dataclass(frozen=True, slots=True)
class Measure:
    """One panel: which metric, in which unit, and beyond which value there are no ticks."""

    key: str
    label: str
    factor: float
    largest: float = math.inf


MEASURES = (
    Measure("energy_mae", "energy MAE (meV)", MEV_PER_EV),
    Measure("force_norm_mae", "‖F‖ MAE (eV/Å)", 1.0),
    Measure("force_direction_mae", "force direction MAE (°)", 1.0, 180.0),
    Measure("stress_mae_gpa", "stress MAE (GPa)", 1.0),
)
USUAL = 3  # panels that fill the width


def plot_models(
    table: Mapping[str, Mapping[str, Any]],
    remarks: Mapping[str, str] | None = None,
    best: str | None = None,
) -> Figure:
    """Draw the errors of several models as dots on logarithmic axes, with the gain over energy-only training.

    Parameters
    ----------
    table : mapping of str to metrics
        Model name → error measures, as `evaluation.metrics` returns them; drawn from top to bottom.
    remarks : mapping of str to str, optional
        Model name → remark behind the name of its mode, in place of the rest, such as δ and M.
    best : str, optional
        Name of the model to mark.
    """
    if not table:
        raise InputError("summary figure: expected at least one model, got none")
    measures = [m for m in MEASURES if any(row.get(m.key) for row in table.values())]
    names = list(table)
    with print_style():
        width = DOUBLE_COLUMN * max(1.0, len(measures) / USUAL)
        figure = new_figure(width, 0.85 + 0.27 * len(names))
        axes = figure.subplots(1, max(1, len(measures)), sharey=True, squeeze=False)[0]
        for axis, measure in zip(axes, measures, strict=False):
            _draw_dots(axis, names, [_value(table[name], measure) for name in names], measure, best)
        titles = [title_of(name, (remarks or {}).get(name), ", ") for name in names]
        axes[0].set_yticks(range(len(names)), titles)
        for label, name in zip(axes[0].get_yticklabels(), names, strict=True):
            label.set_fontweight("bold" if name == best else "normal")
        axes[0].set_ylim(len(names) - 0.5, -0.5)
    return figure


def _draw_dots(
    axis: Axes, names: Sequence[str], values: Sequence[float | None], measure: Measure, best: str | None
) -> None:
    start = min(value for value in values if value) / 2  # room on the left
    reference = dict(zip(names, values, strict=True)).get(BASELINE)
    decades = 0.5  # from the start to the right end
    for row, (name, value) in enumerate(zip(names, values, strict=True)):
        axis.axhline(row, color="#dddddd", linewidth=0.6, zorder=0)
        if not value:  # not measured, or exactly zero: no place on a logarithmic axis
            axis.text(start, row, " –" if value is None else " 0", va="center", color=GREY)
            continue
        colour = mode_style(name).colour
        axis.plot(
            [value], [row], "*" if name == best else "o", color=colour, markersize=9 if name == best else 6
        )
        text = three_digits(value)
        if reference and name != BASELINE:
            text += f"  ({_ratio(reference / value)})"
        axis.annotate(
            text, (value, row), (6, 0), textcoords="offset points", va="center", fontsize=7,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip
        decades = max(decades, math.log10(value / start) / (1 - CHARACTER_WIDTH * (len(text) + 2)))
    axis.set_xscale("log")
    end = start * 10**decades
    axis.set_xlim(start, end)
    wide = decades > WIDE_RANGE
    ticks = LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=MOST_TICKS[wide]).tick_values(
        start, end
    )
    shown = [tick for tick in ticks if start <= tick <= min(end, measure.largest)]
    axis.set_xticks(shown, [f"{tick:g}" for tick in shown])
    axis.xaxis.set_minor_locator(LogLocator(subs=range(2, 10), numticks=50))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel(f"{measure.label}\n{LOGARITHMIC}")
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
        Logarithmic axes; what was not measured, or is zero, has no dot.
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
                _draw_subset_dots(axis, number, len(table), np.array(values) * factor, model)
            axis.set_yscale("log")
            logarithmic(axis.yaxis)
            axis.yaxis.grid(True, color="#dddddd", linewidth=0.6)
            axis.set_ylabel(text.format("MAE" if measure == "mae" else measure) + f"\n{LOGARITHMIC}")
        _name_subsets(axes[-1], [labels[name] for name in subsets])
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=len(names))
    return figure


def _draw_subset_dots(axis: Axes, number: int, count: int, values: np.ndarray, model: str) -> None:
    style = mode_style(model)
    places = np.arange(len(values)) + (number - (count - 1) / 2) * SUBSET_WIDTH / count
    axis.plot(places, values, style.marker, color=style.colour, label=style.label)


def _name_subsets(axis: Axes, names: Sequence[str]) -> None:
    axis.set_xticks(range(len(names)), list(names), rotation=50, ha="right", rotation_mode="anchor")
    axis.tick_params(axis="x", length=0)
    axis.margins(x=0.01)
