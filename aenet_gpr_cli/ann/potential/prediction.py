"""Energies and forces of a committee for any structures, by a compiled loop over the atoms.

The way of every prediction, from one structure of molecular dynamics to a whole test set; tensors serve
training. Nothing here loads torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from aenet_gpr_cli.ann.execution.portions import Pieces
from aenet_gpr_cli.ann.network.architecture import ACTIVATIONS, MTANH_A, MTANH_B, TWIST_C
from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import MANY, linearise
from aenet_gpr_cli.descriptors.interface.neighbour_list import neighbour_list
from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet

_LINEAR, _TANH, _SIGMOID, _MTANH, _TWIST = range(len(ACTIVATIONS))


def predict(
    model: ANNModel, structures: StructureSet, forces: bool, block_size: int
) -> tuple[FloatArray, FloatArray | None]:
    """Return energies, and forces F = -∂E/∂R, of all members.

    F_k = -energy_scale · sum_i sum_f ∂y_i/∂G̃_f · (1/std_f) · ∂G_if/∂R_k, analytic; the sum over the
    descriptor's derivatives is formed without storing them.

    Parameters
    ----------
    block_size : int
        Structures evaluated at a time; bounds the memory. Less where they do not fit.

    Returns
    -------
    energies : ndarray of shape (n_members, n_structures), eV
    forces : ndarray of shape (n_members, n_structures, n_atoms, 3), eV/Å, or None

    Raises
    ------
    InputError
        If a species has no network.
    """
    energies, result, _ = _predict(model, structures, forces, False, block_size)
    return energies, result


def predict_with_strain(
    model: ANNModel, structures: StructureSet, block_size: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return energies and forces as `predict` does, and dE/dε under r → (1 + ε) r.

    Returns
    -------
    energies, forces : ndarray
    strain_gradients : ndarray of shape (n_members, n_structures, 3, 3), eV
        Symmetric; the stress times the volume.

    Raises
    ------
    InputError
        If a species has no network.
    """
    energies, forces, strain = _predict(model, structures, True, True, block_size)
    assert forces is not None
    assert strain is not None  # both asked for
    return energies, forces, strain


def _predict(
    model: ANNModel, structures: StructureSet, forces: bool, with_strain: bool, block_size: int
) -> tuple[FloatArray, FloatArray | None, FloatArray | None]:
    n, atoms = len(structures), structures.n_atoms
    energies = np.empty((model.n_members, n))
    result = np.empty((model.n_members, n, atoms, 3)) if forces else None
    strain = np.empty((model.n_members, n, 3, 3)) if with_strain else None
    kinds = model.basis.species_index(structures.species)
    offset = model.normalisation.reference_energy(structures.species)
    packed = pack(model)

    def evaluate(piece: range) -> None:
        block, size = slice(piece.start, piece.stop), len(piece)
        cells = None if structures.cells is None else structures.cells[block]
        neighbours = neighbour_list(structures.positions[block], cells, structures.pbc, model.basis.cutoff)
        flat_kinds = np.tile(kinds, size)
        many = forces and model.n_members >= MANY
        environments = linearise(model.basis, flat_kinds, neighbours, gradients=many)
        atomic, gradient = atomic_energies(packed, flat_kinds, environments.values, forces)
        energies[:, block] = atomic.reshape(-1, size, atoms).sum(2) + offset
        added = None if model.repulsion is None else model.repulsion(flat_kinds, neighbours)
        if added is not None:
            energies[:, block] += added.energies.reshape(size, atoms).sum(1)
        if result is None:
            return
        slopes, strains = environments.vjp(gradient, strain is not None)
        if added is not None:
            slopes += added.position_gradients()
        result[:, block] = -slopes.reshape(-1, size, atoms, 3)
        if strain is not None:
            strain[:, block] = strains if added is None else strains + added.strain_gradients(neighbours)

    for _ in Pieces(block_size).evaluate(range(n), evaluate):
        pass
    return energies, result, strain


