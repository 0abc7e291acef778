"""What makes training larger than memory: structures read when needed, and descriptors kept elsewhere.

Both are behind narrow interfaces; where they are kept is left to the caller. Only energies stay in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet, formula


@dataclass(frozen=True, slots=True)
class StreamedSet:
    """Structures of one subset with energies, whose positions are read when they are needed.

    Attributes
    ----------
    species : tuple of str
    energies : ndarray of shape (n_structures,), eV
    index : ndarray of int, shape (n_structures,)
        Where each structure is in the source.
    read : callable
        Takes such an index and returns the structures.
    """

    species: tuple[str, ...]
    energies: FloatArray
    index: IntArray
    read: Callable[[IntArray], StructureSet]

    def __len__(self) -> int:
        return len(self.index)

    @property
    def n_atoms(self) -> int:
        """Number of atoms of each structure."""
        return len(self.species)

    @property
    def formula(self) -> str:
        """Formula of the subset."""
        return formula(self.species)

    @property
    def forces(self) -> None:
        """None: copies have energies only."""
        return None

    def select(self, index: IntArray) -> StreamedSet:
        """Return some of the structures, without reading them.

        Parameters
        ----------
        index : ndarray of int

        Returns
        -------
        StreamedSet
        """
        return replace(self, energies=self.energies[index], index=self.index[index])


AnySet = StructureSet | StreamedSet


def blocks(subset: AnySet, size: int) -> Iterator[StructureSet]:
    """Yield the structures of a subset in blocks.

    Parameters
    ----------
    subset : StructureSet or StreamedSet
    size : int

    Yields
    ------
    StructureSet
    """
    for start in range(0, len(subset), size):
        if isinstance(subset, StreamedSet):
            yield subset.read(subset.index[start : start + size])
        else:
            yield subset.select(slice(start, start + size))


class Rows(Protocol):
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
        """See `Rows`."""
        self.array[self._filled : self._filled + len(rows)] = rows
        self._filled += len(rows)

    def read(self, start: int, stop: int) -> FloatArray:
        """See `Rows`; a view."""
        return self.array[start:stop]


MakeRows = Callable[[int, int], Rows]
