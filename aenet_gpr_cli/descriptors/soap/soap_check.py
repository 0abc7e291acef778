"""Self-check of a SOAP descriptor on one structure: values against dscribe, derivatives against differences.

Cheap enough to run before every fit (a dozen spectra per species). When to check is the caller's choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from aenet_gpr_cli.descriptors.soap.soap_descriptor import Soap
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.structures import FloatArray

VALUE_TOLERANCE = 1e-8  # dscribe writes π with 12 digits
SLOPE_TOLERANCE = 1e-5  # truncation and rounding of a difference of fourth order leave less than 1e-7
STEP = 1e-4  # Å
N_DIRECTIONS = 3
# Atoms count up to a distance; one that crosses it in a step shifts the difference by a thousandth or so.
# So small steps of one atom at a time: a wrong formula is wrong in every direction, a crossing is rare then.
WEAK = 1e-4  # 1/Å, of the spectrum: slopes below are measured against this, as rounding would be seen else


@dataclass(frozen=True, slots=True)
class SoapCheck:
    """Largest deviations, relative to the largest entry.

    Attributes
    ----------
    value_error : float, dimensionless
        Of the spectra from those of dscribe.
    slope_error : float, dimensionless
        Of the derivatives with one atom of each species from central differences, in the best of the
        directions tried.
    """

    value_error: float
    slope_error: float


def check_soap(soap: Soap, positions: FloatArray, seed: int) -> SoapCheck:
    """Compare a descriptor with dscribe and with central differences of its own values.

    Parameters
    ----------
    positions : ndarray of shape (n_atoms, 3), Å
    seed : int
        Of the random directions.

    Raises
    ------
    NumericalError
        If values or derivatives deviate by more than rounding explains.
    """
    own, reference = soap.values(positions[None])[0], dscribe_values(soap, positions)
    value_error = float(np.abs(own - reference).max() / max(np.abs(reference).max(), 1e-300))
    scale, species = WEAK * max(float(np.abs(own).max()), 1e-300), np.array(soap.species)
    rng, errors = np.random.default_rng(seed), []
    for symbol in sorted(set(soap.species)):
        atoms = rng.choice(np.flatnonzero(species == symbol), N_DIRECTIONS)
        errors.append(
            min(_slope_error(soap, positions, int(atom), rng.normal(size=3), scale) for atom in atoms)
        )
    result = SoapCheck(value_error, max(errors))
    if not (result.value_error <= VALUE_TOLERANCE and result.slope_error <= SLOPE_TOLERANCE):
        raise NumericalError(
            f"soap self-check: expected values of dscribe within {VALUE_TOLERANCE:g} and derivatives within "
            f"{SLOPE_TOLERANCE:g} of central differences, got {result.value_error:.2g} and "
            f"{result.slope_error:.2g}; please report this with the structure, and the versions of dscribe "
            "and numba"
        )
    return result


def dscribe_values(soap: Soap, positions: FloatArray) -> FloatArray:
    """Return the same spectra from dscribe.

    Parameters
    ----------
    positions : ndarray of shape (n_atoms, 3), Å

    Returns
    -------
    ndarray of shape (n_features,), dimensionless
    """
    from dscribe.descriptors import SOAP  # takes a second to import

    p, periodic = soap.parameters, any(soap.pbc)
    reference = SOAP(
        species=sorted(set(soap.species)),
        r_cut=p.cutoff,
        n_max=p.n_max,
        l_max=p.l_max,
        sigma=p.sigma,
        average="off" if soap.average == "species" else soap.average,
        periodic=periodic,
    )
    atoms = Atoms(soap.species, positions, cell=soap.cell, pbc=soap.pbc)
    centres = positions if soap.centres is None else soap.centres
    if periodic:  # dscribe misses images about a point outside the cell
        turns = np.floor(np.asarray(atoms.cell.scaled_positions(centres))) * np.array(soap.pbc)
        centres = centres - turns @ np.asarray(atoms.cell)
        if soap.centres is None:
            atoms.positions = centres
    spectra = np.asarray(reference.create(atoms, centers=centres.tolist()))
    if soap.average == "species":  # not among dscribe's averages
        kinds = sorted(set(soap.species), key=lambda symbol: atomic_numbers[symbol])
        spectra = np.stack([spectra[np.array(soap.species) == kind].mean(axis=0) for kind in kinds])
    return spectra.ravel()


def _slope_error(soap: Soap, positions: FloatArray, atom: int, direction: FloatArray, scale: float) -> float:
    tangent = np.zeros_like(positions)
    tangent[atom] = direction
    near, far = (_difference(soap, positions, tangent, step) for step in (STEP, 2 * STEP))
    expected = (4.0 * near - far) / 3.0
    error = np.abs(soap.jvp(positions[None], tangent[None])[0] - expected).max()
    return float(error / max(np.abs(expected).max(), scale))


def _difference(soap: Soap, positions: FloatArray, tangent: FloatArray, step: float) -> FloatArray:
    up, down = soap.values(np.stack([positions + step * tangent, positions - step * tangent]))
    return (up - down) / (2.0 * step)
