"""Small tables: nothing is lost on the way to CSV and JSON, and a failure leaves what was there."""

import csv
import json

import pytest

from aenet_gpr_cli.io.tables import write_csv, write_json


def test_json_keeps_every_digit(tmp_path):
    content = {"a": {"b": 0.1 + 0.2, "c": None, "n": 3}}
    write_json(tmp_path / "x.json", content)
    assert json.loads((tmp_path / "x.json").read_text()) == content


def test_json_refuses_what_is_not_a_number_and_keeps_the_old_file(tmp_path):
    write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_csv_keeps_every_digit_and_leaves_unknown_values_empty(tmp_path):
    rows = [{"model": "ann, gpr", "mae": 0.1 + 0.2}, {"model": "gpr", "mae": None}]
    write_csv(tmp_path / "x.csv", rows)
    back = list(csv.DictReader((tmp_path / "x.csv").open()))
    assert back[0]["model"] == "ann, gpr"
    assert float(back[0]["mae"]) == 0.1 + 0.2
    assert back[1]["mae"] == ""
