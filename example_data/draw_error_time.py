"""Draw the picture of README, error against CPU seconds, from the table in the guide (topic `paper`).

python example_data/draw_error_time.py
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes

from aenet_gpr_cli.figures.style import (
    DOUBLE_COLUMN,
    GREY,
    ModeStyle,
    logarithmic,
    mode_style,
    new_figure,
    print_style,
    save,
)

GUIDE = Path(__file__).parents[1] / "aenet_gpr_cli" / "guide"
HEAD = "| model | EC dimer: s |"  # of the table
SETS = {"EC dimer, 20 atoms": 0, "EC on Li(100), 46 atoms": 3}  # first column
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
# names off their points where others are near, in points: in one panel or both
PLACES: dict[str | tuple[str, int], tuple[int, int]] = {
    "GPR-ANN": (-20, 6),
    "direct": (5, -8),
    ("direct", 3): (5, 3),
    "full process, searched": (5, -8),
    ("local process", 0): (5, -8),
    ("full process", 3): (5, -8),
    ("local process, no metric", 3): (-8, 5),
    ("combined", 3): (5, 3),
}


def rows() -> list[tuple[str, list[str]]]:
    """Models with their numbers, from the table."""
    text = (GUIDE / "paper.md").read_text(encoding="utf-8")
    table = text.split(HEAD)[1].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return [(name, numbers) for name, *numbers in cells]


def short(name: str) -> str:
    """Return the name of a model, and what tells it from another row of the same."""
    return next(key for key in STYLES if name.startswith(key)) + "".join(
        f", {word}" for word in ("searched", "no metric", "three members") if word in name
    )


def draw(axes: Axes, column: int) -> None:
    """Draw one set: a point for each model that has numbers, peers in grey."""
    for name, numbers in rows():
        if numbers[column]:
            style = next(value for key, value in STYLES.items() if name.startswith(key))
            seconds, force = float(numbers[column]), float(numbers[column + 2])
            axes.plot(seconds, force, style.marker, color=style.colour, linestyle="none")
            beside = PLACES.get((short(name), column), PLACES.get(short(name), (5, 3)))
            axes.annotate(short(name), (seconds, force), beside, textcoords="offset points", fontsize=7)


def main() -> None:
    """Write the picture."""
    with print_style():
        figure = new_figure(DOUBLE_COLUMN, 2.8)
        axes = figure.subplots(1, 2, sharey=True)
        for panel, (title, column) in zip(axes, SETS.items(), strict=True):
            panel.set(xscale="log", yscale="log", title=title, xlim=(8, 10000), ylim=(0.004, 0.06))
            panel.set_xlabel("CPU time / s (log)")
            draw(panel, column)
            logarithmic(panel.xaxis)
            logarithmic(panel.yaxis)
        axes[0].set_ylabel("error of ‖F‖ / eV/Å (log)")
        save(figure, GUIDE / "error_time.png")


if __name__ == "__main__":
    main()
