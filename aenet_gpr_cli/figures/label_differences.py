"""Taylor labels less GP labels of the same copies, against δ (Figures S13b and S15b of the paper).

Takes differences and draws their distribution; computes nothing but quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import SINGLE_COLUMN, mode_style, new_figure, print_style
from aenet_gpr_cli.structures import FloatArray
from aenet_gpr_cli.units import MEV_PER_EV

LINEAR_BELOW = 1.0  # meV: the scale is logarithmic beyond, in both directions


def plot(differences: Mapping[float, FloatArray]) -> Figure:
    """Draw median, quartiles and range of the differences.

    Parameters
    ----------
    differences : mapping of float to ndarray of shape (n_copies,), eV
        δ (Å) → energy by Taylor expansion less energy by the GP.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If no δ is common to both.
    """
    if not differences:
        raise InputError("difference of labels: expected Taylor and GP copies of the same δ, got none")
    deltas = sorted(differences)
    color = mode_style("ann_taylor").color
    with print_style():
        figure = new_figure(SINGLE_COLUMN, 2.4)
        axis = figure.subplots()
        axis.boxplot(
            [np.asarray(differences[delta]) * MEV_PER_EV for delta in deltas],
            tick_labels=[f"{delta:g}" for delta in deltas],
            whis=(0, 100),
            widths=0.55,
            patch_artist=True,
            boxprops={"facecolor": color, "alpha": 0.5, "edgecolor": color},
            medianprops={"color": "black"},
            whiskerprops={"color": color},
            capprops={"color": color},
        )
        axis.axhline(0.0, color="black", linewidth=0.5)
        axis.set_yscale("symlog", linthresh=LINEAR_BELOW)
        axis.set_xlabel("δ (Å)")
        axis.set_ylabel("Taylor less GP label (meV)")
        axis.margins(y=0.1)
    return figure
