"""Distributions of energies: of a split (Figures S12, S14), and of augmented sets (S13, S15).

Takes energies and draws histograms; computes nothing but bins.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import (
    DOUBLE_COLUMN,
    GREY,
    SINGLE_COLUMN,
    mode_style,
    new_figure,
    print_style,
)
from aenet_gpr_cli.structures import FloatArray

BINS = 40
SHOWN = 0.995  # of the energies of copies
MOST_COLUMNS = 4
TRAINING = "#4d4d4d"  # dark and light grey, as in the paper
TEST = "#bdbdbd"
PARTS = {"test": ("test", TEST), "train": ("training", TRAINING)}


def plot(reference: Mapping[str, FloatArray]) -> Figure:
    """Draw the energies of the parts of a split.

    Parameters
    ----------
    reference : mapping of str to ndarray of shape (n_structures,), eV
        ``train`` and ``test``, relative to the lowest energy of the subset.
    """
    edges = _edges(reference)
    with print_style():
        figure = new_figure(SINGLE_COLUMN, 2.3)
        axis = figure.subplots()
        for part in sorted(reference, key=lambda part: -len(reference[part])):  # the smaller one in front
            label, colour = PARTS[part]
            text = f"{label}, {len(reference[part])} structures"
            axis.hist(reference[part], bins=edges, color=colour, label=text)
        _label(axis)
        axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def plot_augmented(
    training: FloatArray, augmented: Mapping[str, FloatArray], titles: Mapping[str, str] | None = None
) -> Figure:
    """Draw the energies of augmented sets over those of their parents, one panel for each set.

    Parameters
    ----------
    training : ndarray of shape (n_structures,), eV
    augmented : mapping of str to ndarray of shape (n_copies,), eV
        Name of the variant → energies of the copies, from the same zero.
    titles : mapping of str to str, optional
        Name of the variant → title of its panel; default: the name.

    Returns
    -------
    Figure
        Densities, so that few parents and many copies compare. What lies above the highest energy of the
        parents and 99.5 % of the copies is not shown.
    """
    if not augmented:
        raise InputError("distribution figure: expected at least one augmented set, got none")
    edges = _edges({"train": training, **augmented}, SHOWN)
    places, columns = _places(augmented)
    rows = places[-1][0] + 1
    with print_style():
        figure = new_figure(min(DOUBLE_COLUMN, 0.4 + 2.3 * max(columns, 1.4)), 0.2 + 1.9 * rows)
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axis in axes.flat:
            axis.set_visible(False)
        for place, (name, energies) in zip(places, augmented.items(), strict=True):
            axis = axes[place]
            axis.set_visible(True)
            style = mode_style("gpr" if name.startswith("gpr") else f"ann_{name}")
            axis.hist(training, bins=edges, density=True, color=TEST, label="training")
            axis.hist(
                energies, bins=edges, density=True, histtype="step", color=style.colour, linewidth=1.3,
                label=f"{len(energies)} copies",
            )  # fmt: skip
            title = (titles or {}).get(name, name.replace("_", " "))
            title = title.replace(", ", "\n", 1) if columns == MOST_COLUMNS else title
            axis.set_title(title, color=style.colour, fontweight="bold")
            axis.tick_params(labelbottom=True)
            _label(axis, "density (1/eV)" if axis in axes[:, 0] else "")
    return figure


def _places(names: Iterable[str]) -> tuple[list[tuple[int, int]], int]:
    """Return line and column of each panel, every method on lines of its own, and the number of columns."""
    groups = [list(group) for _, group in itertools.groupby(names, key=lambda name: name.partition("_")[0])]
    columns = min(MOST_COLUMNS, max(len(group) for group in groups))
    places, line = [], 0
    for group in groups:
        places += [(line + i // columns, i % columns) for i in range(len(group))]
        line = places[-1][0] + 1
    return places, columns


def _edges(energies: Mapping[str, FloatArray], shown: float = 1.0) -> list[float]:
    """Return the edges of bins for a share of the values, and all of the first part."""
    values = [part for part in energies.values() if len(part)]
    if not values:
        raise InputError("distribution figure: expected at least one energy, got none")
    joined = np.concatenate(values)
    low, high = float(joined.min()), max(float(np.quantile(joined, shown)), float(values[0].max()))
    return list(np.linspace(low, high if high > low else low + 1.0, BINS + 1))


def _label(axis: Axes, ylabel: str = "structures") -> None:
    axis.set_xlabel("energy above lowest (eV)")
    axis.set_ylabel(ylabel)
    axis.legend(labelcolor=GREY, loc="upper right", handlelength=0.8, handletextpad=0.5, borderaxespad=0.0)
