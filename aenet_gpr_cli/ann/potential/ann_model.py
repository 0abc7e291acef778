"""The trained committee as plain arrays; what it predicts is `prediction`'s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from aenet_gpr_cli.ann.data.normalisation import Normalisation
from aenet_gpr_cli.ann.network.architecture import Architecture, Weights
from aenet_gpr_cli.ann.potential.compositions import Compositions
from aenet_gpr_cli.ann.potential.network_sigma import NetworkSigma, join_sigmas
from aenet_gpr_cli.baseline.repulsion import Repulsion
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import FloatArray


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
        One of `architecture.ACTIVATIONS`.
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
    repulsion : Repulsion or None
        Added to the networks where nuclei come closer than in training.
    compositions : Compositions or None
        Whose energies the training data determine; None where it is not known.
    sigma : NetworkSigma or None
        What σ of the energies needs; None leaves the spread over the members, not calibrated.
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
    sigma: NetworkSigma | None = None
    repulsion: Repulsion | None = None
    compositions: Compositions | None = None

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
    def normalisation(self) -> Normalisation:
        """Scales of features and energies."""
        return Normalisation(
            self.feature_mean, self.feature_std, self.energy_scale, self.energy_shift, self.atomic_energies
        )

    @property
    def n_members(self) -> int:
        """Number of committee members."""
        return len(self.weights[self.basis.species[0]][0])

    def lacks(self, symbols: Sequence[str]) -> bool:
        """Whether training left the energy of a composition open; False where that is not known."""
        return self.compositions is not None and self.compositions.lack(symbols)

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
        sigma = None if self.sigma is None else self.sigma.select(index)
        return replace(self, weights=chosen, sigma=sigma)


def join(models: Sequence[ANNModel]) -> ANNModel:
    """Collect members that were trained alone on the same data into one committee.

    Raises
    ------
    InputError
        If they differ in basis, shape or scales.
    """
    first = models[0]
    for model in models[1:]:
        scales = (model.energy_scale, model.energy_shift, dict(model.atomic_energies))
        same = model.architecture == first.architecture and model.basis == first.basis
        same = same and model.repulsion == first.repulsion
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
    return replace(first, weights=weights, sigma=join_sigmas([model.sigma for model in models]))
