"""Labels by Taylor expansion and by the GP compared (Figures S1d, S13b, S13c and S15b of the paper).

Takes differences, errors, and energies along a line, and draws them; computes nothing but quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import SINGLE_COLUMN, label_style, new_figure, print_style
from aenet_gpr_cli.structures import FloatArray
from aenet_gpr_cli.units import MEV_PER_EV

LINEAR_BELOW = 1.0  # meV: the scale is logarithmic beyond, in both directions


@dataclass(frozen=True, slots=True)
class Cut:
    """Energies on the straight line from a structure to one of its copies and beyond.

    Attributes
    ----------
    distances : ndarray of shape (n_points,), Å
        Along the line, root mean square over the components; zero at the structure.
    surface : ndarray of shape (n_points,), eV
        By the GP, from the energy of the structure.
    slope : float, eV/Å
        Of the surface at the structure, by the reference forces.
    copy : float, Å
        Where the copy lies.
    labels : dict of str to float, eV
        Energy of the copy by ``taylor`` and ``gpr``.
    """

    distances: FloatArray
    surface: FloatArray
    slope: float
    copy: float
    labels: dict[str, float]


def plot_cut(cut: Cut) -> Figure:
    """Draw both labels of a copy beside the energy surface that they approximate."""
    with print_style():
        figure = new_figure(SINGLE_COLUMN, 2.6)
        axis = figure.subplots()
        axis.plot(cut.distances, cut.surface, color="#bdbdbd", linewidth=3.0, label="energy surface (GP)")
        line = cut.slope * cut.distances
        axis.plot(cut.distances, line, "--", color=label_style("taylor").colour, label="Taylor expansion")
        axis.plot(0.0, 0.0, "o", color="black", label="training structure")
        for method, energy in cut.labels.items():
            style = label_style(method)
            text = f"{style.label} label"
            axis.plot(cut.copy, energy, style.marker, color=style.colour, label=text, markersize=6)
        axis.locator_params(axis="x", nbins=5)
        axis.set_xlabel("displacement along the line to a copy (Å)")
        axis.set_ylabel("energy (eV)")
        axis.legend()
    return figure


def plot_errors(errors: Mapping[str, Mapping[float, float]]) -> Figure:
    """Draw the mean absolute error of the labels against δ.

    Parameters
    ----------
    errors : mapping of str to mapping of float to float
        Method (``taylor``, ``gpr``) → δ (Å) → mean absolute error (eV).
    """
    if not errors:
        raise InputError("errors of labels: expected copies of at least one δ, got none")
    with print_style():
        figure = new_figure(SINGLE_COLUMN, 2.4)
        axis = figure.subplots()
        for method, points in errors.items():
            style = label_style(method)
            values = [value * MEV_PER_EV for value in points.values()]
            label = f"{style.label} labels"
            axis.plot(list(points), values, color=style.colour, marker=style.marker, label=label)
        axis.set_xscale("log")
        axis.set_yscale("log")
        ticks = sorted({delta for points in errors.values() for delta in points})
        axis.set_xticks(ticks, [f"{delta:g}" for delta in ticks], rotation=60)
        axis.minorticks_off()
        axis.set_xlabel("δ (Å)")
        axis.set_ylabel("MAE of the labels (meV)")
        axis.legend()
    return figure


def plot(differences: Mapping[float, FloatArray]) -> Figure:
    """Draw median, quartiles and range of the differences.

    Parameters
    ----------
    differences : mapping of float to ndarray of shape (n_copies,), eV
        δ (Å) → energy by Taylor expansion less energy by the GP.
    """
    if not differences:
        raise InputError("difference of labels: expected Taylor and GP copies of the same δ, got none")
    deltas = sorted(differences)
    colour = label_style("taylor").colour
    with print_style():
        figure = new_figure(SINGLE_COLUMN, 2.4)
        axis = figure.subplots()
        axis.boxplot(
            [np.asarray(differences[delta]) * MEV_PER_EV for delta in deltas],
            tick_labels=[f"{delta:g}" for delta in deltas],
            whis=(0, 100),
            widths=0.55,
            patch_artist=True,
            boxprops={"facecolor": colour, "alpha": 0.5, "edgecolor": colour},
            medianprops={"color": "black"},
            whiskerprops={"color": colour},
            capprops={"color": colour},
        )
        axis.axhline(0.0, color="black", linewidth=0.5)
        axis.set_yscale("symlog", linthresh=LINEAR_BELOW)
        axis.set_xlabel("δ (Å)")
        axis.set_ylabel("Taylor less GP label (meV)")
        axis.margins(y=0.1)
    return figure
