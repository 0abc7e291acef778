"""Errors and spread of the networks against δ or M (Figures 2e-h, 3, 5, S8 and S9 of the paper).

Takes rows of `evaluate` with the augmentation behind each network and draws them; models without
augmentation, and Gaussian processes, are level lines. Those of a second run, by the paper's recipe, stand
beside them. Computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import (
    AS_IN_THE_PAPER,
    DOUBLE_COLUMN,
    logarithmic,
    mode_style,
    new_figure,
    print_style,
)
from aenet_gpr_cli.units import MEV_PER_EV

Row = Mapping[str, Any]
QUANTITIES = {
    "energy": ("energy", "meV", MEV_PER_EV),
    "force_norm": ("‖F‖", "eV/Å", 1.0),
    "force_direction": ("direction of F", "°", 1.0),
}
AXIS_LABELS = {"displacement": "δ (Å)", "n_copies": "copies per structure, M"}
MEASURES = {"mae": "MAE", "spread": "spread"}
LOGARITHMIC = "both axes logarithmic"
CLOSEST = 0.1  # of two labels, in lengths of the axis
ADAPTIVE = "adaptive"  # drawn as a star at the δ that came out
NETWORK = "ann_"  # names of networks begin so
METHODS = {"gpr": "ann_gpr", "taylor": "ann_taylor"}


@dataclass(frozen=True, slots=True)
class _Look:
    """How the rows of a run are drawn."""

    sweep: str  # line style
    level: str  # that of networks without augmentation, or with copies of one δ and M beside forces
    process: str  # that of Gaussian processes
    face: str | None  # of markers; None: the colour of the line
    suffix: str  # of labels


OURS = _Look("-", "--", "-.", None, "")
PAPER = _Look("--", ":", ":", "white", f", {AS_IN_THE_PAPER}")


def plot(
    rows: Sequence[Row],
    against: str,
    quantities: Sequence[str] = tuple(QUANTITIES),
    paper: Sequence[Row] = (),
) -> Figure:
    """Draw MAE (above) and committee spread (below; MSD in the paper) of energy, ‖F‖ and direction.

    Parameters
    ----------
    rows : sequence of mappings
        One per network or process: ``model``, ``method`` (gpr, taylor, or None for a level line),
        ``mode`` of the augmentation, ``displacement`` (Å), ``n_copies``, and the measures of
        `evaluate`. The row of spreads is left out for single networks.
    against : str
        ``displacement`` or ``n_copies``.
    quantities : sequence of str
        Of ``energy``, ``force_norm`` and ``force_direction`` those to draw.
    paper : sequence of mappings
        Rows of a run by the paper's recipe: dashed, with empty markers; dotted without augmentation.

    Raises
    ------
    InputError
        If no row has an augmentation.
    """
    if not any(row["method"] for row in rows):
        raise InputError("sweep figure: expected at least one network with augmentation, got none")
    measures = [m for m in ("mae", "spread") if any(row.get(f"energy_{m}") for row in rows if row["method"])]
    drawn = [q for q in quantities if any(row.get(f"{q}_mae") for row in rows)]
    with print_style():
        figure = new_figure(DOUBLE_COLUMN, 0.5 + 1.9 * len(measures))
        axes = figure.subplots(len(measures), len(drawn), sharex=True, squeeze=False)
        for line, measure in zip(axes, measures, strict=True):
            for axis, key in zip(line, drawn, strict=True):
                label, unit, factor = QUANTITIES[key]
                of = f"{key}_{measure}"
                _draw_sweeps(axis, rows, against, of, factor, OURS)
                _draw_adaptive(axis, rows, against, of, factor)
                _draw_levels(axis, rows, of, factor, OURS)
                _draw_sweeps(axis, paper, against, of, factor, PAPER)
                _draw_levels(axis, paper, of, factor, PAPER)
                _mark_places(axis, (*rows, *paper), against)
                axis.set_ylabel(f"{label} {MEASURES[measure]} ({unit})")
        for axis in axes[-1]:
            axis.set_xlabel(f"{AXIS_LABELS[against]}\n{LOGARITHMIC}")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(3 if paper else 5, len(labels)))
    return figure


def _draw_adaptive(axis: Axes, rows: Sequence[Row], against: str, key: str, factor: float) -> None:
    chosen = [(r[against], r[key] * factor) for r in rows if r.get("mode") == ADAPTIVE and r.get(key)]
    if chosen:
        colour = mode_style(METHODS["gpr"]).colour
        axis.plot(
            *zip(*chosen, strict=True), "*", markersize=9, color=colour, markeredgecolor="black",
            label="GPR-ANN, adaptive δ", zorder=3,
        )  # fmt: skip


def _draw_sweeps(axis: Axes, rows: Sequence[Row], against: str, key: str, factor: float, look: _Look) -> None:
    """Draw the networks with augmentation, but for those whose δ came out."""
    for method, name in METHODS.items():
        own = [row for row in rows if row["method"] == method and row.get("mode") != ADAPTIVE]
        # exactly zero, as the direction in a dimer may be, has no place on a logarithmic axis
        points = [(r[against], r[key] * factor) for r in sorted(own, key=lambda r: r[against]) if r.get(key)]
        if points:
            style = mode_style(name)
            axis.plot(
                *zip(*points, strict=True), marker=style.marker, color=style.colour, linestyle=look.sweep,
                markerfacecolor=look.face or style.colour, label=style.label + look.suffix,
            )  # fmt: skip


def _draw_levels(axis: Axes, rows: Sequence[Row], key: str, factor: float, look: _Look) -> None:
    """Draw what does not depend on δ and M of the sweep."""
    for row in rows:
        if not row["method"] and row.get(key):
            style = mode_style(row["model"])
            label = style.label + look.suffix
            line = look.level if row["model"].startswith(NETWORK) else look.process
            axis.axhline(row[key] * factor, linestyle=line, color=style.colour, label=label)


def _mark_places(axis: Axes, rows: Sequence[Row], against: str) -> None:
    axis.set_xscale("log")
    shown = _apart(sorted({r[against] for r in rows if r["method"] and r.get("mode") != ADAPTIVE}))
    axis.set_xticks(shown, [f"{value:g}" for value in shown], rotation=60 if len(shown) > 3 else 0)
    axis.minorticks_off()
    axis.set_yscale("log")
    logarithmic(axis.yaxis)


def _apart(values: Sequence[float]) -> list[float]:
    """Return the values, ascending, whose labels find room on a logarithmic axis, the first one always."""
    least = (max(values) / min(values)) ** CLOSEST if len(values) > 1 else 1.0
    shown: list[float] = []
    for value in values:
        if not shown or value >= shown[-1] * least * (1 - 1e-9):
            shown.append(value)
    return shown
