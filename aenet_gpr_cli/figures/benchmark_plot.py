"""Time per epoch and peak memory of the training modes (the paper's Figure 7, and more of its kind).

Takes the table of `benchmark` and draws it against cutoffs, batch size, structure size and processes,
whatever of these varies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.evaluation.crossing import crossing
from aenet_gpr_cli.figures.style import (
    DOUBLE_COLUMN,
    GREY,
    SINGLE_COLUMN,
    mode_style,
    new_figure,
    print_style,
    training_mode_style,
)
from aenet_gpr_cli.units import BYTES_PER_GIB

Row = Mapping[str, Any]
# of a training, its factor, label; of a Gaussian process what is added up
MEASURES: tuple[tuple[str, float, str, tuple[str, ...]], ...] = (
    ("seconds_per_epoch", 1.0, "time per epoch (s)", ("fit_seconds", "label_seconds")),
    ("peak_memory", 1.0 / BYTES_PER_GIB, "peak memory (GiB)", ("surrogate_memory",)),
)
PROCESSES = {
    "gpr": "",
    "gpr_local": "local_",
}  # the model that it is drawn as, and what its columns begin with
FIXED = ("radial_cutoff", "angular_cutoff", "batch_size", "processes", "n_molecules")
VARIES = {
    "cutoff": ("radial_cutoff", "angular_cutoff"),
    "batch": ("batch_size",),
    "size": ("n_molecules",),
    "processes": ("processes",),
}
AXIS_LABELS = {
    "cutoff": "radial / angular cutoff (Å)",
    "batch": "batch size (structures)",
    "size": "atoms per structure",
    "processes": "processes",
}
OPTIMISERS: Mapping[str, tuple[Literal["-", ":"], str]] = {
    "adamw": ("-", "AdamW"),
    "levenberg_marquardt": (":", "Levenberg-Marquardt"),
}


def series(table: Sequence[Row]) -> dict[str, list[Row]]:
    """Sort the rows by what varies.

    Parameters
    ----------
    table : sequence of mappings
        The first row has the values that stay where something else varies; clusters are compared among
        themselves.

    Returns
    -------
    dict of str to list of mappings
        Of ``cutoff``, ``batch``, ``size`` and ``processes`` those along which a mode has at least two values,
        in rising order.
    """
    found = {}
    for name, keys in VARIES.items():
        rows = [row for row in table if bool(row["n_molecules"]) == (name == "size")]
        fixed = [key for key in FIXED if key not in keys]
        rows = [row for row in rows if all(row[key] == rows[0][key] for key in fixed)]
        lines = Counter((row["mode"], row["optimiser"]) for row in rows)
        rows = [row for row in rows if lines[row["mode"], row["optimiser"]] > 1]
        if rows:
            found[name] = sorted(rows, key=lambda row, keys=keys: _setting(row, keys))  # type: ignore[misc]
    return found


def cost(row: Row, key: str) -> float:
    """Return what modes are compared by: seconds, or bytes beyond those of libraries and references."""
    return float(max(1, row[key] - row.get("memory_before", 0)) if key == "peak_memory" else row[key])


def cheaper_from(rows: Sequence[Row], optimiser: str, x: str, key: str) -> tuple[list[float], float | None]:
    """Return from where on GPR-ANN costs less than direct force training.

    Parameters
    ----------
    x : str
        What grows: ``n_atoms``, ``neighbours``.
    key : str
        ``seconds_per_epoch`` or ``peak_memory``.

    Returns
    -------
    places : list of float
        Where both were measured, rising.
    start : float or None
        See `evaluation.crossing`; None without places, too.
    """
    ours, theirs = (
        {row[x]: cost(row, key) for row in rows if (row["mode"], row["optimiser"]) == (mode, optimiser)}
        for mode in ("gpr", "direct")
    )
    places = sorted(ours.keys() & theirs.keys())
    if not places:
        return [], None
    return places, crossing(places, [ours[i] for i in places], [theirs[i] for i in places])


def plot(table: Sequence[Row]) -> Figure:
    """Draw time (above) and memory (below), one column for each thing that varies.

    Parameters
    ----------
    table : sequence of mappings
        One per measured point: ``mode``, ``optimiser``, ``radial_cutoff``, ``angular_cutoff`` (Å),
        ``batch_size``, ``processes``, ``n_molecules``, ``n_atoms``, ``seconds_per_epoch`` (s),
        ``peak_memory``, ``memory_before`` (bytes); ``fit_seconds``, ``label_seconds`` (s) and
        ``surrogate_memory`` (bytes) of the surrogate, and, beginning with ``local_``, of a local process;
        None or missing where there is none.
    """
    if not table:
        raise InputError("benchmark figure: expected at least one measured point, got none")
    found = series(table) or {"batch": list(table)}
    with print_style():
        width = DOUBLE_COLUMN if len(found) > 1 else SINGLE_COLUMN
        figure = new_figure(width, 5.2)
        axes = figure.subplots(2, len(found), sharex="col", squeeze=False)
        for column, (name, rows) in enumerate(found.items()):
            for (key, factor, label, parts), axis in zip(MEASURES, axes[:, column], strict=True):
                _draw_trainings(axis, name, rows, key, factor)
                _draw_processes(axis, name, rows, parts, factor)
                _mark_places(axis, name, rows)
                if name == "size":
                    _mark_crossings(axis, rows, key)
                if column == 0:
                    axis.set_ylabel(label)
                if key == "seconds_per_epoch":
                    axis.set_yscale("log")
                else:
                    axis.set_ylim(bottom=0)
            axes[0, column].set_title(_fixed_title(name, rows[0]))
            axes[1, column].set_xlabel(AXIS_LABELS[name])
        _legend(figure, axes, found.get("size", ()))
    return figure


def _draw_trainings(axis: Axes, name: str, rows: Sequence[Row], key: str, factor: float) -> None:
    """Draw one line per mode and optimiser."""
    for mode, optimiser in dict.fromkeys((row["mode"], row["optimiser"]) for row in rows):
        own = [row for row in rows if (row["mode"], row["optimiser"]) == (mode, optimiser)]
        style = training_mode_style(mode)
        line, title = OPTIMISERS[optimiser]
        axis.plot(
            _places(name, rows, own), [row[key] * factor for row in own], marker=style.marker,
            color=style.colour, label=f"{style.label}, {title}", linestyle=line,
        )  # fmt: skip


def _draw_processes(axis: Axes, name: str, rows: Sequence[Row], parts: Sequence[str], factor: float) -> None:
    """Draw what fit and labels of each Gaussian process take; the same for every mode and optimiser."""
    for model, prefix in PROCESSES.items():
        keys = [prefix + part for part in parts]
        own = [row for row in rows if row.get(keys[0]) is not None]
        own = [r for r in own if (r["mode"], r["optimiser"]) == (own[0]["mode"], own[0]["optimiser"])]
        if own:
            style = mode_style(model)
            axis.plot(
                _places(name, rows, own), [sum(row[key] for key in keys) * factor for row in own], "--",
                color=style.colour, label=f"{style.label}, fit and labels, once",
            )  # fmt: skip


def _places(name: str, rows: Sequence[Row], own: Sequence[Row]) -> list[int]:
    """Return where the points of a line are: at the number of atoms, or one label after another."""
    labels = list(dict.fromkeys(_label(name, row) for row in rows))
    return [row["n_atoms"] if name == "size" else labels.index(_label(name, row)) for row in own]


def _mark_places(axis: Axes, name: str, rows: Sequence[Row]) -> None:
    if name == "size":
        axis.set_xscale("log")
        atoms = sorted({row["n_atoms"] for row in rows})
        axis.set_xticks(atoms, [str(n) for n in atoms])
        axis.minorticks_off()
    else:
        labels = list(dict.fromkeys(_label(name, row) for row in rows))
        axis.set_xticks(range(len(labels)), labels)
        axis.margins(x=0.1)


def _mark_crossings(axis: Axes, rows: Sequence[Row], key: str) -> None:
    """Mark from which size on GPR-ANN needs less than direct force training with the same optimiser."""
    for optimiser in dict.fromkeys(row["optimiser"] for row in rows):
        sizes, start = cheaper_from(rows, optimiser, "n_atoms", key)
        if start is not None and start > sizes[0]:
            axis.axvline(start, color=GREY, linestyle=OPTIMISERS[optimiser][0], linewidth=0.6)
            axis.annotate(
                f"{start:.0f}", (start, 0.02), xycoords=("data", "axes fraction"), fontsize=6.5, color=GREY
            )


def _legend(figure: Figure, axes: np.ndarray, sizes: Sequence[Row]) -> None:
    """Explain the lines, and say from which size on GPR-ANN needs less."""
    handles, labels = axes[0, 0].get_legend_handles_labels()
    for optimiser in dict.fromkeys(row["optimiser"] for row in sizes):
        said = [
            f"{what} {_where(*cheaper_from(sizes, optimiser, 'n_atoms', key))}"
            for what, key in (("time", "seconds_per_epoch"), ("memory", "peak_memory"))
        ]
        line, title = OPTIMISERS[optimiser]
        handles.append(Line2D([], [], color=GREY, linestyle=line, linewidth=0.6))
        labels.append(f"GPR-ANN below direct, {title}:\n{', '.join(said)}")
    figure.legend(handles, labels, loc="outside lower center", ncols=min(2, axes.shape[1]))


def _where(sizes: Sequence[float], start: float | None) -> str:
    if start is None:
        return f"not at {sizes[-1]:.0f} atoms" if sizes else "not measured"
    return "everywhere" if start == sizes[0] else f"from {start:.0f} atoms"


def _setting(row: Row, keys: Sequence[str]) -> tuple[float, ...]:
    return tuple(float(row[key]) for key in keys)


def _label(name: str, row: Row) -> str:
    return " / ".join(f"{row[key]:g}" for key in VARIES[name])


def _fixed_title(name: str, row: Row) -> str:
    cutoffs = f"{row['radial_cutoff']:g} / {row['angular_cutoff']:g} Å"
    batch = f"batch {row['batch_size']}"
    if name == "size":
        return f"EC clusters, {cutoffs}"
    return {"cutoff": batch, "batch": cutoffs}.get(name, f"{cutoffs}, {batch}")
