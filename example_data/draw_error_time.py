"""Draw the picture of README, what errors cost with us and with peers, from the table in the guide (`paper`).

python example_data/draw_error_time.py [--table peers.csv] [--output error_time.png]

With ``--table`` it draws what `peer_table.py` wrote (``make peers``). A panel for each set: error of ‖F‖
against CPU seconds of the fit; the last shows memory of the fit and cost of a step of dynamics, EC dimers.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aenet_gpr_cli.figures.style import (
    DOUBLE_COLUMN,
    GREY,
    ModeStyle,
    grid,
    logarithmic,
    mode_style,
    new_figure,
    print_style,
    save,
)

sys.path.append(str(Path(__file__).resolve().parent / "peers"))

from peer_rows import Row
from peer_table import MODELS, SETS, from_markdown

GUIDE = Path(__file__).parents[1] / "aenet_gpr_cli" / "guide"
STYLES = {
    "full process": mode_style("gp"),
    "local process": mode_style("gpr_local"),
    "GPR-ANN": mode_style("ann_gpr"),
    "direct": mode_style("ann_direct"),
    "combined": mode_style("ann_combined"),
    "sGDML": ModeStyle("", GREY, "v"),
    "gap_fit": ModeStyle("", GREY, "p"),
    "MACE": ModeStyle("", GREY, "d"),
}
COSTS_OF = "ec_dimer"  # the set of the last panel
SHORTEST = 5.0  # axis, last value over first: small differences look small


def widened(limits: tuple[float, float]) -> tuple[float, float]:
    """Return the limits of a logarithmic axis that is not too short, with the same middle."""
    middle, half = (limits[0] * limits[1]) ** 0.5, max(limits[1] / limits[0], SHORTEST) ** 0.5
    return middle / half, middle * half


def draw(axes: Axes, rows: Sequence[Row], x: str, y: str, factor: float = 1.0) -> None:
    """Draw a point for each row that has both numbers, peers in grey."""
    for row in (row for row in rows if row.get(x) and row.get(y)):
        style = STYLES[row["model"]]
        values = float(row[x]) * factor, float(row[y])
        axes.plot(*values, style.marker, color=style.colour, linestyle="none", markersize=6.5)
    axes.set(xscale="log", yscale="log")
    axes.margins(0.15)
    axes.set(xlim=widened(axes.get_xlim()), ylim=widened(axes.get_ylim()))
    logarithmic(axes.xaxis)
    logarithmic(axes.yaxis)


def legend(figure: Figure, axes: Axes, models: set[str]) -> None:
    """Explain all markers once, below the panels."""
    known = [name for name in MODELS if name in models]
    handles = [
        axes.plot([], [], STYLES[name].marker, color=STYLES[name].colour, label=name, markersize=6.5)[0]
        for name in known
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(known), handletextpad=0.1)


def picture(rows: Sequence[Row]) -> Figure:
    """Return the figure; call it within `print_style`."""
    of_set = {name: [row for row in rows if row["set"] == name] for name in SETS}
    shown = {name: some for name, some in of_set.items() if some}
    costs = of_set[COSTS_OF]
    lines, columns = grid(len(shown) + bool(costs), 3)
    figure = new_figure(DOUBLE_COLUMN, 2.15 * lines + 0.3)
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for panel, (name, some) in zip(panels, shown.items(), strict=False):
        draw(panel, some, "fit_cpu_s", "force_norm")
        panel.set(title=f"{SETS[name]}, {some[0]['step_atoms']} atoms", xlabel="CPU time of fit / s")
        panel.set_ylabel("error of ‖F‖ / eV/Å")
    if costs:
        last = panels[len(shown)]
        draw(last, costs, "fit_mib", "step_ms", 1 / 1024)
        last.set(title=f"cost, {SETS[COSTS_OF]}", xlabel="memory of fit / GiB", ylabel="MD step / ms")
    for panel in panels[len(shown) + bool(costs) :]:
        panel.set_axis_off()
    legend(figure, panels[0], {row["model"] for row in rows})
    return figure


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--table", type=Path, help="CSV; default: the table in the guide")
    parser.add_argument("--output", type=Path, default=GUIDE / "error_time.png")
    options = parser.parse_args()
    rows: Sequence[Row] = (
        list(csv.DictReader(options.table.read_text(encoding="utf-8").splitlines()))
        if options.table
        else from_markdown((GUIDE / "paper.md").read_text(encoding="utf-8"))
    )
    with print_style():
        save(picture(rows), options.output)


if __name__ == "__main__":
    main()
