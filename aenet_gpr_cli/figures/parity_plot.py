"""Predicted against reference energies, forces and pressures, and errors in direction, models side by side.

The layout of the paper's Figures 4 and 6. Takes paired samples and draws them; many points become a
density on a logarithmic colour scale.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.evaluation.parity_samples import ParitySamples
from aenet_gpr_cli.figures.style import (
    DENSITY_MAP,
    DOUBLE_COLUMN,
    GREY,
    mode_style,
    new_figure,
    print_style,
    three_digits,
    title_of,
)
from aenet_gpr_cli.structures import FloatArray
from aenet_gpr_cli.units import MEV_PER_EV

MANY_POINTS = 3000  # from here on points hide each other and a density says more
BINS = 60
FEW_COLUMNS = 4  # that leave room for δ and M in one line
LONGEST = 15  # characters of a line above one of many columns
SMALL = 6.5  # points, of labels below many columns
NARROWEST = 1.35  # inches of a column: below, numbers and labels of one run into the next
COLOUR_BAR_WIDTH = 0.9  # inches, with its label
OUTLIER = 1.0  # eV/Å, the dashed lines of the paper
Range = tuple[float, float]


def plot(
    samples: Mapping[str, ParitySamples],
    metrics: Mapping[str, Mapping[str, Any]],
    remarks: Mapping[str, str] | None = None,
    whole_names: bool = False,
) -> Figure:
    """Draw energy parity, ‖F‖ parity, direction error against ‖F‖ and pressures, one column per model.

    Parameters
    ----------
    samples : mapping of str to ParitySamples
        Model name → samples, drawn from left to right.
    metrics : mapping of str to metrics
        Model name → error measures, whose MAE are written into the panels; models may be missing.
    remarks : mapping of str to str, optional
        Model name → remark below its name, such as its δ and M.
    whole_names : bool
        Write the whole name of a model that has a remark, not that of its mode alone.

    Returns
    -------
    Figure
        Up to four rows of panels: forces and pressures only where there are samples of them.
    """
    if not samples:
        raise InputError("parity figure: expected samples of at least one model, got none")
    with_forces = any(len(item.reference_norms) for item in samples.values())
    with_pressures = any(len(item.reference_pressures) for item in samples.values())
    columns, rows = len(samples), (3 if with_forces else 1) + with_pressures
    energy_range = _range([v for s in samples.values() for v in (s.reference_energies, s.predicted_energies)])
    norm_range = _range(
        [v for s in samples.values() for v in (s.reference_norms, s.predicted_norms)], zero=True
    )
    pressure_range = _range(
        [v for s in samples.values() for v in (s.reference_pressures, s.predicted_pressures)]
    )
    with print_style():
        side = max(DOUBLE_COLUMN / max(columns, 4), NARROWEST)
        dense = any(
            len(v) > MANY_POINTS for s in samples.values() for v in (s.reference_energies, s.reference_norms)
        )
        margin = COLOUR_BAR_WIDTH if dense else 0.3
        figure = new_figure(side * columns + margin, (side + 0.15) * rows + 0.2)
        axes = figure.subplots(rows, columns, squeeze=False, sharex="row", sharey="row")
        for column, (name, item) in enumerate(samples.items()):
            style, row = mode_style(name), metrics.get(name, {})
            label = title_of(name, (remarks or {}).get(name), "\n", whole_names)
            if columns > FEW_COLUMNS:
                label = label.replace(" (", "\n(")
                label = label.replace(", ", "\n") if "\n" in label else label
                label = "\n".join(textwrap.fill(line, LONGEST) for line in label.split("\n"))
            axes[0, column].set_title(label, color=style.colour, fontweight="bold")
            _draw_energies(axes[0, column], item, energy_range, style.colour, row)
            if with_forces:
                _draw_norms(axes[1, column], item, norm_range, style.colour, row)
                _draw_directions(axes[2, column], item, norm_range, style.colour, row)
            if with_pressures:
                _draw_pressures(axes[-1, column], item, pressure_range, style.colour, row)
        _label(figure, axes, next(iter(samples.values())).zero, with_forces, with_pressures)
        if columns > FEW_COLUMNS:
            for axis in axes.flat:
                axis.xaxis.label.set_fontsize(SMALL)
    return figure


def _draw_energies(
    axis: Axes, item: ParitySamples, limits: Range, colour: str, row: Mapping[str, Any]
) -> None:
    _draw_points(axis, item.reference_energies, item.predicted_energies, limits, limits, colour)
    axis.plot(limits, limits, color="black", linewidth=0.7)
    _annotate(axis, row.get("energy_mae"), MEV_PER_EV, "meV")


def _draw_pressures(
    axis: Axes, item: ParitySamples, limits: Range, colour: str, row: Mapping[str, Any]
) -> None:
    _draw_points(axis, item.reference_pressures, item.predicted_pressures, limits, limits, colour)
    axis.plot(limits, limits, color="black", linewidth=0.7)
    _annotate(axis, row.get("pressure_mae_gpa"), 1.0, "GPa")


def _draw_norms(axis: Axes, item: ParitySamples, limits: Range, colour: str, row: Mapping[str, Any]) -> None:
    _draw_points(axis, item.reference_norms, item.predicted_norms, limits, limits, colour)
    axis.plot(limits, limits, color="black", linewidth=0.7)
    for offset in (-OUTLIER, OUTLIER):
        axis.plot(limits, (limits[0] + offset, limits[1] + offset), "--", color="black", linewidth=0.5)
    _annotate(axis, row.get("force_norm_mae"), 1.0, "eV/Å")


def _draw_directions(
    axis: Axes, item: ParitySamples, limits: Range, colour: str, row: Mapping[str, Any]
) -> None:
    known = np.isfinite(item.direction_errors)
    norms, errors = item.reference_norms[known], item.direction_errors[known]
    _draw_points(axis, norms, errors, limits, (0.0, 180.0), colour)
    axis.set_yticks([0, 60, 120, 180])  # the range is the same for all potentials
    _annotate(axis, row.get("force_direction_mae"), 1.0, "°", top=True)


def _draw_points(
    axis: Axes, x: FloatArray, y: FloatArray, x_range: Range, y_range: Range, colour: str
) -> None:
    """Draw points in the colour of the model, or their density where they are many."""
    if len(x) > MANY_POINTS:
        edges = (np.linspace(*x_range, BINS + 1), np.linspace(*y_range, BINS + 1))
        counts, _, _ = np.histogram2d(x, np.clip(y, *y_range), bins=edges)
        axis.pcolormesh(
            *edges,
            np.ma.masked_equal(counts.T, 0),
            norm=LogNorm(1, 1),
            cmap=DENSITY_MAP,
            rasterized=True,
        )
    else:
        axis.scatter(x, y, s=5, color=colour, alpha=0.5, linewidths=0, rasterized=True)
    axis.set_xlim(*x_range)
    axis.set_ylim(*y_range)
    axis.set_box_aspect(1)
    axis.set_anchor("E")  # as a colour bar anchors its panels: columns stay aligned without one
    axis.locator_params(nbins=4)


def _label(figure: Figure, axes: np.ndarray, zero: str, with_forces: bool, with_pressures: bool) -> None:
    figure.align_ylabels(axes[:, 0])
    axes[0, 0].set_ylabel(f"predicted E\n{zero} (eV)")
    for axis in axes[0]:
        axis.set_xlabel(f"reference E\n{zero} (eV)")
    if with_forces:
        axes[1, 0].set_ylabel("predicted ‖F‖ (eV/Å)")
        axes[2, 0].set_ylabel("error of direction (°)")
        for axis in (*axes[1], *axes[2]):
            axis.set_xlabel("reference ‖F‖ (eV/Å)")
    if with_pressures:
        axes[-1, 0].set_ylabel("predicted pressure (GPa)")
        for axis in axes[-1]:
            axis.set_xlabel("reference pressure (GPa)")
    for number, row in enumerate(axes):
        meshes = [mesh for axis in row for mesh in axis.collections if isinstance(mesh.norm, LogNorm)]
        if meshes:  # one scale for the row, so that models compare
            norm = LogNorm(1, max(2.0, max(float(mesh.get_array().max()) for mesh in meshes)))
            for mesh in meshes:
                mesh.set_norm(norm)
            of_structures = number == 0 or (with_pressures and number == len(axes) - 1)
            unit = "structures" if of_structures else "atoms"
            figure.colorbar(
                ScalarMappable(norm, DENSITY_MAP), ax=list(row), label=f"{unit} per bin", pad=0.02, aspect=25
            )


def _annotate(axis: Axes, value: float | None, factor: float, unit: str, top: bool = False) -> None:
    """Write the mean absolute error into the corner that good predictions leave empty."""
    if value is None:
        return
    gap = "" if unit == "°" else " "
    axis.text(
        0.97,
        0.97 if top else 0.04,
        f"MAE {three_digits(value * factor)}{gap}{unit}",
        transform=axis.transAxes,
        ha="right",
        va="top" if top else "bottom",
        fontsize=7,
        color=GREY,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
    )


def _range(arrays: list[FloatArray], zero: bool = False) -> Range:
    """Return common limits with a small margin, from zero where asked."""
    values = np.concatenate(arrays)
    if not len(values):
        return (0.0, 1.0)
    low, high = (0.0 if zero else float(values.min())), float(values.max())
    margin = 0.03 * (high - low) or 0.5
    return (0.0 if zero else low - margin, high + margin)