@dataclass(frozen=True, slots=True)
class PackedCommittee:
    """A committee as the arrays that the compiled loop takes.

    Attributes
    ----------
    layers : tuple of ndarrays of shape (n_species, n_members, n_out, n_in + 1)
        The first already contains the scales of the features; the last column is the bias.
    mean : ndarray of shape (n_species, n_features), dimensionless
    activation : int
        Position in `ACTIVATIONS`.
    energy_scale : float, eV
    """

    layers: tuple[FloatArray, ...]
    mean: FloatArray
    activation: int
    energy_scale: float


def pack(model: ANNModel) -> PackedCommittee:
    """Return the arrays of a committee for `atomic_energies`."""
    symbols = model.basis.species
    first = []
    for symbol in symbols:
        layer = model.weights[symbol][0]
        scale = np.append(model.normalisation.feature_scale(symbol), 1.0)
        first.append(layer * scale)
    rest = [
        np.array([model.weights[s][number] for s in symbols]) for number in range(1, len(model.hidden) + 1)
    ]
    return PackedCommittee(
        layers=tuple(np.ascontiguousarray(layer, float) for layer in [np.array(first), *rest]),
        mean=np.ascontiguousarray([model.feature_mean[s] for s in symbols], float),
        activation=ACTIVATIONS.index(model.activation),
        energy_scale=model.energy_scale,
    )


def atomic_energies(
    committee: PackedCommittee, kinds: IntArray, raw: FloatArray, per_member: bool
) -> tuple[FloatArray, FloatArray]:
    """Return the networks' part of the atomic energies, y · energy_scale, and its derivative ∂/∂G.

    Parameters
    ----------
    kinds : ndarray of int, shape (n_atoms,)
        Species of each atom, as in the basis.
    raw : ndarray of shape (n_atoms, n_features), dimensionless
        Descriptors, not scaled.
    per_member : bool
        Derivatives of each member instead of those of the committee's mean.

    Returns
    -------
    energies : ndarray of shape (n_members, n_atoms), eV
    gradients : ndarray of shape (n_members or 1, n_atoms, n_features), eV
    """
    n_members = committee.layers[0].shape[1]
    energies = np.empty((n_members, len(kinds)))
    gradients = np.zeros((n_members if per_member else 1, *raw.shape))
    _atoms(committee.layers, committee.mean, committee.activation, kinds, raw, energies, gradients)
    energies *= committee.energy_scale
    gradients *= committee.energy_scale if per_member else committee.energy_scale / n_members
    return energies, gradients


def weight_gradients(
    model: ANNModel, committee: PackedCommittee, kinds: IntArray, raw: FloatArray
) -> FloatArray:
    """Return the derivatives ∂E/∂W of the energies of structures by all weights of each member.

    Parameters
    ----------
    committee : PackedCommittee
        The model's.
    kinds : ndarray of int, shape (n_atoms,)
        Species of the atoms, the same in all structures.
    raw : ndarray of shape (n_structures, n_atoms, n_features), dimensionless
        Descriptors, not scaled.

    Returns
    -------
    ndarray of shape (n_members, n_structures, n_weights), eV
        Weights in the order of `Architecture`.
    """
    architecture = model.architecture
    result = np.zeros((model.n_members, len(raw), architecture.n_weights))
    each = architecture.n_weights // len(architecture.species)
    _weights(committee.layers, committee.mean, committee.activation, kinds, raw, each, result)
    for number, symbol in enumerate(architecture.species):
        # packed weights contain the scales
        architecture.first_layer(result, number)[..., :-1] *= model.normalisation.feature_scale(symbol)
    result *= committee.energy_scale
    return result


