"""Where the scripts of `example_data` are found by their names."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "example_data"


@contextmanager
def importable(folder: Path = FOLDER) -> Iterator[None]:
    """Let the scripts of a folder be imported, as when one of them runs."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
