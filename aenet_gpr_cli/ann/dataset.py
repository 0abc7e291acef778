"""What a network is trained on: reference structures and copies of several subsets, with their weights.

Owns the validation split, the scaled features as tensors, and batches of structures of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.ann import parallel
from aenet_gpr_cli.ann.normalization import Normalization, energies_of
from aenet_gpr_cli.descriptors.chebyshev import ChebyshevBasis, features
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import AugmentedSet, FloatArray, IntArray, StructureSet


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Labelled structures of one or several subsets, in order.

    Attributes
    ----------
    subsets : tuple of StructureSet
        Each with energies; forces are used by direct force training only.
    parents : tuple of str
        Of every structure, subset by subset: its own name, or that of the structure it is a copy of.
    weights : ndarray of shape (n_structures,), dimensionless
        Weight of each structure in the loss.
    """

    subsets: tuple[StructureSet, ...]
    parents: tuple[str, ...]
    weights: FloatArray

    def __len__(self) -> int:
        return sum(len(s) for s in self.subsets)

    def select(self, index: IntArray) -> TrainingSet:
        """Return some of the structures; the subsets stay, even if nothing is left of one.

        Parameters
        ----------
        index : ndarray of int
            Subset by subset.

        Returns
        -------
        TrainingSet
        """
        ends = np.cumsum([len(s) for s in self.subsets])
        subsets = tuple(
            s.select(index[(index >= end - len(s)) & (index < end)] - (end - len(s)))
            for s, end in zip(self.subsets, ends, strict=True)
        )
        return TrainingSet(subsets, tuple(self.parents[i] for i in index), self.weights[index])

    @property
    def species(self) -> tuple[str, ...]:
        """Species that occur, in order of appearance."""
        return tuple(dict.fromkeys(symbol for s in self.subsets for symbol in s.species))

    @classmethod
    def collect(
        cls, references: Sequence[StructureSet], augmented: Sequence[AugmentedSet], sigma_scale: float | None
    ) -> TrainingSet:
        """Join reference structures and their copies.

        A copy whose label has standard deviation σ gets the weight 1/(1 + (σ/sigma_scale)²).

        Parameters
        ----------
        references : sequence of StructureSet
        augmented : sequence of AugmentedSet
        sigma_scale : float, eV, or None
            None gives every structure the weight 1.

        Returns
        -------
        TrainingSet

        Raises
        ------
        InputError
            If a subset has no energies, or there is no structure.
        """
        subsets = [s for s in (*references, *(a.structures for a in augmented)) if len(s)]
        if not subsets:
            raise InputError("training: expected at least one structure, got none")
        for subset in subsets:
            energies_of(subset)
        parents: list[str] = []
        weights: list[FloatArray] = []
        for number, subset in enumerate(references):
            names = subset.names or tuple(f"{number}/{i}" for i in range(len(subset)))
            parents += names
            weights.append(np.ones(len(subset)))
        for item in augmented:
            parents += item.parents
            weight = np.ones(len(item))
            if sigma_scale is not None and item.sigma is not None:
                weight = 1.0 / (1.0 + (item.sigma / sigma_scale) ** 2)
            weights.append(weight)
        return cls(tuple(subsets), tuple(parents), np.concatenate(weights))


def validation_split(parents: Sequence[str], fraction: float, seed: int) -> tuple[IntArray, IntArray]:
    """Split structures into training and validation; copies go with their parent.

    Parameters
    ----------
    parents : sequence of str
        Of each structure.
    fraction : float
        Of the parents to hold out; rounded, but at least one training parent is kept.
    seed : int

    Returns
    -------
    tuple of ndarray of int
        Indices for training and for validation, ascending.
    """
    names = list(dict.fromkeys(parents))
    held = min(round(fraction * len(names)), len(names) - 1)
    order = np.random.default_rng([seed, 0]).permutation(len(names))
    out = {names[i] for i in order[:held]}
    mask = np.array([p in out for p in parents], bool)
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def bootstrap_weights(data: TrainingSet, inside: IntArray, seed: int, members: Sequence[int]) -> FloatArray:
    """Return the weight of every structure for every member, with the parents drawn with replacement.

    Copies are drawn with their parent. Each member has its own random stream, keyed by (seed, member).

    Parameters
    ----------
    data : TrainingSet
    inside : ndarray of int
        Structures trained on; the weights of the others stay as they are.
    seed : int
    members : sequence of int
        Numbers of the members.

    Returns
    -------
    ndarray of shape (n_members, n_structures), dimensionless
    """
    weights = np.tile(data.weights, (len(members), 1))
    names, group = np.unique([data.parents[i] for i in inside], return_inverse=True)
    for row, member in zip(weights, members, strict=True):
        stream = np.random.default_rng([seed, 3, member])
        drawn = np.bincount(stream.integers(len(names), size=len(names)), minlength=len(names))
        row[inside] *= drawn[group]
    return weights


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
        species : int
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
        species : int
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
    tables : list of AtomTable
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
    """

    tables: list[AtomTable]
    energies: Tensor
    n_atoms: Tensor
    weights: Tensor
    groups: list[tuple[int, int]]
    uniform: list[int]
    position: Tensor

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
        return places if parallel.size() == 1 else places[places >= 0]

    def batch(self, index: Tensor) -> Batch:
        """Gather structures.

        Parameters
        ----------
        index : tensor of int, shape (n_batch,), ascending

        Returns
        -------
        Batch
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