@njit(cache=True, nogil=True)
def _activate(code: int, z: float) -> tuple[float, float]:
    """Return value and derivative of an activation, see `tensor_passes.activate`."""
    if code == _TANH:
        value = np.tanh(z)
        return value, 1.0 - value * value
    if code == _LINEAR:
        return z, 1.0
    if code == _SIGMOID:
        value = 0.5 + 0.5 * np.tanh(0.5 * z)  # does not overflow
        return value, value * (1.0 - value)
    t = np.tanh(MTANH_B * z)
    linear = TWIST_C if code == _TWIST else 0.0
    return MTANH_A * t + linear * z, MTANH_A * MTANH_B * (1.0 - t * t) + linear


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _atoms(
    layers: tuple[FloatArray, ...],
    mean: FloatArray,
    code: int,
    kinds: IntArray,
    raw: FloatArray,
    energies: FloatArray,
    gradients: FloatArray,
) -> None:
    """Write y to energies[member, atom] and add ∂y/∂G to gradients[member or 0, atom, feature]."""
    depth, n_features = len(layers), raw.shape[1]
    width = n_features
    for layer in layers:
        width = max(width, layer.shape[2])
    value, slope = np.empty((depth + 1, width)), np.empty((depth + 1, width))
    delta = np.empty((2, width))
    for i in range(len(kinds)):
        kind = kinds[i]
        for f in range(n_features):
            value[0, f] = raw[i, f] - mean[kind, f]
        for member in range(energies.shape[0]):
            for l in range(depth):
                weights = layers[l][kind, member]
                n_in = weights.shape[1] - 1
                for o in range(weights.shape[0]):
                    z = weights[o, n_in]
                    for f in range(n_in):
                        z += weights[o, f] * value[l, f]
                    if l + 1 < depth:
                        z, slope[l + 1, o] = _activate(code, z)
                    value[l + 1, o] = z
            energies[member, i] = value[depth, 0]
            delta[depth % 2, 0] = 1.0
            for l in range(depth - 1, -1, -1):
                weights = layers[l][kind, member]
                n_out, n_in = weights.shape[0], weights.shape[1] - 1
                for f in range(n_in):
                    delta[l % 2, f] = 0.0
                for o in range(n_out):
                    for f in range(n_in):
                        delta[l % 2, f] += delta[(l + 1) % 2, o] * weights[o, f]
                if l > 0:
                    for f in range(n_in):
                        delta[l % 2, f] *= slope[l, f]
            row = member if gradients.shape[0] > 1 else 0
            for f in range(n_features):
                gradients[row, i, f] += delta[0, f]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _weights(
    layers: tuple[FloatArray, ...],
    mean: FloatArray,
    code: int,
    kinds: IntArray,
    raw: FloatArray,
    each: int,
    out: FloatArray,
) -> None:
    """Add Σ_atoms ∂y/∂W to out[member, structure, weight]; a species has ``each`` weights."""
    depth, n_features = len(layers), raw.shape[2]
    width = n_features
    for layer in layers:
        width = max(width, layer.shape[2])
    value, slope = np.empty((depth + 1, width)), np.empty((depth + 1, width))
    delta = np.empty((2, width))
    for member in range(out.shape[0]):
        for b in range(out.shape[1]):
            row = out[member, b]
            for i in range(len(kinds)):
                kind = kinds[i]
                for f in range(n_features):
                    value[0, f] = raw[b, i, f] - mean[kind, f]
                for l in range(depth):
                    weights = layers[l][kind, member]
                    n_in = weights.shape[1] - 1
                    for o in range(weights.shape[0]):
                        z = weights[o, n_in]
                        for f in range(n_in):
                            z += weights[o, f] * value[l, f]
                        if l + 1 < depth:
                            z, slope[l + 1, o] = _activate(code, z)
                        value[l + 1, o] = z
                delta[depth % 2, 0] = 1.0
                place = (kind + 1) * each
                for l in range(depth - 1, -1, -1):
                    weights = layers[l][kind, member]
                    n_out, n_in = weights.shape[0], weights.shape[1] - 1
                    place -= n_out * (n_in + 1)
                    for f in range(n_in):
                        delta[l % 2, f] = 0.0
                    for o in range(n_out):
                        d, first = delta[(l + 1) % 2, o], place + o * (n_in + 1)
                        for f in range(n_in):
                            row[first + f] += d * value[l, f]
                            delta[l % 2, f] += d * weights[o, f]
                        row[first + n_in] += d
                    if l > 0:
                        for f in range(n_in):
                            delta[l % 2, f] *= slope[l, f]
