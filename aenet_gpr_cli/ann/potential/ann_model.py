"""The trained committee as plain arrays, and its energies and forces for any structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from aenet_gpr_cli.ann.data.normalisation import Normalization
from aenet_gpr_cli.ann.execution.halving import Pieces
from aenet_gpr_cli.ann.network import architecture as network
from aenet_gpr_cli.ann.network.architecture import Architecture
from aenet_gpr_cli.ann.potential.initial_weights import Weights
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis, values, vjp
from aenet_gpr_cli.descriptors.interface.neighbour_list import neighbour_list
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet


@dataclass(frozen=True, slots=True)
class ANNModel:
    """A committee of Behler-Parrinello potentials on the Chebyshev descriptor.

    E = sum_i [ y_i(scaled features) · energy_scale + energy_shift + E_atom(species_i) ], with
    y the network of the species of atom i (ænet's form, exact on export).

    Attributes
    ----------
    basis : ChebyshevBasis
    hidden : tuple of int
        Units of the hidden layers.
    activation : str
        One of `network.ACTIVATIONS`.
    weights : mapping of str to tuple of ndarrays of shape (n_members, n_out, n_in + 1)
        Per species, one array per layer; the last column is the bias.
    feature_mean, feature_std : mapping of str to ndarray of shape (n_features,), dimensionless
        Per species; a standard deviation of 0 switches a feature off.
    energy_scale : float, eV
    energy_shift : float, eV per atom
    atomic_energies : mapping of str to float, eV
    feature_min, feature_max : mapping of str to ndarray of shape (n_features,), dimensionless
        Per species, the range of the descriptors (not scaled) in training, see `extrapolation`; without
        limits where it is not known, and 0 to 0 for a species without atoms.
    """

    basis: ChebyshevBasis
    hidden: tuple[int, ...]
    activation: str
    weights: Weights
    feature_mean: Mapping[str, FloatArray]
    feature_std: Mapping[str, FloatArray]
    energy_scale: float
    energy_shift: float
    atomic_energies: Mapping[str, float]
    feature_min: Mapping[str, FloatArray] = field(default_factory=dict)
    feature_max: Mapping[str, FloatArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, limit in (("feature_min", -np.inf), ("feature_max", np.inf)):
            known = getattr(self, name)
            unlimited = np.full(self.basis.n_features, limit)
            object.__setattr__(self, name, {s: known.get(s, unlimited) for s in self.basis.species})

    @property
    def architecture(self) -> Architecture:
        """Shape of the networks."""
        return Architecture(self.basis.species, self.basis.n_features, self.hidden, self.activation)

    @property
    def normalization(self) -> Normalization:
        """Scales of features and energies."""
        return Normalization(
            self.feature_mean, self.feature_std, self.energy_scale, self.energy_shift, self.atomic_energies
        )

    @property
    def n_members(self) -> int:
        """Number of committee members."""
        return len(self.weights[self.basis.species[0]][0])

    def select(self, members: Sequence[int] | None) -> ANNModel:
        """Return the committee of some members only, counted from 0; None: of all.

        Raises
        ------
        InputError
            If there is no such member, or none is chosen.
        """
        if members is None:
            return self
        if not len(members) or not all(0 <= member < self.n_members for member in members):
            raise InputError(f"members: expected numbers from 0 to {self.n_members - 1}, got {list(members)}")
        index = np.asarray(members, int)
        chosen = {s: tuple(layer[index] for layer in layers) for s, layers in self.weights.items()}
        return replace(self, weights=chosen)


def join(models: Sequence[ANNModel]) -> ANNModel:
    """Collect members that were trained alone on the same data into one committee.

    Parameters
    ----------
    models : sequence of ANNModel

    Returns
    -------
    ANNModel

    Raises
    ------
    InputError
        If they differ in basis, shape or scales.
    """
    first = models[0]
    for model in models[1:]:
        scales = (model.energy_scale, model.energy_shift, dict(model.atomic_energies))
        same = model.architecture == first.architecture and model.basis == first.basis
        same = same and scales == (first.energy_scale, first.energy_shift, dict(first.atomic_energies))
        for ours, theirs in (
            (first.feature_mean, model.feature_mean),
            (first.feature_std, model.feature_std),
            (first.feature_min, model.feature_min),
            (first.feature_max, model.feature_max),
        ):
            same = same and all(np.array_equal(ours[s], theirs[s]) for s in first.basis.species)
        if not same:
            raise InputError(
                "committee: expected members of the same basis, shape and scales, got different ones"
            )
    weights = {
        s: tuple(np.concatenate(parts) for parts in zip(*(m.weights[s] for m in models), strict=True))
        for s in first.basis.species
    }
    return replace(first, weights=weights)


def predict(
    model: ANNModel, structures: StructureSet, forces: bool, block_size: int
) -> tuple[FloatArray, FloatArray | None]:
    """Return energies, and forces F = -∂E/∂R, of all members.

    F_k = -energy_scale · sum_i sum_f ∂y_i/∂G̃_f · (1/std_f) · ∂G_if/∂R_k, analytic; the sum over the
    descriptor's derivatives is formed without storing them.

    Parameters
    ----------
    model : ANNModel
    structures : StructureSet
    forces : bool
    block_size : int
        Structures evaluated at a time; bounds the memory. Less where they do not fit.

    Returns
    -------
    energies : ndarray of shape (n_members, n_structures), eV
    forces : ndarray of shape (n_members, n_structures, n_atoms, 3), eV/Å, or None

    Raises
    ------
    InputError
        If the potential does not know a species.
    """
    n, atoms = len(structures), structures.n_atoms
    energies = np.empty((model.n_members, n))
    result = np.empty((model.n_members, n, atoms, 3)) if forces else None
    kinds = model.basis.species_index(structures.species)
    offset = model.normalization.reference_energy(structures.species)

    def evaluate(piece: range) -> None:
        block, size = slice(piece.start, piece.stop), len(piece)
        cells = None if structures.cells is None else structures.cells[block]
        neighbours = neighbour_list(structures.positions[block], cells, structures.pbc, model.basis.cutoff)
        flat_kinds = np.tile(kinds, size)
        raw = values(model.basis, flat_kinds, neighbours)
        atomic, gradient = atomic_energies(model, flat_kinds, raw, forces)
        energies[:, block] = atomic.reshape(-1, size, atoms).sum(2) + offset
        if result is not None and gradient is not None:
            slope = vjp(model.basis, flat_kinds, neighbours, gradient)
            result[:, block] = -slope.reshape(-1, size, atoms, 3)

    for _ in Pieces(block_size).evaluate(range(n), evaluate):
        pass
    return energies, result


def atomic_energies(
    model: ANNModel, kinds: IntArray, raw: FloatArray, gradient: bool
) -> tuple[FloatArray, FloatArray | None]:
    """Return the networks' part of the atomic energies, y · energy_scale, and its derivative ∂/∂G.

    Parameters
    ----------
    model : ANNModel
    kinds : ndarray of int, shape (n_atoms,)
        Species of each atom, as in the basis.
    raw : ndarray of shape (n_atoms, n_features), dimensionless
        Descriptors, not scaled.
    gradient : bool

    Returns
    -------
    energies : ndarray of shape (n_members, n_atoms), eV
    gradients : ndarray of shape (n_members, n_atoms, n_features), eV, or None
    """
    energies = np.zeros((model.n_members, len(kinds)))
    slopes = np.zeros((model.n_members, *raw.shape)) if gradient else None
    norm = model.normalization
    for number, symbol in enumerate(model.basis.species):
        rows = np.flatnonzero(kinds == number)
        if not len(rows):
            continue
        scale = norm.feature_scale(symbol)
        x = np.ones((len(rows), raw.shape[1] + 1))
        x[:, :-1] = (raw[rows] - norm.feature_mean[symbol]) * scale
        layers = [torch.as_tensor(layer) for layer in model.weights[symbol]]
        state = network.forward(layers, torch.as_tensor(x), model.activation, 1 if gradient else 0)
        energies[:, rows] = state.output.numpy() * model.energy_scale
        if slopes is not None:
            deltas = network.backward(layers, state, torch.ones_like(state.output))
            slope = network.input_gradient(layers, deltas).numpy()
            slopes[:, rows] = slope * (scale * model.energy_scale)
    return energies, slopes
