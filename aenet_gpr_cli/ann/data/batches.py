"""A training set as tensors in the units of the network, and batches of structures of any size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.ann.data.normalisation import Normalisation
from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.execution.surroundings import FeatureRows, MemoryRows
from aenet_gpr_cli.reference_energies import energies_of
from aenet_gpr_cli.structures import FloatArray, IntArray

BLOCK = 65536  # rows scaled at a time


@dataclass(frozen=True, slots=True)
class AtomTable:
    """Atoms of one species: scaled features with a last column of ones, sorted by structure."""

    features: Tensor
    start: Tensor
    count: Tensor

    def structures(self, index: Tensor, run: slice | None, each: int) -> Tensor:
        """Return the atoms of some structures.

        Parameters
        ----------
        index : tensor of int, shape (n_batch,)
        run : slice or None
            The same, where nothing is left out.
        each : int
            Atoms per structure, -1 if that varies.

        Returns
        -------
        tensor of shape (n_atoms, n_features + 1)
        """
        if run is not None:
            if run.stop == len(self.start):
                return self.features[int(self.start[run.start]) :]
            return self.features[int(self.start[run.start]) : int(self.start[run.stop])]
        if each > 0:  # whole structures at a time
            by_structure = self.features.view(len(self.count), -1)
            chosen = by_structure.index_select(0, index)
            return chosen.view(len(index) * each, self.features.shape[1])
        count = self.count[index]
        ends, total = count.cumsum(0), int(count.sum())
        shift = torch.repeat_interleave(self.start[index] - ends + count, count, output_size=total)
        return self.features[shift + torch.arange(total, device=index.device)]


@dataclass(frozen=True, slots=True)
class StreamedTable:
    """The same, with features that are read, and scaled, when they are needed."""

    rows: FeatureRows
    mean: FloatArray
    scale: FloatArray
    start: Tensor
    count: Tensor
    dtype: torch.dtype

    def structures(self, index: Tensor, run: slice | None, each: int) -> Tensor:
        """Return the atoms of some structures; see `AtomTable`."""
        first, count = self.start[index].cpu().numpy(), self.count[index].cpu().numpy()
        ends = np.cumsum(count)
        result = np.ones((int(count.sum()), len(self.mean) + 1))
        # structures that lie one after another are read at once
        breaks = np.flatnonzero(first[1:] != first[:-1] + count[:-1]) + 1
        for run_of in np.split(np.arange(len(first)), breaks):
            if len(run_of):
                a, b = run_of[0], run_of[-1]
                raw = self.rows.read(int(first[a]), int(first[b] + count[b]))
                result[ends[a] - count[a] : ends[b], :-1] = (raw - self.mean) * self.scale
        return torch.as_tensor(result, dtype=self.dtype).to(index.device)


@dataclass(frozen=True, slots=True)
class Batch:
    """Structures drawn from a `TensorData`: per species the features and the atoms per structure.

    ``weights`` of shape (n_members or 1, n_batch).
    """

    index: Tensor
    features: list[Tensor]
    counts: list[Tensor]
    uniform: list[int]
    energies: Tensor
    n_atoms: Tensor
    weights: Tensor

    def sum_atoms(self, species: int, values: Tensor) -> Tensor:
        """Sum atomic values into structures.

        Parameters
        ----------
        values : tensor of shape (n_members, n_atoms)

        Returns
        -------
        tensor of shape (n_members, n_batch)
        """
        each = self.uniform[species]
        if each >= 0:
            return values.view(len(values), len(self.index), each).sum(-1)
        segment = torch.repeat_interleave(
            torch.arange(len(self.index), device=values.device), self.counts[species]
        )
        return values.new_zeros(len(values), len(self.index)).index_add_(1, segment, values)

    def spread(self, species: int, values: Tensor) -> Tensor:
        """Copy values of structures to their atoms.

        Parameters
        ----------
        values : tensor of shape (n_members, n_batch)

        Returns
        -------
        tensor of shape (n_members, n_atoms)
        """
        each = self.uniform[species]
        if each >= 0:
            return values[:, :, None].expand(-1, -1, each).reshape(len(values), -1)
        return torch.repeat_interleave(
            values, self.counts[species], dim=1, output_size=len(self.features[species])
        )


@dataclass(frozen=True, slots=True)
class TensorData:
    """A training set as tensors in the units of the network.

    Attributes
    ----------
    tables : list of AtomTable or StreamedTable
        One per species of the basis.
    energies : tensor of shape (n_structures,)
        (E - reference) / energy_scale, dimensionless.
    n_atoms : tensor of shape (n_structures,)
    weights : tensor of shape (n_members or 1, n_structures)
    groups : list of (int, int)
        Ranges of structures with the same atoms.
    uniform : list of int
        Per species, the atoms per structure where all structures have the same number, else -1.
    position : tensor of int, shape (n,)
        Where each structure of the whole training set is among these, -1 where another process holds it.
    n_references : int
        Structures before the first copy.
    """

    tables: list[AtomTable | StreamedTable]
    energies: Tensor
    n_atoms: Tensor
    weights: Tensor
    groups: list[tuple[int, int]]
    uniform: list[int]
    position: Tensor
    n_references: int

    def here(self, index: Tensor) -> Tensor:
        """Return the places of those structures that this process holds.

        Parameters
        ----------
        index : tensor of int
            Structures of the whole training set.

        Returns
        -------
        tensor of int, ascending
        """
        places = self.position[index].sort().values
        return places[places >= 0]

    def batch(self, index: Tensor) -> Batch:
        """Gather structures.

        Parameters
        ----------
        index : tensor of int, shape (n_batch,), ascending
        """
        run = _run(index)
        tables = [
            table.structures(index, run, each) for table, each in zip(self.tables, self.uniform, strict=True)
        ]
        chosen = index if run is None else run
        return Batch(
            index,
            tables,
            [table.count[chosen] for table in self.tables],
            self.uniform,
            self.energies[chosen],
            self.n_atoms[chosen],
            self.weights[:, chosen],
        )


def _run(index: Tensor) -> slice | None:
    """Return an ascending index as a slice if nothing is left out: a view is faster than a copy."""
    if index.device.type != "cpu" or not len(index):  # elsewhere to look costs more than to copy
        return None
    first, last = int(index[0]), int(index[-1])
    return slice(first, last + 1) if last - first + 1 == len(index) else None


def tensor_data(
    data: TrainingSet,
    rows: Mapping[str, FeatureRows],
    norm: Normalisation,
    like: Tensor,
    weights: FloatArray,
    position: IntArray,
) -> TensorData:
    """Scale features and energies and put them on the device.

    Parameters
    ----------
    data : TrainingSet
        The structures that this process holds.
    rows : mapping of str to FeatureRows
        The descriptors by species, in the order of the basis; those in memory are used up.
    like : tensor
        Of the dtype and on the device of the training.
    weights : ndarray of shape (n_members or 1, n_structures)
        In the loss.
    position : ndarray of int
        See `TensorData`.
    """
    sizes = [len(s) for s in data.subsets]
    ends = np.cumsum(sizes)
    counts = {symbol: [s.species.count(symbol) for s in data.subsets] for symbol in rows}
    energies = np.concatenate(
        [(energies_of(s) - norm.reference_energy(s.species)) / norm.energy_scale for s in data.subsets]
    )
    n_atoms = np.repeat([float(s.n_atoms) for s in data.subsets], sizes)
    return TensorData(
        tables=[
            _atom_table(own, symbol, norm, np.repeat(counts[symbol], sizes), like)
            for symbol, own in rows.items()
        ],
        energies=torch.as_tensor(energies).to(like),
        n_atoms=torch.as_tensor(n_atoms).to(like),
        weights=torch.as_tensor(weights).to(like),
        groups=[(int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True)],
        uniform=[counts[symbol][0] if len(set(counts[symbol])) == 1 else -1 for symbol in rows],
        position=torch.as_tensor(position, device=like.device),
        n_references=data.n_references,
    )


def _atom_table(
    rows: FeatureRows, symbol: str, norm: Normalisation, counts: IntArray, like: Tensor
) -> AtomTable | StreamedTable:
    mean, scale = norm.feature_mean[symbol], norm.feature_scale(symbol)
    count = torch.as_tensor(counts, device=like.device)
    start = torch.as_tensor(np.cumsum(counts) - counts, device=like.device)
    if not isinstance(rows, MemoryRows):
        return StreamedTable(rows, mean, scale, start, count, like.dtype)
    table = like.new_ones(len(rows.array), len(mean) + 1)
    for first in range(0, len(table), BLOCK):  # no second array of this size
        part = rows.array[first : first + BLOCK]
        table[first : first + len(part), :-1] = torch.as_tensor((part - mean) * scale)
    return AtomTable(table, start, count)
