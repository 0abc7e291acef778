"""Augmented structures read from disk in blocks: what is too large for memory stays where it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np

from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.fields import read_optional, read_strings
from aenet_gpr_cli.structures import FloatArray, IntArray, Pbc, StructureSet

GAP = 64  # unwanted structures that are read along rather than read around
STRINGS = 65536  # names read at a time


@dataclass(frozen=True, slots=True)
class StoredCopies:
    """Copies of one subset in an open file: energies, parents and σ in memory, positions on disk.

    Attributes
    ----------
    species, parents : tuple of str
    energies : ndarray of shape (n_copies,), eV
    sigma : ndarray of shape (n_copies,), eV, or None
    label : str
    group : h5py.Group
    """

    species: tuple[str, ...]
    parents: tuple[str, ...]
    energies: FloatArray
    sigma: FloatArray | None
    label: str
    group: h5py.Group

    def __len__(self) -> int:
        return len(self.energies)

    def read(self, index: IntArray) -> StructureSet:
        """Read some structures.

        Parameters
        ----------
        index : ndarray of int
            Mostly ascending: what lies near together is read at once.

        Returns
        -------
        StructureSet
            Without energies.
        """
        a, b, c = (bool(flag) for flag in self.group["pbc"][()])
        pbc: Pbc = (a, b, c)
        cells = self._rows("cells", index) if "cells" in self.group else None
        return StructureSet(self.species, self._rows("positions", index), cells, pbc)

    def _rows(self, name: str, index: IntArray) -> FloatArray:
        dataset = self.group[name]
        result = np.empty((len(index), *dataset.shape[1:]))
        step = np.diff(index)
        ends = [0, *(np.flatnonzero((step < 1) | (step > GAP)) + 1).tolist(), len(index)]
        for start, stop in pairwise(ends):
            if stop > start:
                run = index[start:stop]
                result[start:stop] = dataset[run[0] : run[-1] + 1][run - run[0]]
        return result


@contextmanager
def open_augmented(path: Path) -> Iterator[dict[str, StoredCopies]]:
    """Open the augmented sets of an artefact, by subset, for the time of the block.

    Parameters
    ----------
    path : Path

    Yields
    ------
    dict of str to StoredCopies
    """
    with open_artefact(path, "augment") as file:
        yield {name: _stored(group) for name, group in file["subsets"].items()}


def _stored(group: h5py.Group) -> StoredCopies:
    return StoredCopies(
        species=read_strings(group, "species"),
        parents=_shared_strings(group["parents"]),
        energies=group["energies"][()],
        sigma=read_optional(group, "sigma"),
        label=str(group.attrs["label"]),
        group=group,
    )


def _shared_strings(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Return strings of which many are equal, each kept once."""
    known: dict[str, str] = {}
    found: list[str] = []
    for start in range(0, len(dataset), STRINGS):
        found += [known.setdefault(name, name) for name in dataset.asstr()[start : start + STRINGS]]
    return tuple(found)
