"""Look of all figures: the paper's colours for the training modes, print-size fonts, saving.

Owns colours, labels and sizes, so that a mode looks the same in every picture. Figures are made without
pyplot: no window, no global state.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from aenet_gpr_cli.io.files import written_whole

SINGLE_COLUMN = 3.4  # inches, the usual column of a journal
DOUBLE_COLUMN = 7.0
RESOLUTION = 200  # dots per inch of pixel formats
GREY = "#555555"
AS_IN_THE_PAPER = "as in the paper"  # label of a run by the paper's recipe, drawn beside another
DENSITY_MAP = "viridis"
ROOM = 1.5  # numbers on a logarithmic axis, in those wanted, from which on they overlap

SETTINGS: Any = {  # matplotlib types the keys of its settings one by one
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
}


@dataclass(frozen=True, slots=True)
class ModeStyle:
    """Label, colour and marker of a training mode or model."""

    label: str
    colour: str
    marker: str


# the longest matching beginning of a model's name counts: ann_direct_10 is drawn as its own mode
MODES = {
    "ann_energy_only": ModeStyle("energy only", "#6a3d9a", "o"),
    "ann_taylor": ModeStyle("Taylor-ANN", "#2e8b57", "s"),
    "ann_gpr": ModeStyle("GPR-ANN", "#ef6c1a", "^"),
    "ann_direct_10": ModeStyle("direct forces, 10 %", "#7ab8e0", "v"),
    "ann_direct_100": ModeStyle("direct forces, 100 %", "#1f4e9c", "D"),
    "ann_direct": ModeStyle("direct forces", "#1f4e9c", "D"),
    "ann_combined": ModeStyle("forces and copies", "#e055b0", "*"),
    "gp": ModeStyle("GP (surrogate)", "#b2182b", "P"),
    "gpr_local": ModeStyle("local GP", "#7f4f24", "h"),
}
OTHER = ModeStyle("", GREY, "X")
LABELS = {  # of copies, by method
    "taylor": ModeStyle("Taylor", MODES["ann_taylor"].colour, "s"),
    "gpr": ModeStyle("GP", MODES["gp"].colour, "^"),
}


def mode_style(name: str) -> ModeStyle:
    """Look up how a model is drawn.

    Parameters
    ----------
    name : str
        Name of a model, such as ``ann_gpr`` or ``gpr``, or of a training mode, such as ``direct``.

    Returns
    -------
    ModeStyle
        Known names in the paper's colours; others grey under their own name.
    """
    # "gpr" alone is the surrogate where models are named and GPR-ANN where modes are: modes have no prefix
    matches = [key for key in MODES if name == key or name.startswith(key)]
    if not matches:
        matches = [key for key in MODES if f"ann_{name}" == key]
    if not matches:
        return ModeStyle(name.replace("_", " "), OTHER.colour, OTHER.marker)
    key = max(matches, key=len)
    rest = (
        name.removeprefix(key).removeprefix("r").strip("_").replace("_", " ") if name.startswith(key) else ""
    )
    style = MODES[key]
    if not rest:
        return style
    label = f"GP, {rest}" if key == "gp" else f"{style.label} ({rest})"
    return ModeStyle(label, style.colour, style.marker)


def training_mode_style(mode: str) -> ModeStyle:
    """Look up how a training mode, such as ``energy_only`` or ``combined``, is drawn."""
    return mode_style(f"ann_{mode}")


def title_of(name: str, remark: str | None, separator: str, whole_name: bool = False) -> str:
    """Write the label of a model; a remark, such as δ and M, replaces the rest of its name or follows it."""
    label = mode_style(name).label
    return f"{label if whole_name else label.split(' (')[0]}{separator}{remark}" if remark else label


def label_style(method: str) -> ModeStyle:
    """Look up how labels of copies (``taylor``, ``gpr``) are drawn."""
    return LABELS[method]


@contextmanager
def print_style() -> Iterator[None]:
    """Apply the settings of all figures for the length of a ``with`` block."""
    with matplotlib.rc_context(SETTINGS):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure whose parts do not overlap; call it within `print_style`.

    Parameters
    ----------
    width, height : float, inches
    """
    return Figure(figsize=(width, height), layout="constrained")


def grid(count: int, most: int) -> tuple[int, int]:
    """Return lines and columns for so many panels, with at most ``most`` side by side."""
    columns = min(most, count)
    return -(-count // columns), columns


def three_digits(value: float) -> str:
    """Write a number with three significant digits, zeros included.

    Examples
    --------
    >>> three_digits(8.0), three_digits(0.014), three_digits(105.2)
    ('8.00', '0.0140', '105')
    """
    return f"{value:#.3g}".removesuffix(".")


class _OneTwoFive(LogLocator):
    """Places of `logarithmic`, chosen when the limits of the axis are known."""

    def __init__(self, most: int) -> None:
        super().__init__(subs=(1.0, 2.0, 5.0), numticks=most)
        self.most = most

    def tick_values(self, vmin: float, vmax: float) -> Any:
        low, high = sorted((vmin, vmax))
        self.set_params(subs=(1.0, 2.0, 5.0))
        places = np.asarray(super().tick_values(vmin, vmax))
        if np.count_nonzero((places >= low) & (places <= high)) <= ROOM * self.most:
            return places
        self.set_params(subs=(1.0,))
        return super().tick_values(vmin, vmax)


def logarithmic(axis: Axis, most: int = 6) -> None:
    """Write plain numbers on a logarithmic axis: at 1, 2 and 5 of each decade while there is room, else at 1.

    Parameters
    ----------
    axis : Axis
        ``axes.xaxis`` or ``axes.yaxis``, with its scale set.
    most : int
        Numbers about as many.
    """
    axis.set_major_locator(_OneTwoFive(most))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the suffix decides on the format.

    Parameters
    ----------
    path : Path
        ``.png``, ``.pdf`` or ``.svg``.
    """
    with print_style(), written_whole(path) as temporary:
        figure.savefig(temporary, format=path.suffix.removeprefix("."), dpi=RESOLUTION)
