"""Comparison of the training modes as bars: what was gained over energy-only training.

Takes the table of `evaluate` (one entry of metrics per model) and draws it; computes nothing but the ratio
written beside a bar.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import DOUBLE_COLUMN, GREY, mode_style, new_figure, print_style, three_digits
from aenet_gpr_cli.units import MEV_PER_EV

BASELINE = "ann_energy_only"
WIDE_RANGE = 1.8  # decades, from where on one labelled tick per decade is enough
MOST_TICKS = {False: 6, True: 4}  # where the range is narrow, and wide
CHARACTER_WIDTH = 0.03  # of the numbers, in widths of one of three panels


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


def plot(
    table: Mapping[str, Mapping[str, Any]],
    title: str = "",
    baseline: str = BASELINE,
    remarks: Mapping[str, str] | None = None,
) -> Figure:
    """Draw the errors of several models as bars on logarithmic axes.

    Parameters
    ----------
    table : mapping of str to metrics
        Model name → error measures, as `evaluation.metrics` returns them; drawn from top to bottom.
    title : str
    baseline : str
        Model that the others are compared with (``15× less``); no ratios where the table lacks it.
    remarks : mapping of str to str, optional
        Model name → remark behind the name of its mode, in place of the rest, such as δ and M.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If the table is empty.
    """
    if not table:
        raise InputError("summary figure: expected at least one model, got none")
    measures = [m for m in MEASURES if any(row.get(m.key) for row in table.values())]
    names = list(table)
    with print_style():
        figure = new_figure(DOUBLE_COLUMN, 0.75 + 0.27 * len(names))
        axes = figure.subplots(1, max(1, len(measures)), sharey=True, squeeze=False)[0]
        for axis, measure in zip(axes, measures, strict=False):
            _draw_bars(axis, names, [_value(table[name], measure) for name in names], measure, baseline)
        axes[0].set_yticks(range(len(names)), [_label(name, (remarks or {}).get(name)) for name in names])
        axes[0].invert_yaxis()
        if title:
            figure.suptitle(title, fontsize=9)
    return figure


def _label(name: str, remark: str | None) -> str:
    label = mode_style(name).label
    return f"{label.split(' (')[0]}, {remark}" if remark else label


def _draw_bars(
    axis: Axes, names: Sequence[str], values: Sequence[float | None], measure: Measure, baseline: str
) -> None:
    start = min(value for value in values if value) / 3  # a logarithmic bar needs a visible beginning
    reference = dict(zip(names, values, strict=True)).get(baseline)
    decades = 0.5  # from the start to the right end
    for row, (name, value) in enumerate(zip(names, values, strict=True)):
        if not value:  # not measured, or exactly zero: no place on a logarithmic axis
            axis.text(start, row, " –" if value is None else " 0", va="center", color=GREY)
            continue
        axis.barh(row, value - start, left=start, height=0.62, color=mode_style(name).color)
        text = f" {three_digits(value)}"
        if reference and name != baseline:
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
