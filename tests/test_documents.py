"""Files that the texts for developers name do exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXTS = (".github/CONTRIBUTING.md", "tests/README.md")
# of the package (also written without its name), the tests and the repository
PLACES = (ROOT, ROOT / "aenet_gpr_cli")


@pytest.mark.parametrize("text", TEXTS)
def test_files_named_in_a_text_exist(text):
    named = re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|yaml))\b", (ROOT / text).read_text())
    assert named
    assert [name for name in named if not any((place / name).exists() for place in PLACES)] == []
