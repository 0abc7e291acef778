"""What makes training larger than memory: structures read when needed, and descriptors kept elsewhere.

Both are behind narrow interfaces (`AnySet`, `FeatureRows`); where they are kept is left to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from aenet_gpr_cli.structures import AnySet, FloatArray, StructureSet


def read_blocks(subset: AnySet, size: int) -> Iterator[StructureSet]:
    """Yield the structures of a subset in blocks."""
    for start in range(0, len(subset), size):
        yield subset.select(np.arange(start, min(start + size, len(subset)))).in_memory()


class FeatureRows(Protocol):
    """Descriptors of the atoms of a species, appended in blocks and read in any order."""

    def append(self, rows: FloatArray) -> None:
        """Add rows, shape (n, width), at the end."""
        ...

    def read(self, start: int, stop: int) -> FloatArray:
        """Return the rows start … stop-1 as float64, an array of its own or a view."""
        ...


class MemoryRows:
    """Rows in one float64 array.

    Parameters
    ----------
    n : int
        Rows that will come.
    width : int
    """

    def __init__(self, n: int, width: int) -> None:
        self.array = np.empty((n, width))
        self._filled = 0

    def append(self, rows: FloatArray) -> None:
        """See `FeatureRows`."""
        self.array[self._filled : self._filled + len(rows)] = rows
        self._filled += len(rows)

    def read(self, start: int, stop: int) -> FloatArray:
        """See `FeatureRows`; a view."""
        return self.array[start:stop]


MakeRows = Callable[[int, int], FeatureRows]
