"""Augmented structures read from disk in blocks: what is too large for memory stays where it is."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.fields import read_label_error, read_optional, read_strings
from aenet_gpr_cli.structures import Copies, FloatArray, IntArray, Pbc, StructureSet, formula

GAP = 64  # unwanted structures that are read along rather than read around
STRINGS = 65536  # names read at a time


@dataclass(frozen=True, slots=True)
class StoredStructures:
    """Structures of one subset in an open file, an `AnySet`: energies in memory, positions on disk.

    Attributes
    ----------
    energies : ndarray of shape (n_structures,), eV
    index : ndarray of int, shape (n_structures,)
        Where each structure is in the file. Mostly ascending: what lies near together is read at once.
    """

    species: tuple[str, ...]
    energies: FloatArray
    index: IntArray
    group: h5py.Group

    def __len__(self) -> int:
        return len(self.index)

    @property
    def n_atoms(self) -> int:
        """Atoms per structure."""
        return len(self.species)

    @property
    def formula(self) -> str:
        """Chemical formula in the order in which the species appear."""
        return formula(self.species)

    @property
    def forces(self) -> FloatArray | None:
        """None: copies have energies only."""
        return None

    @property
    def stress(self) -> FloatArray | None:
        """None: copies have energies only."""
        return None

    def select(self, index: IntArray) -> StoredStructures:
        """Return some of the structures, without reading them."""
        return replace(self, energies=self.energies[index], index=self.index[index])

    def in_memory(self) -> StructureSet:
        """Read the structures."""
        a, b, c = (bool(flag) for flag in self.group["pbc"][()])
        pbc: Pbc = (a, b, c)
        cells = self._rows("cells", self.index) if "cells" in self.group else None
        return StructureSet(self.species, self._rows("positions", self.index), cells, pbc, self.energies)

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


@dataclass(frozen=True, slots=True)
class StoredReferences(StoredStructures):
    """Structures of one subset of an open split, with forces where they are known."""

    @property
    def forces(self) -> FloatArray | None:
        """Where the forces are: not read before the structures are."""
        found: FloatArray | None = self.group.get("forces")
        return found

    @property
    def stress(self) -> FloatArray | None:
        """Where the stress is."""
        found: FloatArray | None = self.group.get("stress")
        return found

    def in_memory(self) -> StructureSet:
        """Read the structures."""
        forces, stress = (
            self._rows(name, self.index) if name in self.group else None for name in ("forces", "stress")
        )
        return replace(StoredStructures.in_memory(self), forces=forces, stress=stress)


@contextmanager
def open_training(path: Path, names: Collection[str]) -> Iterator[dict[str, StoredReferences]]:
    """Open training structures of a split, by subset, for the time of the block.

    Parameters
    ----------
    names : collection of str
        Subsets.

    Raises
    ------
    InputError
        If energies are missing.
    """
    with open_artefact(path, "split") as file:
        yield {name: _references(file[f"train/{name}"], path) for name in names}


def _references(group: h5py.Group, path: Path) -> StoredReferences:
    if "energies" not in group:
        raise InputError(f"{path}: {group.name}: expected energies for all training structures, got none")
    energies = group["energies"][()]
    return StoredReferences(read_strings(group, "species"), energies, np.arange(len(energies)), group)


@contextmanager
def open_augmented(path: Path) -> Iterator[dict[str, Copies[StoredStructures]]]:
    """Open the augmented sets of an artefact, by subset, for the time of the block."""
    with open_artefact(path, "augment") as file:
        yield {name: _stored(group) for name, group in file["subsets"].items()}


def _stored(group: h5py.Group) -> Copies[StoredStructures]:
    energies = group["energies"][()]
    structures = StoredStructures(read_strings(group, "species"), energies, np.arange(len(energies)), group)
    return Copies(
        structures=structures,
        parents=_shared_strings(group["parents"]),
        copies=group["copies"][()],
        sigma=read_optional(group, "sigma"),
        label=str(group.attrs["label"]),
        domain_distance=read_optional(group, "domain_distance"),
        label_error=read_label_error(group),
    )


def _shared_strings(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Return strings of which many are equal, each kept once."""
    known: dict[str, str] = {}
    found: list[str] = []
    for start in range(0, len(dataset), STRINGS):
        found += [known.setdefault(name, name) for name in dataset.asstr()[start : start + STRINGS]]
    return tuple(found)
