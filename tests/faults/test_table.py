"""The table of cases in tests/README.md names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", (ROOT / "tests/README.md").read_text(), re.M)


def test_every_case_has_a_row():
    assert [int(number) for number, _ in ROWS] == list(range(1, len(ROWS) + 1))
    assert len(ROWS) >= 33


@pytest.mark.parametrize(("number", "cell"), ROWS)
def test_the_tests_of_a_case_exist(number, cell):
    named = re.findall(r"`([^`]+)::(test_\w+)`", cell)
    assert named or cell == "not built yet"
    for path, function in named:
        assert re.search(rf"^def {function}\(", (ROOT / path).read_text(), re.M), (
            f"{number}: {path}::{function}"
        )
