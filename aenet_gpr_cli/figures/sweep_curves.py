"""Errors and spread of the networks against δ or M (Figures 2e-h, 3, 5, S8 and S9 of the paper).

Takes rows of `evaluate` with the augmentation behind each network and draws them; models without augmentation
are dashed lines. Computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import DOUBLE_COLUMN, logarithmic, mode_style, new_figure, print_style
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
METHODS = {"gpr": "ann_gpr", "taylor": "ann_taylor"}


def plot(rows: Sequence[Row], against: str, quantities: Sequence[str] = tuple(QUANTITIES)) -> Figure:
    """Draw MAE (above) and committee spread (below; MSD in the paper) of energy, ‖F‖ and direction.

    Parameters
    ----------
    rows : sequence of mappings
        One per network: ``model``, ``method`` (gpr, taylor, or None without augmentation),
        ``mode`` of the augmentation, ``displacement`` (Å), ``n_copies``, and the measures of
        `evaluate`. The row of spreads is left out for single networks.
    against : str
        ``displacement`` or ``n_copies``.
    quantities : sequence of str
        Of ``energy``, ``force_norm`` and ``force_direction`` those to draw.

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
                _draw(axis, rows, against, f"{key}_{measure}", factor)
                axis.set_ylabel(f"{label} {MEASURES[measure]} ({unit})")
        for axis in axes[-1]:
            axis.set_xlabel(f"{AXIS_LABELS[against]}\n{LOGARITHMIC}")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)))
    return figure


def _draw(axis: Axes, rows: Sequence[Row], against: str, key: str, factor: float) -> None:
    free = [row for row in rows if row.get("mode") == ADAPTIVE]
    given = [row for row in rows if row.get("mode") != ADAPTIVE]
    for method, name in METHODS.items():
        own = sorted((r for r in given if r["method"] == method), key=lambda row: row[against])
        # exactly zero, as the direction in a dimer may be, has no place on a logarithmic axis
        points = [(row[against], row[key] * factor) for row in own if row.get(key)]
        if points:
            style = mode_style(name)
            axis.plot(*zip(*points, strict=True), marker=style.marker, color=style.colour, label=style.label)
    chosen = [(row[against], row[key] * factor) for row in free if row.get(key)]
    if chosen:
        colour = mode_style(METHODS["gpr"]).colour
        axis.plot(
            *zip(*chosen, strict=True), "*", markersize=9, color=colour, markeredgecolor="black",
            label="GPR-ANN, adaptive δ", zorder=3,
        )  # fmt: skip
    for row in given:
        if not row["method"] and row.get(key):
            style = mode_style(row["model"])
            axis.axhline(row[key] * factor, linestyle="--", color=style.colour, label=style.label)
    axis.set_xscale("log")
    values = sorted({row[against] for row in given if row["method"]})
    shown = _apart(values)
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
