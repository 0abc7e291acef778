"""The one table of peers, as CSV and in the guide, and the picture that is drawn from it."""

import importlib
import sys

import pytest

from aenet_gpr_cli.figures.style import print_style
from tests.example_data.scripts import FOLDER, importable


@pytest.fixture(scope="module")
def scripts():
    with importable(FOLDER / "peers"), importable():
        yield {name: importlib.import_module(name) for name in ("peer_rows", "peer_table", "draw_error_time")}


@pytest.fixture
def table(scripts):
    return scripts["peer_table"]


def row(of_set="ec_dimer", model="direct", **values):
    return {
        "set": of_set,
        "model": model,
        "settings": "as they are",
        "group": "all",
        "structures": 3,
        "energy_mev": 1.24,
        "energy_per_atom_mev": 0.062,
        "force_component": 0.0041,
        "force_norm": 0.0052,
        "force_norm_of_difference": 0.0081,
        "fit_cpu_s": 5043.2,
        "fit_wall_s": 6000.0,
        "fit_mib": 1473.5,
        "step_ms": 0.34,
        "step_atoms": 20,
        "predict_cpu_s": 9.0,
    } | values


def test_tables_of_a_folder_are_one_in_a_fixed_order(scripts, table, tmp_path):
    write = scripts["peer_rows"].write_rows
    write([row("si", "MACE"), row("si", "MACE", group="Vacancy")], tmp_path / "a.csv")
    write(
        [row("ethanol", "sGDML"), row("ethanol", "full process"), row("other", "sGDML")], tmp_path / "b.csv"
    )
    (tmp_path / "old.csv").write_text("group,structures\nall,3\n", encoding="utf-8")
    joined = tmp_path / "peers.csv"
    write([row("li")], joined)  # of an earlier run
    found = table.read_rows(tmp_path, joined)
    assert [(r["set"], r["model"]) for r in found] == [
        ("ethanol", "full process"),
        ("ethanol", "sGDML"),
        ("si", "MACE"),
        ("other", "sGDML"),
    ]
    write(found, joined)
    assert table.read_rows(tmp_path, joined) == found


def test_the_table_of_the_guide_is_read_as_it_was_written(table):
    rows = [row(), row("si", "gap_fit", fit_cpu_s=12.3, energy_mev=190.4, step_ms=150.2, step_atoms=64)]
    text = f"Words.\n\n{table.to_markdown(rows)}\n\nMore words, | and a line.\n"
    found = table.from_markdown(text)
    assert [(r["set"], r["model"], r["step_atoms"]) for r in found] == [
        ("ec_dimer", "direct", 20),
        ("si", "gap_fit", 64),
    ]
    for read, written in zip(found, rows, strict=True):
        for key in (*table.NUMBERS, "step_ms"):
            assert read[key] == pytest.approx(written[key], rel=0.005), key


def test_what_was_not_measured_is_a_dash_and_no_number(table):
    (found,) = table.from_markdown(table.to_markdown([row(fit_mib="", step_ms=None)]) + "\n")
    assert "fit_mib" not in found
    assert "step_ms" not in found
    assert found["fit_cpu_s"] == 5040


@pytest.mark.parametrize(
    ("value", "text"),
    [(5043.4, "5040"), (0.004123, "0.00412"), (190.4, "190"), (1.0, "1"), ("0.00001234", "0.000012")],
)
def test_numbers_have_three_digits_and_no_exponents(table, value, text):
    assert table.rounded(value) == text


def test_the_guide_has_the_table_and_every_model_of_it_a_marker(scripts, table):
    drawing = scripts["draw_error_time"]
    rows = table.from_markdown((drawing.GUIDE / "paper.md").read_text(encoding="utf-8"))
    assert {r["set"] for r in rows} == set(table.SETS)
    assert {r["model"] for r in rows} <= set(drawing.STYLES)
    assert set(drawing.STYLES) == set(table.MODELS)


def test_the_picture_shows_each_row_where_it_is(scripts):
    drawing = scripts["draw_error_time"]
    rows = [
        row(model="direct"),
        row(model="sGDML", force_norm="0.028", fit_mib="2560"),  # CSV gives text
        row(model="gap_fit", fit_cpu_s="", fit_mib=""),
        row("si", "MACE", force_norm=0.07),
    ]
    with print_style():
        panels = drawing.picture(rows).axes
    shown = [p for p in panels if p.axison]
    points = [[(x, y) for line in p.lines for x, y in zip(*line.get_data(), strict=True)] for p in shown]
    assert points[0] == [(5043.2, 0.0052), (5043.2, 0.028)]
    assert points[1] == [(5043.2, 0.07)]
    assert points[2] == [(1473.5 / 1024, 0.34), (2.5, 0.34)]
    for panel in shown:
        for limits in (panel.get_xlim(), panel.get_ylim()):
            assert limits[1] / limits[0] > 4.99
    assert [p.get_title() for p in shown] == ["EC dimers, 20 atoms", "Si, 20 atoms", "cost, EC dimers"]


def test_what_is_written_is_printed_for_the_guide(scripts, table, tmp_path, monkeypatch, capsys):
    scripts["peer_rows"].write_rows([row()], tmp_path / "ours_ec_dimer.csv")
    output = tmp_path / "peers.csv"
    monkeypatch.setattr(sys, "argv", ["peer_table.py", str(tmp_path), "--output", str(output)])
    table.main()
    printed = capsys.readouterr().out
    assert table.from_markdown(printed + "\n")[0]["fit_cpu_s"] == 5040
    assert output.exists()
