"""One multilayer perceptron per species, for all members of a committee at once, in closed form.

Passes by tensor operations, for any device and activation: values, input gradients, directional derivatives,
weight gradients. Second derivatives are written out, so that nothing needs double backpropagation. Arrays run
(member, unit, atom); layers (n_members, n_out, n_in + 1). Atoms are summed into structures elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aenet_gpr_cli.ann.network.architecture import MTANH_A, MTANH_B, TWIST_C, Architecture


@dataclass(slots=True)
class Pass:
    """What a forward pass leaves for the derivatives.

    ``inputs[l]`` is the input of layer l, (atom, feature) for the first and (member, unit, atom) after
    it; ``first[l]`` and ``second[l]`` are the derivatives of the activation of layer l;
    ``output`` of shape (member, atom).
    """

    inputs: list[Tensor]
    first: list[Tensor]
    second: list[Tensor]
    output: Tensor


def activate(name: str, z: Tensor, order: int) -> tuple[Tensor, ...]:
    """Return an activation and its first ``order`` derivatives.

    Parameters
    ----------
    name : str
        One of `ACTIVATIONS`.
    order : int
        0, 1 or 2.
    """
    if name == "tanh":
        value = _tanh(z)
        slope = torch.addcmul(_one(z), value, value, value=-1.0) if order else value
        return (value, slope, (-2.0 * value).mul_(slope) if order > 1 else value)[: order + 1]
    if name == "linear":
        return (z, torch.ones_like(z), torch.zeros_like(z))[: order + 1]
    if name == "sigmoid":
        value = torch.sigmoid(z)
        slope = value * (1.0 - value)
        return (value, slope, slope * (1.0 - 2.0 * value))[: order + 1]
    t = _tanh(MTANH_B * z)
    linear = TWIST_C if name == "twist" else 0.0
    bend = MTANH_A * MTANH_B * (1.0 - t * t)
    return (MTANH_A * t + linear * z, bend + linear, -2.0 * MTANH_B * t * bend)[: order + 1]


def forward(layers: list[Tensor], features: Tensor, activation: str, order: int) -> Pass:
    """Evaluate the atomic energies of all members.

    Parameters
    ----------
    layers : list of tensors of shape (n_members, n_out, n_in + 1)
    features : tensor of shape (n_atoms, n_features + 1), dimensionless
        Scaled features; the last column is 1.
    order : int
        Derivatives of the activation to keep: 0 values only, 1 gradients, 2 force training.
    """
    members, units, columns = layers[0].shape
    # one product for all members: they share the features
    z = (layers[0].reshape(members * units, columns) @ features.T).view(members, units, -1)
    state = Pass([features], [], [], z)
    for layer in layers[1:]:
        value, *slopes = activate(activation, z, order)
        state.inputs.append(value)
        if order > 0:
            state.first.append(slopes[0])
        if order > 1:
            state.second.append(slopes[1])
        z = torch.baddbmm(layer[:, :, -1:], layer[:, :, :-1], value)
    state.output = z[:, 0]
    return state


def backward(layers: list[Tensor], state: Pass, weight: Tensor) -> list[Tensor]:
    """Propagate a weight of the output back to the units of every layer.

    Parameters
    ----------
    layers : list of tensors of shape (n_members, n_out, n_in + 1)
    state : Pass
        Of order 1 or 2.
    weight : tensor of shape (n_members, n_atoms)
        Derivative of the loss with respect to each atomic energy; 1 for the sensitivities.

    Returns
    -------
    list of tensors of shape (n_members, n_out, n_atoms)
        Derivative with respect to the input of each unit.
    """
    deltas = [weight[:, None, :]]
    for layer, slope in zip(reversed(layers[1:]), reversed(state.first), strict=True):
        deltas.append(_pull(layer, deltas[-1]).mul_(slope))
    return deltas[::-1]


def input_gradient(layers: list[Tensor], deltas: list[Tensor]) -> Tensor:
    """Return the derivative of the atomic energy with respect to the scaled features.

    Parameters
    ----------
    layers : list of tensors of shape (n_members, n_out, n_in + 1)
    deltas : list of tensors
        Of `backward` with unit weight.

    Returns
    -------
    tensor of shape (n_members, n_atoms, n_features)
    """
    return torch.bmm(deltas[0].transpose(1, 2), layers[0][:, :, :-1])


def weight_gradient(state: Pass, deltas: list[Tensor], out: list[Tensor]) -> None:
    """Add the weight gradient, delta · inputᵀ summed over atoms, to ``out``.

    Parameters
    ----------
    deltas : list of tensors of shape (n_members, n_out, n_atoms)
    out : list of tensors of shape (n_members, n_out, n_in + 1)
        Changed in place.
    """
    members, units, columns = out[0].shape
    first = deltas[0].reshape(members * units, -1) @ state.inputs[0]
    out[0].add_(first.view(members, units, columns))
    for delta, value, target in zip(deltas[1:], state.inputs[1:], out[1:], strict=True):
        target[:, :, :-1].add_(torch.bmm(delta, value.transpose(1, 2)))
        target[:, :, -1].add_(delta.sum(-1))


def tangent(layers: list[Tensor], state: Pass, direction: Tensor) -> list[Tensor]:
    """Propagate a direction in feature space to the units of every layer.

    Parameters
    ----------
    layers : list of tensors of shape (n_members, n_out, n_in + 1)
    direction : tensor of shape (n_members, n_atoms, n_features)

    Returns
    -------
    list of tensors of shape (n_members, n_out, n_atoms)
        Directional derivative of the input of each unit; the last one is that of the atomic energy.
    """
    rates = [torch.bmm(layers[0][:, :, :-1], direction.transpose(1, 2))]
    for layer, slope in zip(layers[1:], state.first, strict=True):
        rates.append(torch.bmm(layer[:, :, :-1], slope * rates[-1]))
    return rates


def force_gradient(
    layers: list[Tensor],
    state: Pass,
    sensitivities: list[Tensor],
    direction: Tensor,
    weight: Tensor,
    out: list[Tensor],
) -> None:
    """Add the weight gradient of sum_i weight_i y_i + sum_i (direction_i · ∂y_i/∂G_i) to ``out``.

    The forces are linear in ∂y/∂G, so the gradient of any loss on them is of this form, with the
    direction J (∂loss/∂F) (forward-over-reverse; Pearlmutter, Neural Comput. 6, 147 (1994)).

    Parameters
    ----------
    layers : list of tensors of shape (n_members, n_out, n_in + 1)
    state : Pass
        Of order 2.
    sensitivities : list of tensors
        Of `backward` with unit weight.
    direction : tensor of shape (n_members, n_atoms, n_features)
    weight : tensor of shape (n_members, n_atoms)
        Derivative of the loss with respect to each atomic energy.
    out : list of tensors of shape (n_members, n_out, n_in + 1)
        Changed in place.
    """
    rates = tangent(layers, state, direction)
    deltas = [weight[:, None, :]]
    for index in range(len(layers) - 1, 0, -1):
        upper = _pull(layers[index], deltas[-1]).mul_(state.first[index - 1])
        bend = _pull(layers[index], sensitivities[index]).mul_(state.second[index - 1])
        deltas.append(upper.addcmul_(bend, rates[index - 1]))
    weight_gradient(state, deltas[::-1], out)
    out[0][:, :, :-1].add_(torch.bmm(sensitivities[0], direction))
    for index in range(1, len(layers)):
        rate = state.first[index - 1] * rates[index - 1]
        out[index][:, :, :-1].add_(torch.bmm(sensitivities[index], rate.transpose(1, 2)))


def _pull(layer: Tensor, delta: Tensor) -> Tensor:
    weights = layer[:, :, :-1]
    if delta.shape[1] == 1:  # the output layer: an outer product
        return weights.transpose(1, 2) * delta
    return torch.bmm(weights.transpose(1, 2), delta)


def _tanh(z: Tensor) -> Tensor:
    # torch's sigmoid is several times faster than its tanh on a CPU; the absolute error stays at rounding
    return torch.sigmoid(2.0 * z).mul_(2.0).sub_(1.0)


def _one(z: Tensor) -> Tensor:
    return torch.ones((), dtype=z.dtype, device=z.device)


@dataclass(frozen=True, slots=True)
class TensorPasses:
    """Passes by tensor operations: any device and activation."""

    architecture: Architecture

    def forward(self, flat: Tensor, species: int, features: Tensor, order: int) -> Pass:
        """See `Passes`."""
        layers = self.architecture.layers(flat, species)
        return forward(layers, features, self.architecture.activation, order)

    def sensitivities(self, flat: Tensor, species: int, state: Pass) -> list[Tensor]:
        """See `Passes`."""
        layers = self.architecture.layers(flat, species)
        return backward(layers, state, torch.ones_like(state.output))

    def input_gradient(self, flat: Tensor, species: int, sensitivities: list[Tensor]) -> Tensor:
        """See `Passes`."""
        return input_gradient(self.architecture.layers(flat, species), sensitivities)

    def energy_gradient(self, flat: Tensor, species: int, state: Pass, weight: Tensor, out: Tensor) -> None:
        """See `Passes`."""
        deltas = backward(self.architecture.layers(flat, species), state, weight)
        weight_gradient(state, deltas, self.architecture.layers(out, species))

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
        layers, targets = self.architecture.layers(flat, species), self.architecture.layers(out, species)
        force_gradient(layers, state, sensitivities, direction, weight, targets)
