"""Several descriptors side by side as one, each with a weight.

The squared distance, and with it the exponent of the kernel, is the weighted sum of those of the parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import (
    Descriptor,
    DescriptorProducts,
    Index,
    Linearisation,
)
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.structures import FloatArray


class Composite(DescriptorProducts):
    """Concatenation x = (w₁ x₁, w₂ x₂, …) of descriptors of the same atoms.

    Parameters
    ----------
    weights : sequence of float
        Positive; the ratio of the length scale of the whole to that of the part.

    Raises
    ------
    ConfigError
        If there is no part, or the weights are not as many positive numbers.
    """

    def __init__(self, parts: Sequence[Descriptor], weights: Sequence[float]) -> None:
        if not parts or len(parts) != len(weights):
            raise ConfigError(f"composite: expected one weight per part, got {len(parts)} and {len(weights)}")
        if not all(np.isfinite(w) and w > 0.0 for w in weights):
            raise ConfigError(f"composite weights: expected positive numbers, got {list(weights)}")
        self.parts, self.weights = tuple(parts), tuple(float(w) for w in weights)

    @property
    def name(self) -> str:
        """Name used in configurations and artefacts."""
        return "+".join(part.name for part in self.parts)

    @property
    def n_features(self) -> int:
        """Length of the descriptor, the sum over the parts."""
        return sum(part.n_features for part in self.parts)

    def values(self, positions: FloatArray) -> FloatArray:
        """Return the weighted parts, one after another.

        Returns
        -------
        ndarray of shape (n_structures, n_features)
        """
        pairs = zip(self.parts, self.weights, strict=True)
        return np.concatenate([weight * part.values(positions) for part, weight in pairs], axis=1)

    def linearise(self, positions: FloatArray) -> Linearisation:
        """Return values and Jacobian products."""
        return _Joined(tuple(part.linearise(positions) for part in self.parts), self.weights)


@dataclass(frozen=True, slots=True)
class _Joined:
    parts: tuple[Linearisation, ...]
    weights: tuple[float, ...]

    @property
    def values(self) -> FloatArray:
        return np.concatenate([w * part.values for part, w in self._pairs()], axis=1)

    def jacobian(self, index: Index) -> FloatArray:
        return np.concatenate([w * part.jacobian(index) for part, w in self._pairs()], axis=1)

    def jvp(self, tangents: FloatArray) -> FloatArray:
        return np.concatenate([w * part.jvp(tangents) for part, w in self._pairs()], axis=1)

    def vjp(self, cotangents: FloatArray) -> FloatArray:
        ends = np.cumsum([part.values.shape[1] for part in self.parts])[:-1]
        pieces = np.split(cotangents, ends, axis=1)
        terms = [w * part.vjp(piece) for (part, w), piece in zip(self._pairs(), pieces, strict=True)]
        return np.asarray(sum(terms[1:], start=terms[0]))

    def select(self, index: Index) -> _Joined:
        return _Joined(tuple(part.select(index) for part in self.parts), self.weights)

    def _pairs(self) -> list[tuple[Linearisation, float]]:
        return list(zip(self.parts, self.weights, strict=True))
