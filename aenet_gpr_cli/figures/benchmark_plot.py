"""Time per epoch and peak memory of the training modes (the paper's Figure 7, and more of its kind).

Takes the table of `benchmark` and draws it against cutoffs, batch size, structure size and processes,
whatever of these varies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.evaluation.crossing import crossing
from aenet_gpr_cli.figures.style import (
    DOUBLE_COLUMN,
    GREY,
    SINGLE_COLUMN,
    new_figure,
    print_style,
    training_mode_style,
)
from aenet_gpr_cli.units import BYTES_PER_GIB

Row = Mapping[str, Any]
# (of an epoch, of the surrogate behind it), label, factor
MEASURES: tuple[tuple[str, Callable[[Row], float], str, float], ...] = (
    (
        "seconds_per_epoch",
        lambda row: row["fit_seconds"] + row["label_seconds"],
        "time per epoch (s)",
        1.0,
    ),
    ("peak_memory", lambda row: row["surrogate_memory"], "peak memory (GiB)", 1.0 / BYTES_PER_GIB),
)
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
OPTIMISERS = {"adamw": ("-", "AdamW"), "levenberg_marquardt": (":", "Levenberg-Marquardt")}


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


def plot(table: Sequence[Row]) -> Figure:
    """Draw time (above) and memory (below), one column for each thing that varies.

    Parameters
    ----------
    table : sequence of mappings
        One per measured point: ``mode``, ``optimiser``, ``radial_cutoff``, ``angular_cutoff`` (Å),
        ``batch_size``, ``processes``, ``n_molecules``, ``n_atoms``, ``seconds_per_epoch`` (s),
        ``peak_memory`` (bytes); ``fit_seconds``, ``label_seconds`` (s) and ``surrogate_memory`` (bytes), None
        without surrogate.
    """
    if not table:
        raise InputError("benchmark figure: expected at least one measured point, got none")
    found = series(table) or {"batch": list(table)}
    with print_style():
        width = DOUBLE_COLUMN if len(found) > 1 else SINGLE_COLUMN
        figure = new_figure(width, 4.6)
        axes = figure.subplots(2, len(found), sharex="col", squeeze=False)
        for column, (name, rows) in enumerate(found.items()):
            for (key, surrogate, label, factor), axis in zip(MEASURES, axes[:, column], strict=True):
                _draw(axis, name, rows, lambda row, key=key: row[key], factor, False)  # type: ignore[misc]
                _draw(axis, name, _with_surrogate(rows), surrogate, factor, True)
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
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3 if len(found) > 1 else 1)
    return figure


def _draw(
    axis: Axes, name: str, rows: Sequence[Row], value: Callable[[Row], float], factor: float, surrogate: bool
) -> None:
    """Draw one line per mode and optimiser; that of the surrogate behind a mode is pale."""
    ticks = list(dict.fromkeys(_label(name, row) for row in rows))
    for mode, optimiser in dict.fromkeys((row["mode"], row["optimiser"]) for row in rows):
        own = [row for row in rows if (row["mode"], row["optimiser"]) == (mode, optimiser)]
        style = training_mode_style(mode)
        line, title = OPTIMISERS[optimiser]
        axis.plot(
            [row["n_atoms"] if name == "size" else ticks.index(_label(name, row)) for row in own],
            [value(row) * factor for row in own],
            marker="" if surrogate else style.marker,
            color=style.colour,
            label="fit and labels of the GP, once" if surrogate else f"{style.label}, {title}",
            linestyle="--" if surrogate else line,
            alpha=0.5 if surrogate else 1.0,
        )
        if surrogate:
            break  # the same for every optimiser
    if name == "size":
        axis.set_xscale("log")
        atoms = sorted({row["n_atoms"] for row in rows})
        axis.set_xticks(atoms, [str(n) for n in atoms])
        axis.minorticks_off()
    else:
        axis.set_xticks(range(len(ticks)), ticks)
        axis.margins(x=0.1)


def _mark_crossings(axis: Axes, rows: Sequence[Row], key: str) -> None:
    """Mark from which size on GPR-ANN needs less than direct force training with the same optimiser."""
    for optimiser in dict.fromkeys(row["optimiser"] for row in rows):
        ours, theirs = (
            {r["n_atoms"]: r[key] for r in rows if (r["mode"], r["optimiser"]) == (mode, optimiser)}
            for mode in ("gpr", "direct")
        )
        sizes = sorted(ours.keys() & theirs.keys())
        start = crossing(sizes, [ours[n] for n in sizes], [theirs[n] for n in sizes]) if sizes else None
        if start is not None and start > sizes[0]:
            axis.axvline(start, color=GREY, linestyle=OPTIMISERS[optimiser][0], linewidth=0.6)
            axis.annotate(
                f"{start:.0f}", (start, 0.02), xycoords=("data", "axes fraction"), fontsize=6.5, color=GREY
            )


def _with_surrogate(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of one mode whose labels a surrogate gave."""
    found = [row for row in rows if row.get("fit_seconds") is not None]
    return [row for row in found if row["mode"] == found[0]["mode"]]


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
