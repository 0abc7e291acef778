"""From expansion coefficients to SOAP power spectra, p = scale_l Σ_m c_first c_second; change and adjoint.

Linear algebra on arrays of centres only; coefficients and their slopes come from `soap_loops`.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.descriptors.soap.soap_basis import SoapBasis
from aenet_gpr_cli.structures import FloatArray


def differential(basis: SoapBasis, coefficients: FloatArray, change: FloatArray) -> FloatArray:
    """Return the change of power spectra with that of the coefficients, dp = scale_l Σ_m (dc c + c dc).

    Parameters
    ----------
    coefficients, change : ndarray of shape (n, n_channels, (l_max + 1)²)
        The spectra themselves are half the change along the coefficients.

    Returns
    -------
    ndarray of shape (n, n_features)
    """
    out = np.empty((len(coefficients), basis.n_features))
    for degree, scale in enumerate(basis.scales):
        part = slice(degree**2, (degree + 1) ** 2)
        half = change[..., part] @ coefficients[..., part].swapaxes(1, 2)
        both = half[:, basis.first, basis.second] + half[:, basis.second, basis.first]
        out[:, basis.places[degree]] = scale * both
    return out


def adjoint(basis: SoapBasis, coefficients: FloatArray, spectra: FloatArray) -> FloatArray:
    """Return the transpose of `differential`: weights of spectra to weights of coefficients.

    Parameters
    ----------
    coefficients : ndarray of shape (n, n_channels, (l_max + 1)²)
    spectra : ndarray of shape (n, n_features)

    Returns
    -------
    ndarray of shape (n, n_channels, (l_max + 1)²)
    """
    n_channels, out = coefficients.shape[1], np.empty_like(coefficients)
    weights = np.zeros((len(spectra), n_channels, n_channels))
    for degree, scale in enumerate(basis.scales):
        part = slice(degree**2, (degree + 1) ** 2)
        weights[:, basis.first, basis.second] = scale * spectra[:, basis.places[degree]]
        out[..., part] = (weights + weights.swapaxes(1, 2)) @ coefficients[..., part]
    return out


def local_jacobian(basis: SoapBasis, coefficients: FloatArray, slopes: FloatArray, kind: int) -> FloatArray:
    """Return ∂p/∂R of the atoms of one species, the centres held in place: only their channels change.

    Parameters
    ----------
    coefficients : ndarray of shape (n_centres, n_channels, (l_max + 1)²)
    slopes : ndarray of shape (n_centres, n, 3, n_max, (l_max + 1)²)
        Of the coefficients of that species with the n atoms.
    kind : int
        Number of the species.

    Returns
    -------
    ndarray of shape (n_centres, n, 3, n_features)
    """
    out = np.zeros((*slopes.shape[:3], basis.n_features))
    for degree in range(basis.n_degrees):
        part = slice(degree**2, (degree + 1) ** 2)
        flat = slopes[..., part].reshape(len(slopes), -1, part.stop - part.start)
        half = flat @ coefficients[..., part].swapaxes(1, 2)
        _place(basis, degree, kind, half.reshape(*slopes.shape[:4], -1), out)
    return out


def channel_tables(basis: SoapBasis, directions: FloatArray, kind: int) -> list[FloatArray]:
    """Return what turns products of slopes and coefficients of one species into changes along directions.

    Parameters
    ----------
    directions : ndarray of shape (n_features, q)
        In the space of the spectra.
    kind : int
        Number of the species.

    Returns
    -------
    list of ndarray of shape (n_max * n_channels, q)
        One per degree.
    """
    n_max, tables = len(basis.exponents[0]), []
    n_channels = int(basis.second.max()) + 1
    for degree, scale in enumerate(basis.scales):
        table = np.zeros((n_max, n_channels, directions.shape[1]))
        for own, other in ((basis.first, basis.second), (basis.second, basis.first)):
            pairs = np.flatnonzero(own // n_max == kind)
            # a feature of two channels of this species changes with both, the square of one twice
            table[own[pairs] % n_max, other[pairs]] += scale * directions[basis.places[degree, pairs]]
        tables.append(table.reshape(n_max * n_channels, -1))
    return tables


def projected_jacobian(coefficients: FloatArray, slopes: FloatArray, tables: list[FloatArray]) -> FloatArray:
    """Return `local_jacobian` along directions, without ever making it.

    Parameters
    ----------
    coefficients : ndarray of shape (n_centres, n_channels, (l_max + 1)²)
    slopes : ndarray of shape (n_centres, n, 3, n_max, (l_max + 1)²)
        Of the coefficients of one species with the n atoms.
    tables : list of ndarray
        From `channel_tables`, for that species.

    Returns
    -------
    ndarray of shape (n_centres, 3 * n, q)
    """
    n_centres, n_rows = len(slopes), 3 * slopes.shape[1]
    out = np.zeros((n_centres * n_rows, tables[0].shape[1]))
    for degree, table in enumerate(tables):
        part = slice(degree**2, (degree + 1) ** 2)
        flat = slopes[..., part].reshape(n_centres, -1, part.stop - part.start)
        half = flat @ coefficients[..., part].swapaxes(1, 2)
        out += half.reshape(n_centres * n_rows, -1) @ table
    return out.reshape(n_centres, n_rows, -1)


def summed_jacobian(basis: SoapBasis, coefficients: FloatArray, slopes: FloatArray, kind: int) -> FloatArray:
    """Return the sum of `local_jacobian` over the centres, without ever holding the terms.

    Parameters
    ----------
    basis, coefficients, slopes, kind
        See `local_jacobian`; the coefficients may carry a weight for each centre.

    Returns
    -------
    ndarray of shape (n, 3, n_features)
    """
    n_atoms, n_max = slopes.shape[1], slopes.shape[3]
    out = np.zeros((n_atoms, 3, basis.n_features))
    for degree in range(basis.n_degrees):
        part = slice(degree**2, (degree + 1) ** 2)
        flat = slopes[..., part].transpose(1, 2, 3, 0, 4).reshape(n_atoms * 3 * n_max, -1)
        half = flat @ coefficients[..., part].transpose(0, 2, 1).reshape(flat.shape[1], -1)
        _place(basis, degree, kind, half.reshape(n_atoms, 3, n_max, -1), out)
    return out


def _place(basis: SoapBasis, degree: int, kind: int, half: FloatArray, out: FloatArray) -> None:
    """Add Σ_m (∂c_n) c_channel, shape (..., n_max, n_channels), to the features that it changes."""
    n_max, n_channels = half.shape[-2:]
    half = basis.scales[degree] * half.reshape(*half.shape[:-2], -1)
    left = np.flatnonzero(basis.first // n_max == kind)
    right = np.flatnonzero(basis.second // n_max == kind)
    at_left = basis.first[left] % n_max * n_channels + basis.second[left]
    at_right = basis.second[right] % n_max * n_channels + basis.first[right]
    # the features of one degree and species are written once from each side
    out[..., basis.places[degree, left]] = half[..., at_left]
    out[..., basis.places[degree, right]] += half[..., at_right]
