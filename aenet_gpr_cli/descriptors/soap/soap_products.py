"""Products with the Jacobian of SOAP power spectra, structure by structure.

All take the coefficients of a structure and their slopes, ∂c/∂R of each atom with the centre held in place;
an atom that is a centre moves against all others.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.descriptors.soap.soap_expansion import SoapExpansion
from aenet_gpr_cli.descriptors.soap.soap_spectrum import (
    adjoint,
    channel_tables,
    differential,
    local_jacobian,
    projected_jacobian,
    summed_jacobian,
)
from aenet_gpr_cli.structures import FloatArray


def soap_jvp(
    soap: SoapExpansion, coefficients: FloatArray, slopes: FloatArray, tangent: FloatArray
) -> FloatArray:
    """Return J t of one structure for a tangent (n_atoms, 3), shape (n_features,)."""
    moves = np.broadcast_to(tangent, (soap.n_local, *tangent.shape))
    if soap.centres is None:
        moves = moves - tangent[:, None]
    by_kind = np.zeros((soap.n_local, soap.n_channels // slopes.shape[3], slopes[0, 0, 0].size))
    for kind in range(by_kind.shape[1]):
        own = np.flatnonzero(soap.kinds == kind)
        flat = slopes[:, own].reshape(soap.n_local, 3 * len(own), -1)
        by_kind[:, kind] = (moves[:, own].reshape(soap.n_local, 1, -1) @ flat)[:, 0]
    change = by_kind.reshape(coefficients.shape)
    if soap.average == "inner":
        coefficients, change = coefficients.mean(axis=0)[None], change.mean(axis=0)[None]
    return soap.gather(differential(soap.basis, coefficients, change))


def soap_vjp(
    soap: SoapExpansion, coefficients: FloatArray, slopes: FloatArray, cotangent: FloatArray
) -> FloatArray:
    """Return Jᵀ w of one structure for a cotangent (n_features,), shape (n_atoms, 3)."""
    out = _pull(soap, coefficients, slopes, cotangent)
    total = out.sum(axis=0)
    return total if soap.centres is not None else total - out.sum(axis=1)


def soap_jacobian(soap: SoapExpansion, coefficients: FloatArray, slopes: FloatArray) -> FloatArray:
    """Return Jᵀ of one structure, shape (3 n_atoms, n_features): transposed, as it is made and used."""
    if soap.average == "inner":
        return _inner_jacobian(soap, coefficients, slopes)
    if soap.average == "off":
        return _separate_jacobian(soap, coefficients, slopes)
    parts = [_mean_jacobian(soap, coefficients, slopes, weights) for weights in soap.groups]
    return np.stack(parts, axis=1).reshape(3 * soap.n_atoms, -1)


def soap_jacobian_along(
    soap: SoapExpansion,
    coefficients: FloatArray,
    slopes: FloatArray,
    directions: FloatArray,
    own: FloatArray,
    tables: list[list[FloatArray]] | None,
) -> FloatArray:
    """Return J of one structure along directions in the space of one spectrum.

    Parameters
    ----------
    directions : ndarray of shape (n_features / n_centres, q)
        The same for all centres.
    own : ndarray of shape (n_centres, n_features / n_centres)
        One more direction for each centre.
    tables : list of list of ndarray, or None
        `direction_tables` of the directions.

    Returns
    -------
    ndarray of shape (n_centres, 3 * n_atoms, q + 1)
        Transposed. About points in space it is made without the long Jacobian.
    """
    q = directions.shape[1]
    if tables is None:
        long = soap_jacobian(soap, coefficients, slopes)
        long = np.ascontiguousarray(long.reshape(len(long), soap.n_centres, -1).swapaxes(0, 1))
        return np.concatenate([long @ directions, long @ own[..., None]], axis=2)
    out = np.empty((soap.n_centres, soap.n_atoms, 3, q + 1))
    for kind, table in enumerate(tables):
        atoms = np.flatnonzero(soap.kinds == kind)
        along = projected_jacobian(coefficients, slopes[:, atoms], table)
        out[:, atoms, :, :q] = along.reshape(soap.n_centres, len(atoms), 3, q)
    out[..., q] = _pull(soap, coefficients, slopes, own)
    return out.reshape(soap.n_centres, 3 * soap.n_atoms, q + 1)


def direction_tables(soap: SoapExpansion, directions: FloatArray) -> list[list[FloatArray]] | None:
    """Return `channel_tables` of each species, or None where the long Jacobian is made anyway."""
    if soap.average != "off" or soap.centres is None:
        return None
    return [channel_tables(soap.basis, directions, kind) for kind in range(int(soap.kinds.max()) + 1)]


def _pull(
    soap: SoapExpansion, coefficients: FloatArray, slopes: FloatArray, cotangent: FloatArray
) -> FloatArray:
    """Gradients of the weighted spectra of each centre held in place, shape (n_local, n_atoms, 3)."""
    spectra = cotangent.reshape(soap.n_centres, -1)
    own = coefficients.mean(axis=0)[None] if soap.average == "inner" else coefficients
    if soap.average != "inner":
        spectra = soap.groups.T @ spectra
    pull = adjoint(soap.basis, own, spectra).reshape(len(own), -1, slopes[0, 0, 0].size)
    if soap.average == "inner":
        pull = np.broadcast_to(pull / soap.n_local, (soap.n_local, *pull.shape[1:]))
    per_pair = slopes.reshape(*slopes.shape[:3], -1)
    return np.asarray(np.einsum("ciag,cig->cia", per_pair, pull[:, soap.kinds], optimize=True))


def _separate_jacobian(soap: SoapExpansion, coefficients: FloatArray, slopes: FloatArray) -> FloatArray:
    local = np.empty((*slopes.shape[:3], soap.basis.n_features))
    for kind in range(soap.n_channels // soap.parameters.n_max):
        own = np.flatnonzero(soap.kinds == kind)
        local[:, own] = local_jacobian(soap.basis, coefficients, slopes[:, own], kind)
    if soap.centres is None:  # an atom that is a centre moves against all others
        local[np.arange(soap.n_atoms), np.arange(soap.n_atoms)] = -local.sum(axis=1)
    return local.transpose(1, 2, 0, 3).reshape(3 * soap.n_atoms, -1)


def _mean_jacobian(
    soap: SoapExpansion, coefficients: FloatArray, slopes: FloatArray, weights: FloatArray
) -> FloatArray:
    """Jᵀ of the weighted mean of the spectra, shape (3 n_atoms, n_features of one spectrum)."""
    members = np.flatnonzero(weights)
    weighted = weights[members, None, None] * coefficients[members]
    local = slopes if len(members) == len(slopes) else slopes[members]
    out = np.empty((soap.n_atoms, 3, soap.basis.n_features))
    back = np.empty((len(members), 3, soap.n_channels // slopes.shape[3], slopes[0, 0, 0].size))
    for kind in range(back.shape[2]):
        own = np.flatnonzero(soap.kinds == kind)
        out[own] = summed_jacobian(soap.basis, weighted, local[:, own], kind)
        back[:, :, kind] = local[:, own].sum(axis=1).reshape(*back.shape[:2], -1)
    if soap.centres is None:  # an atom that is a centre moves against all others
        change = back.reshape(3 * len(members), *coefficients.shape[1:])
        out[members] -= differential(soap.basis, np.repeat(weighted, 3, axis=0), change).reshape(
            len(members), 3, -1
        )
    return out.reshape(3 * soap.n_atoms, -1)


def _inner_jacobian(soap: SoapExpansion, coefficients: FloatArray, slopes: FloatArray) -> FloatArray:
    n, size = soap.n_atoms, slopes[0, 0, 0].size
    change = np.zeros((n, 3, soap.n_channels // soap.parameters.n_max, size))
    flat = slopes.reshape(*slopes.shape[:3], size)
    change[np.arange(n), :, soap.kinds] = flat.sum(axis=0)
    if soap.centres is None:
        for kind in range(change.shape[2]):
            change[:, :, kind] -= flat[:, soap.kinds == kind].sum(axis=1)
    mean = np.broadcast_to(coefficients.mean(axis=0), (3 * n, *coefficients.shape[1:]))
    return differential(soap.basis, mean, change.reshape(mean.shape) / soap.n_local)
