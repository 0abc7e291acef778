"""One look for all figures: colours by mode, no window, text that stays text."""

import itertools
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from aenet_gpr_cli.figures.style import (
    GREY,
    SETTINGS,
    ModeStyle,
    logarithmic,
    mode_style,
    new_figure,
    print_style,
    save,
    three_digits,
    training_mode_style,
)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("ann_energy_only", "energy only"),
        ("ann_taylor", "Taylor-ANN"),
        ("ann_gpr", "GPR-ANN"),
        ("ann_direct", "direct forces"),
        ("ann_direct_10", "direct forces, 10 %"),
        ("ann_combined", "forces and copies"),
        ("ann_combined_all", "forces and copies (all)"),
        ("gpr", "GP (surrogate)"),
        ("gpr_cartesian_before", "GP, cartesian before"),
        ("gpr_local", "local GP"),
        ("ann_direct_100", "direct forces, 100 %"),
        ("ann_gpr_wide", "GPR-ANN (wide)"),
        ("my_model", "my model"),
    ],
)
def test_labels_follow_the_names_of_models(name, label):
    assert mode_style(name).label == label


def test_a_training_mode_and_the_model_it_makes_look_the_same():
    for mode in ("energy_only", "taylor", "gpr", "direct", "combined"):
        assert training_mode_style(mode) == mode_style(f"ann_{mode}")


def test_the_surrogate_is_not_drawn_as_the_network_trained_on_it():
    assert mode_style("gpr").colour != mode_style("ann_gpr").colour


def lightness_and_hue(colour):
    """CIE 1976 L*a*b* of a colour in sRGB, under D65: distances are those that one sees."""
    values = np.array(to_rgb(colour))
    linear = np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92)
    from_rgb = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    ratios = np.array(from_rgb) @ linear / [0.95047, 1.0, 1.08883]
    x, y, z = np.where(ratios > 216 / 24389, np.cbrt(ratios), (24389 / 27 * ratios + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_modes_and_processes_have_colours_that_one_tells_apart_and_markers():
    modes = ("energy_only", "taylor", "gpr", "direct", "direct_10", "combined")
    styles = [mode_style("gpr"), mode_style("gpr_local"), *map(training_mode_style, modes)]
    assert len({style.marker for style in styles}) == len(styles)
    places = [lightness_and_hue(style.colour) for style in (*styles, ModeStyle("", GREY, ""))]
    others = [p for p, style in zip(places, styles, strict=False) if style.label != "energy only"]
    # those of the paper, violet and dark blue, are 25 apart: no others are as near
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(others, 2)) > 35
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(places, 2)) > 25


def test_settings_hold_within_the_block_only():
    before = matplotlib.rcParams["font.size"]
    with print_style():
        assert matplotlib.rcParams["font.size"] == SETTINGS["font.size"]
    assert matplotlib.rcParams["font.size"] == before


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_a_figure_is_saved_in_the_format_of_its_suffix(tmp_path, suffix, start):
    with print_style():
        figure = new_figure(2, 1)
        figure.subplots().set_xlabel("‖F‖ (eV/Å)")
    save(figure, tmp_path / f"figure.{suffix}")
    assert (tmp_path / f"figure.{suffix}").read_bytes().startswith(start)


def test_drawing_needs_no_pyplot():
    # pyplot picks a backend and keeps figures alive: neither belongs into a batch job
    code = (
        "import sys; "
        "from aenet_gpr_cli.figures import benchmark_plot, error_bars, learning_curves, parity_plot; "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("value", "text"), [(8.0, "8.00"), (0.014, "0.0140"), (105.2, "105"), (36.66, "36.7")]
)
def test_numbers_have_three_significant_digits(value, text):
    assert three_digits(value) == text


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.9, 60.0, ["1", "2", "5", "10", "20", "50"]),
        (0.005, 600.0, ["0.01", "0.1", "1", "10", "100"]),  # 1, 2 and 5 of each would overlap
        (60.0, 0.9, ["1", "2", "5", "10", "20", "50"]),  # upside down
    ],
)
def test_numbers_of_a_logarithmic_axis_are_plain_and_few(low, high, said):
    axis = new_figure(2.0, 2.0).subplots()
    axis.set_yscale("log")
    axis.set_ylim(low, high)
    logarithmic(axis.yaxis)
    axis.figure.canvas.draw()
    inside = [t for t in axis.get_yticklabels() if min(low, high) <= t.get_position()[1] <= max(low, high)]
    assert sorted((t.get_text() for t in inside), key=float) == said
