"""Shape of the networks of all species, the two forms of their weights, and where a training begins.

Weights are one flat array with a row per member, or layers by species; the last column of a layer is the
bias, as in ænet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from aenet_gpr_cli.structures import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

ACTIVATIONS = ("linear", "tanh", "sigmoid", "mtanh", "twist")  # in the order of ænet's codes 0-4

# ænet's constants of "mtanh" and "twist" (feedforward.f90)
MTANH_A, MTANH_B, TWIST_C = 1.7159, 0.666666666666667, 0.1

# Half of the usual 1/sqrt(n_in): nearly linear networks to begin with, which end smoother (force errors of
# the EC dimer 10-20 % lower by Levenberg-Marquardt).
GAIN = 0.5

Weights = Mapping[str, tuple[FloatArray, ...]]
Array = TypeVar("Array", FloatArray, "Tensor")


@dataclass(frozen=True, slots=True)
class Architecture:
    """Shape of the networks of all species.

    Attributes
    ----------
    species : tuple of str
    n_features : int
        Length of the descriptor vector.
    hidden : tuple of int
        Units of each hidden layer; empty for a linear model.
    activation : str
        One of `ACTIVATIONS`, for all hidden layers; the output is linear.
    """

    species: tuple[str, ...]
    n_features: int
    hidden: tuple[int, ...]
    activation: str

    @property
    def layer_shapes(self) -> tuple[tuple[int, int], ...]:
        """Shape (n_out, n_in + 1) of each layer; the last column is the bias, as in ænet."""
        sizes = (self.n_features, *self.hidden, 1)
        return tuple((sizes[i + 1], sizes[i] + 1) for i in range(len(sizes) - 1))

    @property
    def n_weights(self) -> int:
        """Number of weights of one member, all species together."""
        return len(self.species) * sum(rows * columns for rows, columns in self.layer_shapes)

    @property
    def n_layers(self) -> int:
        """Number of layers of one member, all species together."""
        return len(self.species) * len(self.layer_shapes)

    @property
    def starts(self) -> tuple[int, ...]:
        """Position of the first weight of each species in a flat array."""
        return tuple(range(0, self.n_weights, self.n_weights // len(self.species)))

    def layers(self, flat: Array, species: int) -> list[Array]:
        """Return views of a flat array (..., n_weights) as layers (..., n_out, n_in + 1) of one species."""
        lead = flat.shape[:-1]
        return [flat[..., a:b].reshape(*lead, *shape) for a, b, shape in _places(self)[species]]

    def first_layer(self, flat: Array, species: int) -> Array:
        """Return a view of the first of `layers` alone."""
        first, last, shape = _places(self)[species][0]
        return flat[..., first:last].reshape(*flat.shape[:-1], *shape)

    def split(self, flat: Array) -> list[list[Array]]:
        """Return the `layers` of all species."""
        return [self.layers(flat, species) for species in range(len(self.species))]


@lru_cache(maxsize=8)
def _places(architecture: Architecture) -> list[list[tuple[int, int, tuple[int, int]]]]:
    """Return where the layers of each species begin and end in a flat array, and their shapes."""
    shapes = architecture.layer_shapes
    ends = list(pairwise(accumulate((rows * columns for rows, columns in shapes), initial=0)))
    return [
        [(start + a, start + b, shape) for (a, b), shape in zip(ends, shapes, strict=True)]
        for start in architecture.starts
    ]


def initial_weights(architecture: Architecture, seed: int, members: Sequence[int]) -> FloatArray:
    """Draw the initial weights of the given members, uniform within ±0.5/sqrt(n_in), biases too.

    Each member has its own random stream, keyed by (seed, member): a member drawn alone is the same
    as in a committee.

    Returns
    -------
    ndarray of shape (n_members, n_weights), dimensionless
    """
    flat = np.empty((len(members), architecture.n_weights))
    for row, member in zip(flat, members, strict=True):
        stream = np.random.default_rng([seed, member])
        for layers in architecture.split(row):
            for layer in layers:
                bound = GAIN / np.sqrt(layer.shape[1] - 1)
                layer[:] = stream.uniform(-bound, bound, layer.shape)
    return flat


def to_layers(architecture: Architecture, flat: FloatArray) -> dict[str, tuple[FloatArray, ...]]:
    """Return flat weights (n_members, n_weights) as layers (n_members, n_out, n_in + 1) by species."""
    return {
        symbol: tuple(layer.copy() for layer in layers)
        for symbol, layers in zip(architecture.species, architecture.split(flat), strict=True)
    }
