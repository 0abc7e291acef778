"""Where a training begins that goes on from an earlier potential: the same function, in scales of new data.

With E = Σ_i [y_i s + e_i], x = (G - m)/d and the first layer W x + b, the same energies in scales m', d', s'
and e' are those of W d'/d, b + W (m' - m)/d, and of the last layer with (W s, b s + e - e')/s'.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aenet_gpr_cli.ann.data.normalisation import Normalisation
from aenet_gpr_cli.ann.network.architecture import Architecture, initial_weights
from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import FloatArray


def check_start(start: ANNModel, basis: ChebyshevBasis, hidden: tuple[int, ...], activation: str) -> None:
    """Raise InputError where a potential has another descriptor or other networks than the ones to train."""
    pairs = {
        "species": (list(start.basis.species), list(basis.species)),
        "descriptor": (_keys(start.basis), _keys(basis)),
        "hidden": (list(start.hidden), list(hidden)),
        "activation": (start.activation, activation),
    }
    for what, (theirs, ours) in pairs.items():
        if theirs != ours:
            raise InputError(
                f"start: expected a potential with the {what} of this training ({ours}), got {theirs}; "
                "choose its network keys, or train without a start"
            )


def _keys(basis: ChebyshevBasis) -> str:
    """Return a descriptor as the keys of a configuration that make it."""
    cutoffs = ", ".join(f"{cutoff:g}" for cutoff in basis.angular_cutoffs)
    return (
        f"radial_cutoff: {basis.radial_cutoff:g}, radial_order: {basis.radial_order}, "
        f"angular_cutoffs: [{cutoffs}], angular_order: {basis.n_angular - 1}, "
        f"resolve_species: {str(basis.resolved).lower()}"
    )


def warm_weights(
    architecture: Architecture, start: ANNModel, new: Normalisation, seed: int, members: Sequence[int]
) -> FloatArray:
    """Return the weights of an earlier potential, in the scales of new data.

    Energies and forces are those of ``start`` wherever features that never change in the new data have their
    value there.

    Parameters
    ----------
    architecture : Architecture
        That of ``start``.
    new : Normalisation
    seed : int
        Of members that ``start`` does not have: they begin anew.
    members : sequence of int
        Each begins with the weights of the same number.

    Returns
    -------
    ndarray of shape (n_members, n_weights), dimensionless
    """
    flat, old = initial_weights(architecture, seed, members), start.normalisation
    known = [(row, member) for row, member in zip(flat, members, strict=True) if member < start.n_members]
    for number, symbol in enumerate(architecture.species):
        scale = old.feature_scale(symbol)
        moved = (new.feature_mean[symbol] - old.feature_mean[symbol]) * scale
        stretched = np.where(new.feature_scale(symbol) > 0.0, new.feature_std[symbol], 0.0) * scale
        shift = old.reference_energy([symbol]) - new.reference_energy([symbol])
        for row, member in known:
            layers = architecture.layers(row, number)
            for layer, given in zip(layers, start.weights[symbol], strict=True):
                layer[:] = given[member]
            layers[0][:, -1] += layers[0][:, :-1] @ moved
            layers[0][:, :-1] *= stretched
            layers[-1][:] *= old.energy_scale / new.energy_scale
            layers[-1][:, -1] += shift / new.energy_scale
    return flat
