"""Initial weights of a committee, and the two forms of weights: one flat array, and layers by species."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from aenet_gpr_cli.ann.network.architecture import Architecture
from aenet_gpr_cli.structures import FloatArray

# Half of the usual 1/sqrt(n_in): nearly linear networks to begin with, which end smoother (force errors of
# the EC dimer 10-20 % lower by Levenberg-Marquardt).
GAIN = 0.5

Weights = Mapping[str, tuple[FloatArray, ...]]


def initial_weights(
    architecture: Architecture, seed: int, members: Sequence[int], candidates: int = 1
) -> FloatArray:
    """Draw the initial weights of the given members, uniform within ±0.5/sqrt(n_in), biases too.

    Each member has its own random stream, keyed by (seed, member): a member drawn alone is the same
    as in a committee.

    Parameters
    ----------
    architecture : Architecture
    seed : int
    members : sequence of int
        Numbers of the members.
    candidates : int
        Draws for each member, the first of which does not depend on their number.

    Returns
    -------
    ndarray of shape (n_members · candidates, n_weights), dimensionless
        Member by member.
    """
    flat = np.empty((len(members) * candidates, architecture.n_weights))
    keys = [[seed, m, c] if c else [seed, m] for m in members for c in range(candidates)]
    for row, key in zip(flat, keys, strict=True):
        stream = np.random.default_rng(key)
        start = 0
        for _ in architecture.species:
            for rows, columns in architecture.layer_shapes:
                bound = GAIN / np.sqrt(columns - 1)
                draw = stream.uniform(-bound, bound, (rows, columns))
                row[start : start + draw.size] = draw.ravel()
                start += draw.size
    return flat


def to_layers(architecture: Architecture, flat: FloatArray) -> dict[str, tuple[FloatArray, ...]]:
    """Return flat weights as layers by species.

    Parameters
    ----------
    architecture : Architecture
    flat : ndarray of shape (n_members, n_weights)

    Returns
    -------
    dict of str to tuple of ndarrays of shape (n_members, n_out, n_in + 1)
        The last column is the bias.
    """
    parts = architecture.split(torch.as_tensor(flat, dtype=torch.float64))
    return {
        symbol: tuple(layer.numpy().copy() for layer in layers)
        for symbol, layers in zip(architecture.species, parts, strict=True)
    }


def to_flat(architecture: Architecture, weights: Weights) -> FloatArray:
    """Return layers by species as flat weights.

    Parameters
    ----------
    architecture : Architecture
    weights : mapping of str to tuple of ndarrays of shape (n_members, n_out, n_in + 1)

    Returns
    -------
    ndarray of shape (n_members, n_weights)
    """
    parts = [layer for symbol in architecture.species for layer in weights[symbol]]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
