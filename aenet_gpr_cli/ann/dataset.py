"""What a network is trained on: reference structures and copies of several subsets, with their weights.

Owns the validation split, bootstrap weights, descriptors and their statistics; `tensors` makes batches of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.ann import parallel
from aenet_gpr_cli.ann.normalization import energies_of
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
        parts = [x[:, sites(s, symbol)].reshape(-1, width) for x, s in zip(raw, data.subsets, strict=True)]
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


def sites(subset: StructureSet, symbol: str) -> IntArray:
    """Return which atoms of the structures of a subset are of a species.

    Parameters
    ----------
    subset : StructureSet
    symbol : str

    Returns
    -------
    ndarray of int
    """
    return np.array([i for i, s in enumerate(subset.species) if s == symbol], int)
