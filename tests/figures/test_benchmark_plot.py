"""Benchmark figure: lines through the measured points, in GiB and seconds."""

import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures import benchmark_plot
from aenet_gpr_cli.figures.style import GREY, mode_style


def row(mode, radial, angular, batch, seconds, gibibytes, **keys):
    surrogate = (3.0, 4.0, 0.25 * 1024**3) if mode == "gpr" else (None,) * 3
    names = ("fit_seconds", "label_seconds", "surrogate_memory")
    return {
        "mode": mode,
        "optimiser": "adamw",
        "radial_cutoff": radial,
        "angular_cutoff": angular,
        "batch_size": batch,
        "processes": 1,
        "n_molecules": 0,
        "n_atoms": 46,
        "seconds_per_epoch": seconds,
        "peak_memory": gibibytes * 1024**3,
        **dict(zip(names, surrogate, strict=True)),
        **keys,
    }


# as a benchmark may deliver them: not in rising order
TABLE = [
    row("gpr", 6.5, 4.0, 32, 1.0, 0.5),
    row("direct", 6.5, 4.0, 32, 2.0, 1.0),
    row("gpr", 10.5, 8.0, 32, 1.5, 0.7),
    row("gpr", 8.5, 6.0, 32, 1.2, 0.6),
    row("direct", 8.5, 6.0, 32, 5.0, 2.0),
    row("gpr", 6.5, 4.0, 256, 0.4, 0.8),
]
SIZES = [
    row(mode, 6.5, 4.0, 32, seconds, 0.3, n_molecules=size, n_atoms=10 * size)
    for mode in ("gpr", "direct")
    for size, seconds in ((20, 4.0), (2, 1.0))
]
PROCESSES = [row("gpr", 6.5, 4.0, 32, 0.6, 0.9, processes=2)]


def lines(axis):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axis.lines}


def test_series_are_what_varies():
    found = benchmark_plot.series(TABLE + SIZES + PROCESSES)
    assert list(found) == ["cutoff", "batch", "size", "processes"]
    assert [r["n_atoms"] for r in found["size"]] == [20, 20, 200, 200]
    assert {r["n_molecules"] for r in found["cutoff"]} == {0}
    assert list(benchmark_plot.series(SIZES)) == ["size"]
    # direct force training was measured with one process only: no line
    assert [r["processes"] for r in found["processes"]] == [1, 2]


def test_lines_follow_the_table():
    time_cutoff, time_batch, memory_cutoff, memory_batch = benchmark_plot.plot(TABLE).axes
    assert lines(time_cutoff)["GPR-ANN, AdamW"] == ([0, 1, 2], [1.0, 1.2, 1.5])
    assert lines(time_cutoff)["direct forces, AdamW"] == ([0, 1], [2.0, 5.0])
    assert lines(memory_cutoff)["GPR-ANN, AdamW"] == ([0, 1, 2], pytest.approx([0.5, 0.6, 0.7]))
    assert lines(time_batch)["GPR-ANN, AdamW"] == ([0, 1], [1.0, 0.4])
    assert "direct forces, AdamW" not in lines(memory_batch)
    once = "GP (surrogate), fit and labels, once"
    assert lines(time_cutoff)[once] == ([0, 1, 2], [7.0] * 3)
    assert lines(memory_cutoff)[once] == ([0, 1, 2], pytest.approx([0.25] * 3))


def test_sizes_are_drawn_against_atoms():
    time, memory = benchmark_plot.plot(SIZES).axes
    assert lines(time)["direct forces, AdamW"] == ([20, 200], [1.0, 4.0])
    assert time.get_xscale() == time.get_yscale() == "log"
    assert memory.get_ylim()[0] == 0
    assert memory.get_xlabel() == "atoms per structure"


def test_labels_carry_units_and_settings():
    figure = benchmark_plot.plot(TABLE + SIZES + PROCESSES)
    axes = figure.axes
    assert (axes[0].get_ylabel(), axes[4].get_ylabel()) == ("time per epoch (s)", "peak memory (GiB)")
    assert [axis.get_xlabel() for axis in axes[4:]] == [
        *("radial / angular cutoff (Å)", "batch size (structures)", "atoms per structure", "processes")
    ]
    assert [t.get_text() for t in axes[4].get_xticklabels()] == ["6.5 / 4", "8.5 / 6", "10.5 / 8"]
    assert [t.get_text() for t in axes[5].get_xticklabels()] == ["32", "256"]
    assert axes[0].get_title() == "batch 32"
    assert axes[2].get_title() == "EC clusters, 6.5 / 4 Å"


