"""Tables at any width: every cell is there in full, and no line is wider than the terminal."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from aenet_gpr_cli.cli.tables import print_summary, wrapped
from aenet_gpr_cli.stages.evaluate.evaluate_stage import COLUMNS
from aenet_gpr_cli.stages.inspection import show
from aenet_gpr_cli.stages.shared.context import Summary


def printed(summary, width):
    file = io.StringIO()
    print_summary(summary, Console(file=file, width=width, force_terminal=True, color_system=None))
    return file.getvalue()


def numbers_of(text):
    return re.findall(r"\S+", text)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
@pytest.mark.parametrize("n_columns", [2, 5, 9, 14])
def test_every_number_is_printed_in_full(width, n_columns):
    rng = np.random.default_rng(n_columns)
    rows = [
        [f"ann_number_{i}", *(f"{value:.{i + 1}f}" for value in rng.normal(size=n_columns - 1) * 10.0**i)]
        for i in range(4)
    ]
    text = printed(Summary("Errors", [f"energy {n} / meV" for n in range(n_columns)], rows), width)
    words = numbers_of(text)
    for row in rows:
        for cell in row:
            assert cell in words, (cell, text)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_of_evaluate_keeps_models_below_each_other(width):
    rows = [["ann_energy_only", "1", "27.52", "35.19", "2.73", "0.1935", "0.2339", "0.0123", "13.30"]] * 2
    text = printed(Summary("Errors", COLUMNS, rows), width)
    assert max(map(len, text.splitlines())) <= width
    assert sum(line.startswith(" ann_energy_only") for line in text.splitlines()) == (4 if width == 80 else 2)
    for cell in rows[0]:
        assert cell in numbers_of(text)


@pytest.mark.parametrize("name", ["split", "gpr", "augmented_gpr", "ann_gpr", "metrics"])
def test_what_show_prints_fits_into_eighty_columns_and_is_whole(finished, name):
    for summary in show(finished / f"{name}.h5"):
        text = printed(summary, 80)
        wide = [line for line in text.splitlines() if len(line) > 80 and " " in line.strip()]
        assert all(max(map(len, line.split())) > 40 for line in wide), wide  # a path or a name is left whole
        words = numbers_of(text)
        for row in summary.rows:
            for cell in row:
                assert all(word in words for word in numbers_of(str(cell)))


def test_lines_of_a_verdict_go_on_below_their_text():
    line = "  energies  good: 0.06 meV per atom (RMSE), 0.23 % of kT, which is 25.9 meV at 300 K"
    first, second = wrapped(line, 60).splitlines()
    assert len(first) <= 60
    assert second.startswith(" " * len("  energies  ") + "which")
    assert first.split() + second.split() == line.split()


def test_names_in_brackets_are_names():
    assert "[bold]" in printed(Summary("T", ["a", "b"], [["[bold]", "1"]]), 80)


@pytest.mark.parametrize("width", range(40, 130, 10))
def test_a_unit_stays_with_its_stroke(width):
    columns = ["potential", *(f"left-out {name} / {unit}" for name in "EFG" for unit in ("meV", "eV/Å", "s"))]
    text = printed(Summary("Errors", columns, [["ann_direct", *["0.0010"] * 9]]), width)
    assert re.findall(r"/(?: *$|  )", text, re.MULTILINE) == []  # a stroke alone
    assert text.count("/ meV") == text.count("/ s") == 3


def test_an_empty_cell_of_a_block_is_not_named():
    row = ["reference/C3H4O3_and_more/species", "16", "", "chemical symbols, one for each atom"]
    text = printed(Summary("Arrays", ["name", "shape", "unit", "meaning"], [row]), 40)
    assert "shape: 16" in text
    assert "unit:" not in text
