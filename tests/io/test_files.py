"""Small tables: nothing is lost on the way to CSV and JSON, and a failure leaves what was there."""

import csv
import errno
import json

import pytest

from aenet_gpr_cli.errors import ResourceError
from aenet_gpr_cli.io.files import sha256_of, write_csv, write_json, write_text, written_whole


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
    rows = [{"model": "ann, gpr", "mae": 0.1 + 0.2}, {"model": "gpr", "mae": None, "sigma": 1.0}]
    write_csv(tmp_path / "x.csv", rows)
    back = list(csv.DictReader((tmp_path / "x.csv").open()))
    assert back[0]["model"] == "ann, gpr"
    assert float(back[0]["mae"]) == 0.1 + 0.2
    assert back[1]["mae"] == ""
    assert [row["sigma"] for row in back] == ["", "1.0"]


def test_a_failed_write_leaves_the_earlier_file_and_nothing_else(tmp_path):
    (tmp_path / "x.txt").write_text("before")

    def fail() -> None:
        with written_whole(tmp_path / "x.txt") as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert (tmp_path / "x.txt").read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_folders_that_are_not_there_are_made(tmp_path):
    write_text(tmp_path / "new" / "deep" / "x.txt", "text")
    assert (tmp_path / "new" / "deep" / "x.txt").read_text() == "text"


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(FileExistsError) as error:
        write_text(tmp_path / "x" / "y.txt", "text")
    assert error.value.filename == str(tmp_path / "x")
    assert (tmp_path / "x").read_text() == "mine"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_no_place_on_the_disk_is_an_error_of_resources(tmp_path, number):
    with pytest.raises(ResourceError, match="free some space"), written_whole(tmp_path / "x.txt"):
        raise OSError(number, "no place")
    assert list(tmp_path.iterdir()) == []


def test_the_hash_is_that_of_sha256sum(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x.txt").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")
