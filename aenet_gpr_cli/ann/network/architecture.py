"""One multilayer perceptron per species, for all members of a committee at once, in closed form.

Owns the layout of the weights and the passes through the layers: values, input gradients, directional
derivatives, weight gradients. Second derivatives are written out, so that nothing needs double
backpropagation. Arrays run (member, unit, atom). Atoms are summed into structures elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise

import torch
from torch import Tensor

ACTIVATIONS = ("linear", "tanh", "sigmoid", "mtanh", "twist")  # in the order of ænet's codes 0-4

# ænet's constants of "mtanh" and "twist" (feedforward.f90)
MTANH_A, MTANH_B, TWIST_C = 1.7159, 0.666666666666667, 0.1


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
    def starts(self) -> tuple[int, ...]:
        """Position of the first weight of each species in a flat array."""
        return tuple(range(0, self.n_weights, self.n_weights // len(self.species)))

    def layers(self, flat: Tensor, species: int) -> list[Tensor]:
        """Return views of a flat array as the layers of one species.

        Parameters
        ----------
        flat : tensor of shape (..., n_weights)
        species : int
            Position of the species.

        Returns
        -------
        list of tensors of shape (..., n_out, n_in + 1)
        """
        return [flat[..., first:last].unflatten(-1, shape) for first, last, shape in _places(self)[species]]

    def first_layer(self, flat: Tensor, species: int) -> Tensor:
        """Return a view of the first of `layers` alone."""
        first, last, shape = _places(self)[species][0]
        return flat[..., first:last].unflatten(-1, shape)

    def split(self, flat: Tensor) -> list[list[Tensor]]:
        """Return views of a flat array as layers.

        Parameters
        ----------
        flat : tensor of shape (..., n_weights)

        Returns
        -------
        list (species) of list (layers) of tensors of shape (..., n_out, n_in + 1)
        """
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
    z : tensor
    order : int
        0, 1 or 2.

    Returns
    -------
    tuple of ``order + 1`` tensors like ``z``
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
    activation : str
    order : int
        Derivatives of the activation to keep: 0 values only, 1 gradients, 2 force training.

    Returns
    -------
    Pass
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
    state : Pass
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
    state : Pass
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
