"""What a training uses of the world around it: other processes, progress, requests to stop, room for rows.

The stage that starts a training makes these; the default is one process that nobody watches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.structures import AnySet, FloatArray, IntArray, StructureSet

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, NDArray]  # of an optimiser, to continue from
Snapshot = Callable[[], State]


class Processes:
    """The processes that share one training; this class is a single one.

    Each holds the structures i with i % size == rank. All hold the same weights and take the same steps,
    because whatever decides a step is summed over them first.
    """

    rank = 0
    size = 1

    def add(self, tensor: Tensor) -> Tensor:
        """Sum a tensor of the same shape everywhere over the processes, in place, and return it."""
        return tensor

    def add_array(self, values: FloatArray) -> FloatArray:
        """Return the sum of an array over the processes."""
        return values

    def largest(self, values: FloatArray) -> FloatArray:
        """Return the largest values over the processes."""
        return values

    def share(self, n: int) -> IntArray:
        """Return which of n structures this process holds, ascending."""
        return np.arange(self.rank, n, self.size)

    def anywhere(self, flag: bool) -> bool:
        """Return whether a flag is set in any process: a signal may reach one of them first."""
        return bool(self.largest(np.array([float(flag)]))[0])

    def wait(self) -> None:
        """Wait until all processes have come this far."""
        self.anywhere(False)


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


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What surrounds a training.

    Attributes
    ----------
    progress : callable or None
        Called after each epoch or iteration with (done, total, message).
    stop : callable or None
        Polled between epochs or iterations; True ends the run with a state to continue from.
    keep : callable or None
        Called after each epoch or iteration with a function that returns the state to continue from.
    processes : Processes
    make_rows : callable
        Makes the place where the descriptors of a species are kept, see `FeatureRows`.
    """

    progress: Progress | None = None
    stop: Callable[[], bool] | None = None
    keep: Callable[[Snapshot], None] | None = None
    processes: Processes = field(default_factory=Processes)
    make_rows: MakeRows = MemoryRows

    def asked_to_stop(self) -> bool:
        """Whether any process was asked to stop."""
        return self.stop is not None and self.processes.anywhere(self.stop())
