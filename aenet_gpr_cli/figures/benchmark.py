"""Time per epoch and peak memory of the training modes against cutoff and batch size (the paper's Figure 7).

Takes the table of `benchmark` and draws it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import DOUBLE_COLUMN, new_figure, print_style, training_mode_style
from aenet_gpr_cli.units import BYTES_PER_GIB

Row = Mapping[str, Any]
MEASURES = (
    ("seconds_per_epoch", "time per epoch (s)", 1.0),
    ("peak_memory", "peak memory (GiB)", 1.0 / BYTES_PER_GIB),
)


def plot(table: Sequence[Row], title: str = "") -> Figure:
    """Draw time and memory against the cutoffs (left) and against the batch size (right).

    Parameters
    ----------
    table : sequence of mappings
        One per measured point: ``mode``, ``radial_cutoff``, ``angular_cutoff`` (Å), ``batch_size``,
        ``seconds_per_epoch`` (s), ``peak_memory`` (bytes). The batch size of the first row is kept along the
        cutoffs, and its cutoffs along the batch sizes.
    title : str

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If the table is empty.
    """
    if not table:
        raise InputError("benchmark figure: expected at least one measured point, got none")
    first = table[0]
    along_cutoff = [row for row in table if row["batch_size"] == first["batch_size"]]
    along_batch = [row for row in table if _cutoffs(row) == _cutoffs(first)]
    with print_style():
        figure = new_figure(DOUBLE_COLUMN, 4.4)
        axes = figure.subplots(2, 2, sharex="col")
        for (key, label, factor), (left, right) in zip(MEASURES, axes, strict=True):
            _draw_lines(left, along_cutoff, _cutoff_label, key, factor)
            _draw_lines(right, along_batch, lambda row: str(row["batch_size"]), key, factor)
            left.set_ylabel(label)
        axes[1, 0].set_xlabel("radial / angular cutoff (Å)")
        axes[1, 1].set_xlabel("batch size (structures)")
        axes[0, 0].set_title(f"batch size {first['batch_size']}")
        axes[0, 1].set_title(f"cutoff {_cutoff_label(first)} Å")
        axes[0, 0].legend()
        if title:
            figure.suptitle(title, fontsize=9)
    return figure


def _draw_lines(axis: Axes, rows: Sequence[Row], label: Any, key: str, factor: float) -> None:
    """Draw one line per mode over equally spaced, labelled settings in rising order."""
    settings = [label(row) for row in sorted(rows, key=lambda row: (_cutoffs(row), row["batch_size"]))]
    ticks = list(dict.fromkeys(settings))
    for mode in dict.fromkeys(row["mode"] for row in rows):
        style = training_mode_style(mode)
        points = sorted((ticks.index(label(row)), row[key] * factor) for row in rows if row["mode"] == mode)
        x, y = zip(*points, strict=True)
        axis.plot(x, y, marker=style.marker, color=style.color, label=style.label, clip_on=False)
    axis.set_xticks(range(len(ticks)), ticks)
    axis.margins(x=0.1)
    axis.set_ylim(bottom=0)


def _cutoffs(row: Row) -> tuple[float, float]:
    return float(row["radial_cutoff"]), float(row["angular_cutoff"])


def _cutoff_label(row: Row) -> str:
    return f"{row['radial_cutoff']:g} / {row['angular_cutoff']:g}"
