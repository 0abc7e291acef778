"""What a network is trained on: reference structures and copies of several subsets, with their weights.

Owns the validation split, bootstrap weights, descriptors and their statistics; `batches` makes batches of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aenet_gpr_cli.ann.data.normalisation import not_too_small
from aenet_gpr_cli.ann.execution.surroundings import FeatureRows, MakeRows, Processes, read_blocks
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis, features
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.reference_energies import energies_of
from aenet_gpr_cli.structures import AnySet, Copies, FloatArray, IntArray, StructureSet

READ_ROWS = 65536  # descriptors read at a time where they are not in memory


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Labelled structures of one or several subsets, in order.

    Attributes
    ----------
    subsets : tuple of AnySet
        Each with energies; forces are used in the modes direct and combined only; copies have none.
    parents : tuple of str
        Of every structure, subset by subset: its own name, or that of the structure it is a copy of.
    weights : ndarray of shape (n_structures,), dimensionless
        Weight of each structure in the loss.
    n_references : int
        Structures before the first copy.
    label_error : float, eV, or None
        Median error of the processes that labelled the copies on structures left out of their fits, a mean
        over the copies; None where that is not known of all.
    """

    subsets: tuple[AnySet, ...]
    parents: tuple[str, ...]
    weights: FloatArray
    n_references: int
    label_error: float | None = None

    def __len__(self) -> int:
        return sum(len(s) for s in self.subsets)

    def select(self, index: IntArray) -> TrainingSet:
        """Return some of the structures; the subsets stay, even if nothing is left of one.

        Parameters
        ----------
        index : ndarray of int
            Subset by subset.
        """
        ends = np.cumsum([len(s) for s in self.subsets])
        subsets = tuple(
            s.select(index[(index >= end - len(s)) & (index < end)] - (end - len(s)))
            for s, end in zip(self.subsets, ends, strict=True)
        )
        references = int(np.count_nonzero(index < self.n_references))
        parents, weights = tuple(self.parents[i] for i in index), self.weights[index]
        return TrainingSet(subsets, parents, weights, references, self.label_error)

    @property
    def species(self) -> tuple[str, ...]:
        """Species that occur, in order of appearance."""
        return tuple(dict.fromkeys(symbol for s in self.subsets for symbol in s.species))

    @classmethod
    def collect(
        cls,
        references: Sequence[StructureSet],
        augmented: Sequence[Copies[Any]],
        sigma_scale: float | None,
    ) -> TrainingSet:
        """Join reference structures and their copies.

        A copy whose label has standard deviation σ gets the weight 1/(1 + (σ/sigma_scale)²).

        Parameters
        ----------
        sigma_scale : float, eV, or None
            None gives every structure the weight 1.

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
            weight = np.ones(len(item.parents))
            if sigma_scale is not None and item.sigma is None and item.label == "gpr":
                raise InputError(
                    "loss.sigma_scale: expected copies with σ of their labels, got some without; augment "
                    "them with sigma: bound, or leave sigma_scale out"
                )
            if sigma_scale is not None and item.sigma is not None:
                weight = 1.0 / (1.0 + (item.sigma / sigma_scale) ** 2)
            weights.append(weight)
        n_references = sum(len(subset) for subset in references)
        error, numbers = _label_error(augmented), np.concatenate(weights)
        return cls(tuple(subsets), tuple(parents), numbers, n_references, error)

    def feature_bytes(self, n_features: int) -> int:
        """Return the memory of the descriptors of all atoms in training, bytes."""
        return 8 * (n_features + 1) * sum(len(s) * s.n_atoms for s in self.subsets)


def _label_error(augmented: Sequence[Copies[Any]]) -> float | None:
    errors = [item.label_error for item in augmented if len(item)]
    if not errors or any(error is None for error in errors):
        return None
    return float(
        np.average([e or 0.0 for e in errors], weights=[len(item) for item in augmented if len(item)])
    )


def validation_split(parents: Sequence[str], fraction: float, seed: int) -> tuple[IntArray, IntArray]:
    """Split structures into training and validation; copies go with their parent.

    Parameters
    ----------
    parents : sequence of str
        Of each structure.
    fraction : float
        Of the parents to hold out; rounded, but at least one training parent is kept.

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
    inside : ndarray of int
        Structures trained on; the weights of the others stay as they are.
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


def feature_rows(
    basis: ChebyshevBasis, data: TrainingSet, block_size: int, make_rows: MakeRows
) -> dict[str, FeatureRows]:
    """Return the descriptors of all atoms, structure by structure, for each species.

    Parameters
    ----------
    block_size : int
        Structures evaluated at a time.
    make_rows : callable
        Makes the place for a number of rows of a width.

    Returns
    -------
    dict of str to FeatureRows
        Dimensionless, not scaled.

    Notes
    -----
    Memory: one block of descriptors, and what ``make_rows`` takes.
    """
    counts = {s: sum(len(x) * x.species.count(s) for x in data.subsets) for s in basis.species}
    rows = {symbol: make_rows(count, basis.n_features) for symbol, count in counts.items()}
    for subset in data.subsets:
        places = {symbol: sites(subset.species, symbol) for symbol in basis.species}
        for block in read_blocks(subset, block_size):
            raw = features(basis, block, block_size)
            for symbol, place in places.items():
                rows[symbol].append(raw[:, place].reshape(-1, basis.n_features))
    return rows


@dataclass(frozen=True, slots=True)
class FeatureStatistics:
    """Mean, standard deviation and range of the features per species, over all atoms of a training set.

    Standard deviations are those of `not_too_small`. Each maps a species to an ndarray of shape
    (n_features,), dimensionless; zeros for one without atoms.
    """

    mean: dict[str, FloatArray]
    std: dict[str, FloatArray]
    lowest: dict[str, FloatArray]
    highest: dict[str, FloatArray]


def feature_statistics(
    rows: Mapping[str, FeatureRows], counts: Mapping[str, int], width: int, processes: Processes
) -> FeatureStatistics:
    """Return the statistics of the features, over the structures of all processes.

    Parameters
    ----------
    rows : mapping of str to FeatureRows
        Of the structures that this process holds, by species.
    counts : mapping of str to int
        Number of rows.
    width : int
        Number of features.
    """
    result = FeatureStatistics({}, {}, {}, {})
    for symbol, own in rows.items():
        total, lowest, highest = np.zeros(width), np.full(width, np.inf), np.full(width, -np.inf)
        for part in _parts(own, counts[symbol]):
            total += part.sum(0)
            lowest, highest = np.minimum(lowest, part.min(0)), np.maximum(highest, part.max(0))
        count = processes.add_array(np.array([float(counts[symbol])]))[0]
        if count == 0.0:
            for values in (result.mean, result.std, result.lowest, result.highest):
                values[symbol] = np.zeros(width)
            continue
        mean, square = processes.add_array(total) / count, np.zeros(width)
        for part in _parts(own, counts[symbol]):
            square += np.square(part - mean).sum(0)
        result.mean[symbol] = mean
        result.std[symbol] = not_too_small(np.sqrt(processes.add_array(square) / count))
        result.lowest[symbol] = -processes.largest(-lowest)
        result.highest[symbol] = processes.largest(highest)
    return result


def _parts(rows: FeatureRows, count: int) -> Iterator[FloatArray]:
    for start in range(0, count, READ_ROWS):
        yield rows.read(start, min(start + READ_ROWS, count))


def sites(species: Sequence[str], symbol: str) -> IntArray:
    """Return which atoms are of a species.

    Parameters
    ----------
    species : sequence of str
        Of the atoms.
    """
    return np.array([i for i, s in enumerate(species) if s == symbol], int)