def test_modes_have_their_colours():
    for line in benchmark_plot.plot(TABLE).axes[0].lines:
        mode = {"direct forces, AdamW": "ann_direct", "GPR-ANN, AdamW": "ann_gpr"}.get(
            line.get_label(), "gpr"
        )
        assert line.get_color() == mode_style(mode).colour


def test_forces_and_copies_and_the_local_process_are_drawn_beside_the_others():
    local = {"local_fit_seconds": 1.0, "local_label_seconds": 0.5, "local_surrogate_memory": 2**27}
    combined = [row("combined", r, a, 32, 3.0, 1.1) for r, a in ((6.5, 4.0), (8.5, 6.0))]
    figure = benchmark_plot.plot([r | local if r["mode"] == "gpr" else r for r in TABLE] + combined)
    time, _, memory, _ = figure.axes
    once = "local GP, fit and labels, once"
    assert lines(time)[once] == ([0, 1, 2], [1.5] * 3)
    assert lines(memory)[once] == ([0, 1, 2], pytest.approx([0.125] * 3))
    assert lines(time)["forces and copies, AdamW"] == ([0, 1], [3.0, 3.0])
    colours = {line.get_label(): line.get_color() for line in time.lines}
    assert colours[once] == mode_style("gpr_local").colour
    assert len(set(colours.values())) == len(colours) == 5
    assert set(colours) == {text.get_text() for text in figure.legends[0].get_texts()}


def test_an_empty_table_is_an_error():
    with pytest.raises(InputError, match="at least one measured point"):
        benchmark_plot.plot([])


def test_the_size_from_which_gpr_ann_needs_less_is_marked():
    table = [
        row(mode, 6.5, 4.0, 32, seconds, gibibytes, n_molecules=size, n_atoms=10 * size)
        for mode, values in (("gpr", ((1.0, 0.3), (4.0, 0.3))), ("direct", ((0.5, 0.4), (8.0, 0.9))))
        for size, (seconds, gibibytes) in zip((2, 20), values, strict=True)
    ]
    figure = benchmark_plot.plot(table)
    time, memory = figure.axes
    # along straight lines in log-log axes: twice as long at 20, half at 200 atoms
    (mark,) = [line for line in time.lines if line.get_color() == GREY]
    assert mark.get_xdata()[0] == pytest.approx(20 * 10**0.5)
    assert [text.get_text() for text in time.texts] == ["63"]
    assert not memory.texts  # less everywhere
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said[-1] == "GPR-ANN below direct, AdamW:\ntime from 63 atoms, memory everywhere"


def test_each_optimiser_has_a_crossing_of_its_own():
    table = [
        row(mode, 6.5, 4.0, 32, seconds, 0.3, n_molecules=size, n_atoms=10 * size, optimiser=optimiser)
        for optimiser, of_direct in (("adamw", (0.5, 8.0)), ("levenberg_marquardt", (0.1, 0.2)))
        for mode, values in (("gpr", (1.0, 4.0)), ("direct", of_direct))
        for size, seconds in zip((2, 20), values, strict=True)
    ]
    figure = benchmark_plot.plot(table)
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said[-2:] == [
        "GPR-ANN below direct, AdamW:\ntime from 63 atoms, memory not at 200 atoms",
        "GPR-ANN below direct, Levenberg-Marquardt:\ntime not at 200 atoms, memory not at 200 atoms",
    ]


def test_labels_of_all_lines_fit_into_the_figure():
    local = {"local_fit_seconds": 1.0, "local_label_seconds": 0.5, "local_surrogate_memory": 2**27}
    lines = [
        r | {"mode": mode, "optimiser": optimiser} | (local if mode != "direct" else {})
        for mode in ("gpr", "direct", "combined")
        for optimiser in ("adamw", "levenberg_marquardt")
        for r in (*TABLE[0::2], *SIZES)
    ]
    figure = benchmark_plot.plot(lines)
    figure.draw_without_rendering()
    assert len(figure.legends[0].get_texts()) == 6 + 2 + 2
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
