"""Curves against the length of a bond: predictions, error and spread (Figures 2a-d, S1-S7, S17 of the paper).

Takes values along the bond and draws them; computes nothing but means and spreads of committees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import (
    AS_IN_THE_PAPER,
    DOUBLE_COLUMN,
    GREY,
    grid,
    new_figure,
    print_style,
)
from aenet_gpr_cli.structures import FloatArray

COLUMNS = 4
CONFIDENCE = 2.576  # standard deviations on each side that hold 99 % of a normal distribution
LABELS = {"energy": "energy (eV)", "force": "force (eV/Å)"}
UNITS = {"energy": "eV", "force": "eV/Å"}
LEGEND_COLUMNS = {2: 3, 4: 6}  # most beside each other below so many panels
SMALLEST = 1e-9  # eV or eV/Å: exactly zero has no place on a logarithmic axis
TARGET = "#bdbdbd"
PAPER = "black"
ZOOM_FROM = 0.45  # of the range of lengths: the smooth part behind the minimum
INSET = (0.40, 0.50, 0.58, 0.48)  # of a panel: left, bottom, width, height; empty where a bond is long


@dataclass(frozen=True, slots=True)
class Points:
    """Values that are marked on a curve.

    Attributes
    ----------
    lengths : ndarray of shape (n_points,), Å
    values : ndarray of shape (n_points,), eV or eV/Å
    """

    lengths: FloatArray
    values: FloatArray
    label: str
    colour: str
    marker: str


@dataclass(frozen=True, slots=True)
class Curve:
    """What one panel shows.

    Attributes
    ----------
    lengths : ndarray of shape (n_lengths,), Å
        Rising.
    target : ndarray of shape (n_lengths,), eV or eV/Å
    predicted : ndarray of shape (n_members, n_lengths), eV or eV/Å
    sigma : ndarray of shape (n_lengths,), or None
        Uncertainty in place of the spread of a committee.
    paper : ndarray of shape (n_lengths,), eV or eV/Å, or None
        What the same mode predicts by the paper's recipe.
    """

    title: str
    colour: str
    lengths: FloatArray
    target: FloatArray
    predicted: FloatArray
    sigma: FloatArray | None = None
    points: tuple[Points, ...] = ()
    paper: FloatArray | None = None

    @property
    def spread(self) -> FloatArray | None:
        """Standard deviation over the committee, or σ; None for a single network."""
        if self.sigma is not None:
            return self.sigma
        return self.predicted.std(axis=0, ddof=1) if len(self.predicted) > 1 else None


def plot(curves: Sequence[Curve], quantity: str) -> Figure:
    """Draw predictions (below) and the size of their error and spread (above), one column for each curve.

    Parameters
    ----------
    quantity : str
        ``energy``, or ``force`` (along the bond, positive where it lengthens the bond).

    Returns
    -------
    Figure
        At most four columns side by side.
    """
    if not curves:
        raise InputError("bond length figure: expected at least one curve, got none")
    lines, columns = grid(len(curves), COLUMNS)
    with print_style():
        figure = new_figure(DOUBLE_COLUMN * max(columns, 2) / COLUMNS, 0.4 + 2.5 * lines)
        axes = figure.subplots(
            2 * lines, columns, squeeze=False, sharex=True, height_ratios=[1.0, 1.7] * lines
        )
        above, below = list(axes[0::2].flat), list(axes[1::2].flat)
        for upper, lower, curve in zip(above, below, curves, strict=False):
            upper.set_title(curve.title, color=curve.colour, fontweight="bold")
            _draw_errors(upper, curve)
            _draw_values(lower, curve)
            lower.set_xlabel("bond length (Å)")
            lower.tick_params(labelbottom=True)
        for unused in (*above[len(curves) :], *below[len(curves) :]):
            unused.set_visible(False)
        _share(above[: len(curves)], columns, [_decades(curve) for curve in curves])
        _share(below[: len(curves)], columns, [_limits(curves)])
        for upper, lower in zip(axes[0::2, 0], axes[1::2, 0], strict=True):
            upper.set_ylabel(f"error, SD\n({UNITS[quantity]})")
            lower.set_ylabel(LABELS[quantity])
        figure.align_ylabels(axes[:, 0])
        _legend(figure, (axes[0, 0], *below[: len(curves)]), columns)
    return figure


def plot_modes(energies: Sequence[Curve], forces: Sequence[Curve]) -> Figure:
    """Draw energies (above) and forces (below) with the 99 % confidence interval of the committee.

    Parameters
    ----------
    energies, forces : sequence of Curve
        Of the same models in the same order.

    Returns
    -------
    Figure
        Insets magnify the part where the bond is long.
    """
    if not energies:
        raise InputError("bond length figure: expected at least one curve, got none")
    with print_style():
        figure = new_figure(DOUBLE_COLUMN, 4.2)
        axes = figure.subplots(2, len(energies), squeeze=False, sharex=True)
        for row, curves, quantity in zip(axes, (energies, forces), LABELS, strict=True):
            for axis, curve in zip(row, curves, strict=True):
                _draw_values(axis, curve, CONFIDENCE)
                _magnify(axis, curve)
            row[0].set_ylabel(LABELS[quantity])
            _share(row, len(row), [_limits(curves)])
        for axis, curve in zip(axes[0], energies, strict=True):
            title = curve.title.replace(", ", "\n") if len(energies) > COLUMNS else curve.title  # δ above M
            axis.set_title(title, color=curve.colour, fontweight="bold")
        for axis in axes[1]:
            axis.set_xlabel("bond length (Å)")
        figure.align_ylabels(axes[:, 0])
        _legend(figure, tuple(axes[0]), len(energies))
    return figure


def _magnify(axis: Axes, curve: Curve) -> None:
    """Draw the part of long bonds once more, in the empty corner."""
    start = curve.lengths[0] + ZOOM_FROM * (curve.lengths[-1] - curve.lengths[0])
    inside = curve.target[curve.lengths >= start]
    margin = 0.25 * (inside.max() - inside.min())
    inset = axis.inset_axes(INSET)
    _draw_values(inset, curve, CONFIDENCE)
    inset.set_xlim(start, curve.lengths[-1])
    inset.set_ylim(inside.min() - margin, inside.max() + margin)
    inset.tick_params(labelsize=6, length=2)
    inset.locator_params(nbins=3)
    axis.indicate_inset_zoom(inset, edgecolor=GREY, linewidth=0.6)


def _draw_errors(axis: Axes, curve: Curve) -> None:
    error = np.maximum(_error(curve), SMALLEST)
    axis.plot(curve.lengths, error, color=curve.colour, label="|error|", linewidth=0.9)
    if (spread := curve.spread) is not None:
        axis.fill_between(
            curve.lengths, SMALLEST, np.maximum(spread, SMALLEST), color=curve.colour, alpha=0.25,
            linewidth=0, label="SD",
        )  # fmt: skip
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(numticks=5))
    axis.yaxis.set_minor_locator(NullLocator())


def _error(curve: Curve) -> FloatArray:
    return np.asarray(np.abs(curve.predicted.mean(axis=0) - curve.target))


def _decades(curve: Curve) -> tuple[float, float]:
    """Return whole powers of ten that hold errors and spread, but for the places where they vanish."""
    known = [_error(curve)] + ([] if curve.spread is None else [curve.spread])
    low, high = min(np.percentile(v, 10) for v in known), max(v.max() for v in known)
    return 10.0 ** np.floor(np.log10(max(low, SMALLEST))), 10.0 ** np.ceil(np.log10(max(high, 10 * SMALLEST)))


def _draw_values(axis: Axes, curve: Curve, deviations: float = 1.0) -> None:
    """Draw target, mean and a range of so many standard deviations on each side."""
    axis.plot(curve.lengths, curve.target, color=TARGET, linewidth=3.0, label="target")
    axis.plot(curve.lengths, curve.predicted.mean(axis=0), color=curve.colour, label="predicted")
    if (spread := curve.spread) is not None:
        mean, half = curve.predicted.mean(axis=0), deviations * spread
        label = "SD" if deviations == 1.0 else "99 % interval"
        axis.fill_between(
            curve.lengths, mean - half, mean + half, color=curve.colour, alpha=0.25, linewidth=0, label=label
        )
    if curve.paper is not None:
        axis.plot(
            curve.lengths, curve.paper, "--", color=PAPER, linewidth=0.9, label=AS_IN_THE_PAPER, zorder=2.5
        )
    for points in curve.points:
        axis.plot(
            points.lengths, points.values, linestyle="", marker=points.marker, color=points.colour,
            label=points.label, markersize=3.5,
        )  # fmt: skip


def _limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """Return the range of the targets with room for what misses them by a little."""
    low = min(float(curve.target.min()) for curve in curves)
    high = max(float(curve.target.max()) for curve in curves)
    margin = 0.15 * (high - low)
    return low - margin, high + margin


def _share(axes: Sequence[Axes], columns: int, limits: Sequence[tuple[float, float]]) -> None:
    """Give all panels the same range, and numbers to the first of each line."""
    low, high = min(low for low, _ in limits), max(high for _, high in limits)
    for number, axis in enumerate(axes):
        axis.set_ylim(low, high)
        axis.tick_params(labelleft=number % columns == 0)


def _legend(figure: Figure, axes: Sequence[Axes], columns: int) -> None:
    """Draw one legend below all panels, in grey where each panel has its own colour."""
    found: dict[str, Artist] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    lines, _ = grid(len(found), LEGEND_COLUMNS[4 if columns > 2 else 2])
    ncols = -(-len(found) // lines)  # lines of about the same length
    figure.legend(list(found.values()), list(found), loc="outside lower center", ncols=ncols, labelcolor=GREY)
