"""Error against the number of reference calculations, as active learning goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import DOUBLE_COLUMN, GREY, logarithmic, mode_style, new_figure, print_style
from aenet_gpr_cli.units import MEV_PER_EV

MARKER = 3.0  # points; rounds are many and close


@dataclass(frozen=True, slots=True)
class ErrorCurve:
    """Errors of one model in one course of rounds.

    Attributes
    ----------
    strategy : str
        ``uncertainty`` or ``random``, which is drawn grey and dashed.
    force_errors : sequence of float, eV/Å
        Of ‖F‖.
    energy_errors : sequence of float, eV
    """

    model: str
    strategy: str
    n_training: Sequence[int]
    force_errors: Sequence[float]
    energy_errors: Sequence[float]


def plot(curves: Sequence[ErrorCurve], goal: float | None = None) -> Figure:
    """Draw energy and force errors of one or several models, strategies and seeds.

    Parameters
    ----------
    curves : sequence of ErrorCurve
        Those of one model and strategy look alike and have one entry in the legend.
    goal : float, eV/Å, optional
        Drawn as a line.
    """
    if not any(curve.n_training for curve in curves):
        raise InputError("active learning: expected at least one round, got none")
    with print_style():
        figure = new_figure(DOUBLE_COLUMN, 2.6)
        energies, forces = figure.subplots(1, 2)
        named: set[str] = set()
        compared = len({curve.strategy for curve in curves}) > 1
        for curve in curves:
            style, random = mode_style(curve.model), curve.strategy == "random"
            label = f"{style.label}, {'random' if random else 'chosen by σ'}" if compared else style.label
            colour = GREY if random else style.colour
            look = {
                "color": colour,
                "marker": style.marker,
                "markersize": MARKER,
                "linewidth": 1.0,
                "linestyle": "--" if random else "-",
                "markerfacecolor": "white" if random else colour,
                "label": None if label in named else label,
            }
            named.add(label)
            energies.plot(curve.n_training, [e * MEV_PER_EV for e in curve.energy_errors], **look)
            forces.plot(curve.n_training, curve.force_errors, **look)
        if goal is not None:
            forces.axhline(goal, color=GREY, linewidth=0.8)
        for axis, quantity in ((energies, "energy MAE / meV"), (forces, "‖F‖ MAE / eV/Å")):
            axis.set_xscale("log")
            axis.set_yscale("log")
            axis.set_xlabel("reference calculations")
            logarithmic(axis.xaxis)
            logarithmic(axis.yaxis)
            axis.set_ylabel(quantity)
        energies.legend(loc="upper right")  # errors fall: there is room
    return figure
