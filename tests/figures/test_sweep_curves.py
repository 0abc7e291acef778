"""Errors against δ or M: what is in the table is what is drawn."""

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures import sweep_curves
from aenet_gpr_cli.figures.style import mode_style

KEYS = [f"{q}_{m}" for q in ("energy", "force_norm", "force_direction") for m in ("mae", "spread")]


def row(model, method=None, delta=None, scale=1.0, msd=True):
    values = {key: scale * (i + 1) for i, key in enumerate(KEYS)}
    if not msd:
        values |= {key: None for key in KEYS if key.endswith("spread")}
    return {"model": model, "method": method, "displacement": delta, "n_copies": 4, **values}


ROWS = [
    row("ann_gpr_b", "gpr", 0.034, 1.0),
    row("ann_gpr_a", "gpr", 0.008, 3.0),
    row("ann_taylor_a", "taylor", 0.008, 2.0),
    row("ann_energy_only", scale=9.0),
]


def test_lines_hold_the_table_in_rising_order_and_baselines_are_level():
    axis = sweep_curves.plot(ROWS, "displacement").axes[0]
    gpr, taylor, baseline = axis.lines
    assert list(gpr.get_xdata()) == [0.008, 0.034]
    assert np.allclose(gpr.get_ydata(), [3000.0, 1000.0])  # meV
    assert np.allclose(taylor.get_ydata(), [2000.0])
    assert np.allclose(baseline.get_ydata(), 9000.0)
    assert baseline.get_linestyle() == "--"
    assert [line.get_color() for line in axis.lines] == [
        mode_style(name).colour for name in ("ann_gpr", "ann_taylor", "ann_energy_only")
    ]


def test_the_adaptive_choice_is_a_star_beside_the_line():
    adaptive = {**row("ann_gpr_adaptive", "gpr", 0.02, 0.5), "mode": "adaptive"}
    axis = sweep_curves.plot([*ROWS, adaptive], "displacement").axes[0]
    line, _, star, _ = axis.lines
    assert list(line.get_xdata()) == [0.008, 0.034]
    assert (list(star.get_xdata()), list(star.get_ydata())) == ([0.02], [500.0])
    assert (star.get_marker(), star.get_color()) == ("*", line.get_color())
    assert star.get_label() in [text.get_text() for text in axis.figure.legends[0].get_texts()]


def test_rows_of_panels_are_mean_error_and_spread():
    labels = [axis.get_ylabel() for axis in sweep_curves.plot(ROWS, "displacement").axes]
    assert labels == [
        "energy MAE (meV)", "‖F‖ MAE (eV/Å)", "direction of F MAE (°)",
        "energy spread (meV)", "‖F‖ spread (eV/Å)", "direction of F spread (°)",
    ]  # fmt: skip


def test_only_the_quantities_asked_for_are_drawn():
    labels = [a.get_ylabel() for a in sweep_curves.plot(ROWS, "displacement", ("energy", "force_norm")).axes]
    assert labels == ["energy MAE (meV)", "‖F‖ MAE (eV/Å)", "energy spread (meV)", "‖F‖ spread (eV/Å)"]


def test_forces_and_copies_and_both_processes_are_level_lines_of_their_own():
    names = ("ann_combined", "gpr", "gpr_local")
    levels = [
        row(name, scale=scale, msd=name.startswith("ann_"))
        for name, scale in zip(names, (4, 5, 6), strict=True)
    ]
    mean, spread = (sweep_curves.plot([*ROWS[:3], *levels], "displacement").axes[i] for i in (0, 3))
    lines = {line.get_label(): line for line in mean.lines}
    for name, scale in zip(names, (4, 5, 6), strict=True):
        line = lines[mode_style(name).label]
        assert np.allclose(line.get_ydata(), 1000.0 * scale)  # meV
        assert line.get_color() == mode_style(name).colour
        assert line.get_linestyle() == ("--" if name.startswith("ann_") else "-.")
    # σ of a process is no spread of members
    assert [line.get_label() for line in spread.lines][2:] == ["forces and copies"]
    assert set(lines) <= {text.get_text() for text in mean.figure.legends[0].get_texts()}


