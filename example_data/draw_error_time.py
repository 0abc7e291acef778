"""Draw the picture of README, error against CPU seconds, from the table in the guide (topic `paper`).

python example_data/draw_error_time.py
"""

from __future__ import annotations

import re
from pathlib import Path

from matplotlib.axes import Axes

from aenet_gpr_cli.figures.style import DOUBLE_COLUMN, logarithmic, mode_style, new_figure, print_style, save

GUIDE = Path(__file__).parents[1] / "aenet_gpr_cli" / "guide"
SETS = {"EC dimer, 20 atoms": (0, 37.0), "EC on Li(100), 46 atoms": (3, 25.0)}  # column; fit and copies in s
STYLES = {
    "direct, a quarter": "ann_direct_10",
    "direct": "ann_direct",
    "GPR": "ann_gpr",
    "Taylor": "ann_taylor",
    "energies": "ann_energy_only",
}


def rows() -> list[tuple[str, list[str]]]:
    """Trainings to their end, with their numbers, from the table."""
    text = (GUIDE / "paper.md").read_text(encoding="utf-8")
    table = text.split("| training | EC dimer: s |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return [(name, numbers) for name, *numbers in cells if "iterations" not in name]


def draw(axes: Axes, column: int, surrogate: float) -> None:
    """Draw one set: a point for each training, filled for Levenberg–Marquardt."""
    for name, numbers in rows():
        seconds, force = float(numbers[column]), float(numbers[column + 2])
        style = mode_style(next(value for key, value in STYLES.items() if name.startswith(key)))
        newton = " LM" in name
        seconds += surrogate if name.startswith("GPR") else 0.0
        face = style.colour if newton else "white"
        label = re.split(r", LM|, AdamW|, M = 36", name)[0]
        axes.plot(
            seconds, force, style.marker, color=style.colour, markerfacecolor=face, linestyle="none",
            label=f"{label}, {'Levenberg–Marquardt' if newton else 'AdamW'}",
        )  # fmt: skip


def main() -> None:
    """Write the picture."""
    with print_style():
        figure = new_figure(DOUBLE_COLUMN, 3.2)
        axes = figure.subplots(1, 2, sharey=True)
        for panel, (title, (column, surrogate)) in zip(axes, SETS.items(), strict=True):
            panel.set(xscale="log", yscale="log", xlim=(15, 400), title=title)
            panel.set_xlabel("CPU time / s (log)")
            draw(panel, column, surrogate)
            logarithmic(panel.xaxis)
            logarithmic(panel.yaxis)
        axes[0].set_ylabel("error of ‖F‖ / eV/Å (log)")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        save(figure, GUIDE / "error_time.png")


if __name__ == "__main__":
    main()