def raw_features(basis: ChebyshevBasis, data: TrainingSet, block_size: int) -> list[FloatArray]:
    """Return the descriptors of all structures, subset by subset.

    Parameters
    ----------
    basis : ChebyshevBasis
    data : TrainingSet
    block_size : int
        Structures evaluated at a time.

    Returns
    -------
    list of ndarray of shape (n_structures, n_atoms, n_features), dimensionless
    """
    return [features(basis, subset, block_size) for subset in data.subsets]


@dataclass(frozen=True, slots=True)
class FeatureStatistics:
    """Mean, standard deviation and range of the features per species, over all atoms of a training set.

    Each maps a species to an ndarray of shape (n_features,), dimensionless; zeros for one without atoms.
    """

    mean: dict[str, FloatArray]
    std: dict[str, FloatArray]
    lowest: dict[str, FloatArray]
    highest: dict[str, FloatArray]


def feature_statistics(
    raw: Sequence[FloatArray], data: TrainingSet, species: Sequence[str], device: str
) -> FeatureStatistics:
    """Return the statistics of the features, over the structures of all processes.

    Parameters
    ----------
    raw : sequence of ndarray of shape (n_structures, n_atoms, n_features)
    data : TrainingSet
        The structures that this process holds.
    species : sequence of str
    device : str
        Of the training.

    Returns
    -------
    FeatureStatistics
    """
    result = FeatureStatistics({}, {}, {}, {})
    width = raw[0].shape[-1]
    for symbol in species:
        parts = [x[:, _sites(s, symbol)].reshape(-1, width) for x, s in zip(raw, data.subsets, strict=True)]
        atoms = np.concatenate(parts)
        count = parallel.add_array(np.array([float(len(atoms))]), device)[0]
        if count == 0.0:
            for values in (result.mean, result.std, result.lowest, result.highest):
                values[symbol] = np.zeros(width)
            continue
        mean = parallel.add_array(atoms.sum(0), device) / count
        square = parallel.add_array(np.square(atoms - mean).sum(0), device) / count
        result.mean[symbol], result.std[symbol] = mean, np.sqrt(square)
        result.lowest[symbol] = -parallel.largest((-atoms).max(0, initial=-np.inf), device)
        result.highest[symbol] = parallel.largest(atoms.max(0, initial=-np.inf), device)
    return result


def tensor_data(
    data: TrainingSet,
    raw: Sequence[FloatArray],
    species: Sequence[str],
    norm: Normalization,
    dtype: torch.dtype,
    device: str,
    weights: FloatArray,
    position: IntArray,
) -> TensorData:
    """Scale features and energies and put them on the device.

    Parameters
    ----------
    data : TrainingSet
        The structures that this process holds.
    raw : sequence of ndarray of shape (n_structures, n_atoms, n_features)
    species : sequence of str
        Of the basis.
    norm : Normalization
    dtype : torch.dtype
    device : str
    weights : ndarray of shape (n_members or 1, n_structures)
        In the loss.
    position : ndarray of int
        See `TensorData`.

    Returns
    -------
    TensorData
    """
    sizes = [len(s) for s in data.subsets]
    ends = np.cumsum(sizes)
    counts = {symbol: [s.species.count(symbol) for s in data.subsets] for symbol in species}
    energies = np.concatenate(
        [(energies_of(s) - norm.reference_energy(s.species)) / norm.energy_scale for s in data.subsets]
    )
    n_atoms = np.repeat([float(s.n_atoms) for s in data.subsets], sizes)
    return TensorData(
        tables=[
            _atom_table(data, raw, symbol, norm, np.repeat(counts[symbol], sizes), dtype, device)
            for symbol in species
        ],
        energies=torch.as_tensor(energies, dtype=dtype, device=device),
        n_atoms=torch.as_tensor(n_atoms, dtype=dtype, device=device),
        weights=torch.as_tensor(weights, dtype=dtype, device=device),
        groups=[(int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True)],
        uniform=[counts[symbol][0] if len(set(counts[symbol])) == 1 else -1 for symbol in species],
        position=torch.as_tensor(position, device=device),
    )


def _atom_table(
    data: TrainingSet,
    raw: Sequence[FloatArray],
    symbol: str,
    norm: Normalization,
    counts: IntArray,
    dtype: torch.dtype,
    device: str,
) -> AtomTable:
    mean, scale = norm.feature_mean[symbol], norm.feature_scale(symbol)
    table = torch.ones((int(counts.sum()), len(mean) + 1), dtype=dtype, device=device)
    start = 0
    for x, subset in zip(raw, data.subsets, strict=True):
        atoms = x[:, _sites(subset, symbol)].reshape(-1, len(mean))
        table[start : start + len(atoms), :-1] = torch.as_tensor((atoms - mean) * scale)
        start += len(atoms)
    return AtomTable(
        features=table,
        start=torch.as_tensor(np.cumsum(counts) - counts, device=device),
        count=torch.as_tensor(counts, device=device),
    )


def _sites(subset: StructureSet, symbol: str) -> IntArray:
    return np.array([i for i, s in enumerate(subset.species) if s == symbol], int)