def test_shares_of_the_forces_have_their_own_colours():
    direct = [row("ann_direct_10", scale=5.0), row("ann_direct_100", scale=4.0)]
    _, _, ten, hundred = sweep_curves.plot([*ROWS[:3], *direct], "displacement").axes[0].lines
    assert (ten.get_color(), hundred.get_color()) == tuple(mode_style(r["model"]).colour for r in direct)
    assert ten.get_color() != hundred.get_color()
    assert ten.get_linestyle() == hundred.get_linestyle() == "--"


def test_single_networks_have_no_spread_to_draw():
    rows = [row("ann_gpr", "gpr", 0.03, msd=False), row("ann_taylor", "taylor", 0.03, msd=False)]
    assert len(sweep_curves.plot(rows, "displacement").axes) == 3


def test_a_table_without_augmentation_is_refused():
    with pytest.raises(InputError, match="at least one network with augmentation"):
        sweep_curves.plot([row("ann_energy_only")], "displacement")


def test_labels_of_many_displacements_do_not_overlap():
    deltas = (
        0.002,
        0.004,
        0.006,
        0.008,
        0.01,
        0.013,
        0.017,
        0.021,
        0.026,
        0.034,
        0.038,
        0.042,
        0.05,
        0.06,
        0.08,
    )
    figure = sweep_curves.plot([row(f"ann_gpr_{d}", "gpr", d) for d in deltas], "displacement")
    figure.draw_without_rendering()
    for axis in figure.axes[3:]:
        places = [label.get_window_extent() for label in axis.get_xticklabels() if label.get_text()]
        assert 4 < len(places) < len(deltas)
        middles = [(box.x0 + box.x1) / 2 for box in places]
        height = min(label.get_fontsize() for label in axis.get_xticklabels()) * figure.dpi / 72
        # labels are turned by 60 degrees: lines of text so far apart do not touch
        assert min(np.diff(middles)) * np.sin(np.radians(60)) > height


def test_the_recipe_of_the_paper_is_dashed_with_empty_markers_beside_ours():
    paper = [row("ann_gpr_x", "gpr", 0.021, 2.0), row("ann_energy_only", scale=8.0)]
    axis = sweep_curves.plot(ROWS, "displacement", paper=paper).axes[0]
    gpr, _, level, paper_gpr, paper_level = axis.lines
    assert (list(paper_gpr.get_xdata()), list(paper_gpr.get_ydata())) == ([0.021], [2000.0])
    assert np.allclose(paper_level.get_ydata(), 8000.0)
    for ours, theirs in ((gpr, paper_gpr), (level, paper_level)):
        assert theirs.get_color() == ours.get_color()
        assert theirs.get_linestyle() != ours.get_linestyle()
        assert theirs.get_label() == f"{ours.get_label()}, as in the paper"
    assert paper_gpr.get_linestyle() == "--"
    assert (gpr.get_markerfacecolor(), paper_gpr.get_markerfacecolor()) == (gpr.get_color(), "white")
    assert 0.021 in axis.get_xticks()


@pytest.mark.parametrize("paper", [False, True])
def test_labels_of_all_lines_of_both_recipes_fit_into_the_figure(paper):
    modes = ("energy_only", "direct_10", "direct_100", "combined")
    levels = [row(f"ann_{mode}", scale=9.0) for mode in modes]
    ours = [*ROWS[:3], *levels, {**row("ann_gpr_adaptive", "gpr", 0.02, 0.5), "mode": "adaptive"}]
    ours += [row("gpr"), row("gpr_local")]
    figure = sweep_curves.plot(ours, "displacement", paper=[*ROWS[:3], *levels] if paper else [])
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
