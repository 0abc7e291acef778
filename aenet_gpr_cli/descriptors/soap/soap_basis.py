"""Constants of the SOAP power spectrum with Gaussian-type orbitals: radial functions, harmonics, features.

Owns everything that does not depend on positions. The radial functions come from dscribe, so that the
spectrum is dscribe's own; integrals and derivatives in closed form are in `soap_loops`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial

import numpy as np

from aenet_gpr_cli.descriptors.descriptor_settings import SoapSettings
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.structures import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class SoapBasis:
    """Radial functions, harmonics and feature order, ready for the compiled loops.

    An atom exp(-η|r - R|²), η = 1/2σ², has the overlap with β r^l e^(-αr²) Y_lm

        β (π/(α+η))^(3/2) (η/(α+η))^l R^l Y_lm(R) exp(-R² αη/(α+η)),

    so coefficients and their derivatives are closed expressions.

    Attributes
    ----------
    exponents : ndarray of shape (l_max + 1, n_max), 1/Å²
        αη/(α+η).
    amplitudes : ndarray of shape (l_max + 1, n_max, n_max)
        Orthonormal radial function n from primitive n', with the other factors.
    norms : ndarray of shape (l_max + 1, l_max + 1)
        Normalisation of the real solid harmonics of degree l and order |m|.
    first, second : ndarray of int, shape (n_pairs,)
        Channels (species, n) that each feature of one degree multiplies, in dscribe's order.
    places : ndarray of int, shape (l_max + 1, n_pairs)
        Where the feature of each degree and pair stands.
    scales : ndarray of shape (l_max + 1,)
        π √(8/(2l+1)).
    """

    exponents: FloatArray
    amplitudes: FloatArray
    norms: FloatArray
    first: IntArray
    second: IntArray
    places: IntArray
    scales: FloatArray

    @property
    def n_degrees(self) -> int:
        """Number of degrees, l_max + 1."""
        return len(self.scales)

    @property
    def n_features(self) -> int:
        """Length of the power spectrum of one centre."""
        return len(self.first) * self.n_degrees


def make_basis(parameters: SoapSettings, n_species: int) -> SoapBasis:
    """Return the constants of the power spectrum.

    Raises
    ------
    ConfigError
        If dscribe cannot orthonormalise the radial functions (too many for the cutoff).
    """
    from dscribe.descriptors import SOAP  # takes a second to import

    p = parameters
    try:
        soap = SOAP(species=["H"], r_cut=p.cutoff, n_max=p.n_max, l_max=p.l_max, sigma=p.sigma)
        alpha, beta = soap.get_basis_gto(p.cutoff, p.n_max, p.l_max)
    except ValueError as error:
        raise ConfigError(f"soap: {error}") from error
    eta, degree = 0.5 / p.sigma**2, np.arange(p.l_max + 1)
    overlap = (np.pi / (alpha + eta)) ** 1.5 * (eta / (alpha + eta)) ** degree[:, None]
    first, second, places = _feature_order(n_species, p.n_max, p.l_max + 1)
    return SoapBasis(
        exponents=alpha * eta / (alpha + eta),
        amplitudes=np.ascontiguousarray(beta * overlap[:, None, :]),
        norms=_norms(p.l_max),
        first=first,
        second=second,
        places=places,
        scales=np.pi * np.sqrt(8.0 / (2 * degree + 1)),
    )


def _norms(l_max: int) -> FloatArray:
    norms = np.zeros((l_max + 1, l_max + 1))
    for degree in range(l_max + 1):
        for m in range(degree + 1):
            ratio = factorial(degree - m) / factorial(degree + m) * (2.0 if m else 1.0)
            norms[degree, m] = np.sqrt((2 * degree + 1) / (4.0 * np.pi) * ratio)
    return norms


def _feature_order(n_species: int, n_max: int, n_degrees: int) -> tuple[IntArray, IntArray, IntArray]:
    """Pairs of channels: species Z ≤ Z', then l, then n and n' (n' ≥ n where Z = Z')."""
    first, second, places, features = [], [], [], 0
    for z in range(n_species):
        for other in range(z, n_species):
            n, k = np.triu_indices(n_max) if other == z else np.indices((n_max, n_max)).reshape(2, -1)
            first.append(n + z * n_max)
            second.append(k + other * n_max)
            places.append(features + np.arange(n_degrees * len(n)).reshape(n_degrees, -1))
            features += n_degrees * len(n)
    return np.concatenate(first), np.concatenate(second), np.concatenate(places, axis=1)
