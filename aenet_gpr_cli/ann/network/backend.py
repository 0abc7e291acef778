"""Passes through the networks of one species, for the whole committee: tensors, or compiled loops.

Both give the same numbers to rounding. The compiled ones are for tanh networks on a CPU, the first layer
stays a product of matrices; everything else is `TensorPasses`'. Weights are flat arrays of all species.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.ann.network import backend_numba as compiled
from aenet_gpr_cli.ann.network.architecture import Architecture
from aenet_gpr_cli.ann.network.tensor_passes import Pass, TensorPasses
from aenet_gpr_cli.structures import FloatArray, IntArray


class Passes(Protocol):
    """What an objective needs of the networks: shapes of `tensor_passes`, ``flat`` (n_members, n_weights)."""

    def forward(self, flat: Tensor, species: int, features: Tensor, order: int) -> Pass:
        """Evaluate the atomic energies, see `tensor_passes.forward`."""
        ...

    def sensitivities(self, flat: Tensor, species: int, state: Pass) -> list[Tensor]:
        """Return the derivatives of the atomic energies by the inputs of all units."""
        ...

    def input_gradient(self, flat: Tensor, species: int, sensitivities: list[Tensor]) -> Tensor:
        """Return the derivatives by the scaled features, see `tensor_passes.input_gradient`."""
        ...

    def energy_gradient(self, flat: Tensor, species: int, state: Pass, weight: Tensor, out: Tensor) -> None:
        """Add the weight gradient of Σ weight_i y_i to ``out``, flat; ``state`` may be used up."""
        ...

    def force_gradient(
        self,
        flat: Tensor,
        species: int,
        state: Pass,
        sensitivities: list[Tensor],
        direction: Tensor,
        weight: Tensor,
        out: Tensor,
    ) -> None:
        """Add the weight gradient of `tensor_passes.force_gradient` to ``out``, flat."""
        ...


def fastest_passes(architecture: Architecture, device: torch.device) -> Passes:
    """Return the fastest passes for a network on a device."""
    if device.type == "cpu" and architecture.activation == "tanh" and architecture.hidden:
        return CompiledPasses(architecture)
    return TensorPasses(architecture)


@dataclass(frozen=True, slots=True)
class CompiledPasses:
    """Passes by `compiled` behind the first layer: tanh networks with hidden layers, on a CPU.

    A `Pass` holds the outputs of the hidden layers and no derivatives: those of tanh follow from them.
    """

    architecture: Architecture

    def forward(self, flat: Tensor, species: int, features: Tensor, order: int) -> Pass:
        """See `Passes`."""
        members, hidden = len(flat), self.architecture.hidden
        first = self.architecture.first_layer(flat, species).reshape(members * hidden[0], -1)
        values = [_wide_product(first, features.T).view(members, hidden[0], -1)]
        values += [flat.new_empty(members, units, len(features)) for units in hidden[1:]]
        output = flat.new_empty(members, len(features))
        compiled.forward(*self._weights(flat, species), _numpy(values), output.numpy())
        return Pass([features, *values], [], [], output)

    def sensitivities(self, flat: Tensor, species: int, state: Pass) -> list[Tensor]:
        """See `Passes`."""
        deltas = self._room(state, torch.ones_like(state.output))
        # nothing is added to the last argument: any array of its kind does
        compiled.backward(
            *self._weights(flat, species), _numpy(state.inputs[1:]), _numpy(deltas), False, flat.numpy()
        )
        return deltas

    def input_gradient(self, flat: Tensor, species: int, sensitivities: list[Tensor]) -> Tensor:
        """See `Passes`."""
        first = self.architecture.first_layer(flat, species)[:, :, :-1]
        return _product(sensitivities[0].transpose(1, 2), first)

    def energy_gradient(self, flat: Tensor, species: int, state: Pass, weight: Tensor, out: Tensor) -> None:
        """See `Passes`."""
        values = _numpy(state.inputs[1:])
        deltas = (*values, weight.contiguous().numpy()[:, None, :])
        compiled.backward(*self._weights(flat, species), values, deltas, True, out.numpy())
        self._first_layer(species, state, state.inputs[1], out)  # now the derivatives by the inputs

    def force_gradient(
        self,
        flat: Tensor,
        species: int,
        state: Pass,
        sensitivities: list[Tensor],
        direction: Tensor,
        weight: Tensor,
        out: Tensor,
    ) -> None:
        """See `Passes`."""
        first = self.architecture.first_layer(flat, species)[:, :, :-1]
        rates = [_product(first, direction.transpose(1, 2))]
        rates += [torch.empty_like(value) for value in state.inputs[2:]]
        deltas = self._room(state, weight)
        compiled.curvature(
            *self._weights(flat, species),
            _numpy(state.inputs[1:]),
            _numpy(sensitivities),
            _numpy(rates),
            _numpy(deltas),
            out.numpy(),
        )
        self._first_layer(species, state, deltas[0], out)
        target = self.architecture.first_layer(out, species)[:, :, :-1]
        target.add_(_product(sensitivities[0], direction))

    def _first_layer(self, species: int, state: Pass, delta: Tensor, out: Tensor) -> None:
        gradient = _product(delta.flatten(0, 1), state.inputs[0])
        self.architecture.first_layer(out, species).add_(gradient.view(*delta.shape[:2], -1))

    def _weights(self, flat: Tensor, species: int) -> tuple[FloatArray, int, IntArray, FloatArray]:
        weights = flat.numpy()
        start, sizes = first_weight(self.architecture, species)
        return weights, start, sizes, compiled.constants(weights.dtype)

    @staticmethod
    def _room(state: Pass, weight: Tensor) -> list[Tensor]:
        return [torch.empty_like(value) for value in state.inputs[1:]] + [weight.contiguous()[:, None, :]]


@lru_cache(maxsize=32)
def first_weight(architecture: Architecture, species: int) -> tuple[int, IntArray]:
    """Return where the weights of a species begin, and the lengths of the layers, see `compiled`."""
    return architecture.starts[species], np.array([architecture.n_features, *architecture.hidden, 1])


def _product(left: Tensor, right: Tensor) -> Tensor:
    # numpy's BLAS is up to twice as fast as torch's where one side of the result is short
    return torch.from_numpy(np.matmul(left.numpy(), right.numpy()))


def _wide_product(left: Tensor, right: Tensor) -> Tensor:
    # with a long result the faster BLAS depends on the dtype
    return _product(left, right) if left.dtype == torch.float64 else torch.mm(left, right)


def _numpy(tensors: list[Tensor]) -> tuple[FloatArray, ...]:
    return tuple(tensor.numpy() for tensor in tensors)
