"""Elastic constants from energies and stresses of given strained cells: those of a data set, or of a model.

With the Lagrangian strain η of each cell from a crystal, which no rotation or reflection changes,

    E = E₀ + V₀ (S₀·η + ½ ηᵀ C η),    S = S₀ + C η,    S = |det(F)| F⁻¹ σ F⁻ᵀ   (second Piola-Kirchhoff)

in the order xx, yy, zz, yz, xz, xy, shears of η doubled. Terms of the third order in E are fitted, too, where
the cells suffice and left-out ones say so: these fall out of C only where cells are strained both ways alike.
Owns the choice of cells and what is fitted to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.calculators.strain_polynomial import PAIRS, fit_polynomial, variance_left
from aenet_gpr_cli.descriptors.chebyshev.strain import six_components
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.lattice import Lattice
from aenet_gpr_cli.structures import FloatArray, Structure
from aenet_gpr_cli.units import GPA_PER_EV_PER_CUBIC_ANGSTROM

MOVED = 0.25  # Å from the places of the crystal, after its strain: farther is another structure
DOUBLED = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])


@dataclass(frozen=True, slots=True)
class StrainedCells:
    """Structures that are one crystal in strained cells.

    Attributes
    ----------
    crystal : Structure
        Without strain.
    structures : list of Structure
    strains : ndarray of shape (n, 6), dimensionless
        Lagrangian, shears doubled.
    """

    crystal: Structure
    structures: list[Structure]
    strains: FloatArray

    @property
    def largest_force(self) -> float:
        """Largest component of the forces that are known, eV/Å: 0 where all atoms are relaxed."""
        known = [np.abs(s.forces).max() for s in self.structures if s.forces is not None]
        return float(max(known, default=0.0))


@dataclass(frozen=True, slots=True)
class CellFit:
    """Elastic constants of a fit.

    Attributes
    ----------
    constants : ndarray of shape (6, 6), GPa
        NaN where the cells do not determine one.
    stress : ndarray of shape (6,), GPa
        Of the crystal; NaN where not determined.
    residual : float, GPa or eV per atom
        Root mean square of the fit, of stresses or energies.
    errors : dict of str to float, GPa
        Standard errors of the means of `averages`, from what the fit leaves: noise, and terms of higher order
        in the strain. NaN where there are no more cells than unknowns.
    """

    constants: FloatArray
    stress: FloatArray
    residual: float
    errors: dict[str, float]

    @property
    def relaxed_volume(self) -> float:
        """Volume without stress in units of that of the crystal, to first order; NaN where not determined."""
        if not np.isfinite(self.constants).all():
            return float("nan")
        strain = -np.linalg.solve(self.constants, self.stress) / DOUBLED
        full = np.eye(3) + 2.0 * strain[np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])]
        return float(np.sqrt(np.linalg.det(full)))


def strained_cells(crystal: Structure, frames: Sequence[Structure], largest_strain: float) -> StrainedCells:
    """Choose the structures that are a crystal in strained cells, in any orientation.

    Parameters
    ----------
    crystal : Structure
        With a cell; its atoms in the order of theirs.
    frames : sequence of Structure
    largest_strain : float, dimensionless
        Of any component of η.

    Raises
    ------
    InputError
        If there are none.
    """
    assert crystal.cell is not None  # the stage has chosen a crystal
    inverse, chosen, strains = np.linalg.inv(crystal.cell), [], []
    for one in frames:
        if one.species != crystal.species or one.cell is None or not all(one.pbc):
            continue
        strain = 0.5 * (inverse @ (one.cell @ one.cell.T) @ inverse.T - np.eye(3))
        moves = (one.positions @ np.linalg.inv(one.cell)) @ crystal.cell - crystal.positions
        moves = Lattice(crystal.cell, crystal.pbc).nearest(moves - moves[0])
        moves -= moves.mean(axis=0)
        if np.abs(strain).max() <= largest_strain and np.linalg.norm(moves, axis=1).max() < MOVED:
            chosen.append(one)
            strains.append(six_components(strain) * DOUBLED)
    if not chosen:
        raise InputError(
            f"reference: expected cells of {crystal.name} ({len(crystal.species)} atoms) strained by up to "
            f"{largest_strain:g}, got none among {len(frames)} structures; CRYSTAL must have as many atoms "
            "in the same order, or increase reference_strain"
        )
    return StrainedCells(crystal, chosen, np.array(strains))


def fit_stresses(cells: StrainedCells, stresses: Sequence[FloatArray | None]) -> CellFit | None:
    """Fit the elastic constants to stresses.

    Parameters
    ----------
    stresses : sequence of ndarray of shape (3, 3), eV/Å³, or None
        Of each structure, positive under tension; None where not known.

    Returns
    -------
    CellFit or None
        None where stresses are known of too few cells.
    """
    rows, targets = [], []
    assert cells.crystal.cell is not None
    for structure, strain, stress in zip(cells.structures, cells.strains, stresses, strict=True):
        if stress is None or not np.isfinite(stress).all():
            continue
        assert structure.cell is not None
        gradient = np.linalg.solve(cells.crystal.cell, structure.cell).T  # r = F r₀
        inverse = np.linalg.inv(gradient)
        rows.append(np.append(1.0, strain))
        targets.append(six_components(abs(np.linalg.det(gradient)) * inverse @ stress @ inverse.T))
    if len(rows) < 7 or np.linalg.matrix_rank(a := np.array(rows), tol=1e-6) < 7:
        return None
    b = np.array(targets)
    found = np.linalg.lstsq(a, b, rcond=None)[0]
    residual = np.sqrt(np.mean((a @ found - b) ** 2))
    constants = 0.5 * (found[1:] + found[1:].T)
    unit = GPA_PER_EV_PER_CUBIC_ANGSTROM
    noise, covariance = (
        variance_left(a @ found - b, 7),
        np.linalg.inv(a.T @ a)[1:, 1:],
    )  # components are apart
    errors = {
        name: float(np.sqrt(np.einsum("ij,ik,kj,j->", weights, covariance, weights, noise))) * unit
        for name, weights in _weights().items()
    }
    return CellFit(constants * unit, found[0] * unit, float(residual) * unit, errors)


def fit_energies(cells: StrainedCells, energies: Sequence[float | None]) -> CellFit | None:
    """Fit the elastic constants to energies, as far as the cells determine them.

    Parameters
    ----------
    energies : sequence of float, eV, or None
        Total energies; None where not known.

    Returns
    -------
    CellFit or None
        None where the cells determine no constant.

    Notes
    -----
    The third order is fitted where the cells leave no constant open by it that they determine without, and
    energies of cells that are left out are predicted better. What the fourth makes of the constants is in
    their errors: as large a part of them as the third order is of the second, squared.
    """
    known = [k for k, energy in enumerate(energies) if energy is not None]
    if len(known) < 3:
        return None
    assert cells.crystal.cell is not None
    volume = abs(float(np.linalg.det(cells.crystal.cell)))
    strains, total = cells.strains[known], np.array([energies[k] for k in known], float)
    density = (total - total.mean()) / volume
    second, third = (fit_polynomial(strains, density, order) for order in (2, 3))
    whole = bool((np.isfinite(third.constants) >= np.isfinite(second.constants)).all())
    best = third if whole and third.left_out < second.left_out else second
    if np.isnan(best.constants).all():
        return None
    constants = np.empty((6, 6))
    for (i, j), value in zip(PAIRS, best.constants, strict=True):
        constants[i, j] = constants[j, i] = value
    unit = GPA_PER_EV_PER_CUBIC_ANGSTROM
    i, j = np.array(PAIRS).T
    errors = {}
    for name, weights in _weights().items():
        each = np.where(i == j, 1.0, 2.0) * weights[i, j]
        next_order = best.ratio**2 * (best.constants @ each)
        errors[name] = float(np.hypot(np.linalg.norm(best.root @ each), next_order)) * unit
    residual = best.residual * volume / len(cells.crystal.species)
    return CellFit(constants * unit, best.stress * unit, residual, errors)


def averages(constants: FloatArray) -> dict[str, float]:
    """Return means of elastic constants over the axes, GPa: those of a cubic crystal along its axes."""
    diagonal = np.diag(constants)
    across = constants[[0, 0, 1], [1, 2, 2]]
    return {
        "C11": float(diagonal[:3].mean()),
        "C12": float(across.mean()),
        "C44": float(diagonal[3:].mean()),
    }


def _weights() -> dict[str, FloatArray]:
    """Return with what weights, of shape (6, 6), constants enter the means of `averages`."""
    found = {name: np.zeros((6, 6)) for name in averages(np.zeros((6, 6)))}
    for i, j in np.ndindex(6, 6):
        one = np.zeros((6, 6))
        one[i, j] += 0.5
        one[j, i] += 0.5
        for name, value in averages(one).items():
            found[name][i, j] = value
    return found
