"""Learning curves: error on training and held-out structures against the step of the optimiser.

Takes the stored curves of one or several trainings and draws them; computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import GREY, logarithmic, mode_style, new_figure, print_style
from aenet_gpr_cli.structures import FloatArray


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Errors of one training.

    Attributes
    ----------
    training : ndarray of shape (n_steps, n_members)
        On the training structures; NaN where a member had stopped.
    validation : ndarray of shape (n_steps, n_members), or None
        On the structures held out.
    quantity : str
        What they are, with their unit.
    """

    training: FloatArray
    validation: FloatArray | None
    quantity: str


def plot(curves: Mapping[str, LearningCurve], step: str) -> Figure:
    """Draw the learning curves of several models side by side.

    Parameters
    ----------
    curves : mapping of str to LearningCurve
        Model name → curves, drawn from left to right.
    step : str
        What a step is: epoch, or iteration.

    Returns
    -------
    Figure
        Lines are medians over the committee, the shaded range reaches from its best to its worst member. Axes
        are shared where all are of one quantity.
    """
    if not curves:
        raise InputError("learning curves: expected at least one training, got none")
    with print_style():
        figure = new_figure(0.5 + 1.9 * max(len(curves), 1.6), 2.2)
        shared = len({curve.quantity for curve in curves.values()}) == 1
        axes = figure.subplots(1, len(curves), sharey=shared, squeeze=False)[0]
        before = ""
        for axis, (name, curve) in zip(axes, curves.items(), strict=True):
            style = mode_style(name)
            _draw(axis, curve.training, style.colour, "-", "training")
            if curve.validation is not None and np.isfinite(curve.validation).any():
                _draw(axis, curve.validation, GREY, "--", "validation")
            axis.set_title(style.label, color=style.colour, fontweight="bold")
            axis.set_xlabel(step)
            axis.set_yscale("log")
            logarithmic(axis.yaxis)
            if curve.quantity != before:
                axis.set_ylabel(curve.quantity)
            axis.legend()
            before = curve.quantity
    return figure


def _draw(axis: Axes, errors: FloatArray, colour: str, line: str, label: str) -> None:
    known = np.isfinite(errors).any(axis=1)
    steps = np.arange(1, len(errors) + 1)[known]
    errors = errors[known]
    axis.plot(steps, np.nanmedian(errors, axis=1), line, color=colour, label=label)
    if errors.shape[1] > 1:
        low, high = np.nanmin(errors, axis=1), np.nanmax(errors, axis=1)
        axis.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
