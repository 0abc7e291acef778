"""Benchmark figure: lines through the measured points, in GiB and seconds."""

import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures import benchmark
from aenet_gpr_cli.figures.style import mode_style


def row(mode, radial, angular, batch, seconds, gibibytes):
    return {
        "mode": mode,
        "radial_cutoff": radial,
        "angular_cutoff": angular,
        "batch_size": batch,
        "seconds_per_epoch": seconds,
        "peak_memory": gibibytes * 1024**3,
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


def lines(axis):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axis.lines}


def test_lines_follow_the_table():
    time_cutoff, time_batch, memory_cutoff, memory_batch = benchmark.plot(TABLE).axes
    assert lines(time_cutoff)["GPR-ANN"] == ([0, 1, 2], [1.0, 1.2, 1.5])
    assert lines(time_cutoff)["direct forces"] == ([0, 1], [2.0, 5.0])
    assert lines(memory_cutoff)["GPR-ANN"] == ([0, 1, 2], pytest.approx([0.5, 0.6, 0.7]))
    assert lines(time_batch)["GPR-ANN"] == ([0, 1], [1.0, 0.4])
    assert lines(memory_batch)["direct forces"] == ([0], [1.0])


def test_labels_carry_units_and_settings():
    figure = benchmark.plot(TABLE)
    axes = figure.axes
    assert (axes[0].get_ylabel(), axes[2].get_ylabel()) == ("time per epoch (s)", "peak memory (GiB)")
    assert (axes[2].get_xlabel(), axes[3].get_xlabel()) == (
        "radial / angular cutoff (Å)",
        "batch size (structures)",
    )
    assert [t.get_text() for t in axes[2].get_xticklabels()] == ["6.5 / 4", "8.5 / 6", "10.5 / 8"]
    assert [t.get_text() for t in axes[3].get_xticklabels()] == ["32", "256"]
    assert axes[0].get_title() == "batch size 32"


def test_modes_have_their_colours():
    for line in benchmark.plot(TABLE).axes[0].lines:
        mode = {"GPR-ANN": "ann_gpr", "direct forces": "ann_direct"}[line.get_label()]
        assert line.get_color() == mode_style(mode).color


def test_an_empty_table_is_an_error():
    with pytest.raises(InputError, match="at least one measured point"):
        benchmark.plot([])
