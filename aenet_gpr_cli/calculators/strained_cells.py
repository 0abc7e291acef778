"""Elastic constants from energies and stresses of given strained cells: those of a data set, or of a model.

With the Lagrangian strain η of each cell from a crystal, which no rotation or reflection changes,

    E = E₀ + V₀ (S₀·η + ½ ηᵀ C η),    S = S₀ + C η,    S = |det(F)| F⁻¹ σ F⁻ᵀ   (second Piola-Kirchhoff)

in the order xx, yy, zz, yz, xz, xy, shears of η doubled. Terms of the third order in E are left out: where
cells are strained both ways they fall out of C. Owns the choice of cells and the fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.chebyshev.strain import six_components
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.lattice import Lattice
from aenet_gpr_cli.structures import FloatArray, Structure
from aenet_gpr_cli.units import GPA_PER_EV_PER_CUBIC_ANGSTROM

MOVED = 0.25  # Å from the places of the crystal, after its strain: farther is another structure
SMALL = (
    0.02  # of the largest product of strains: one that is smaller in all cells, as beside a shear, is none
)
OPEN = 1e-6  # of the largest singular value, and of a unit vector
DOUBLED = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
PAIRS = tuple((i, j) for i in range(6) for j in range(i, 6))


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
    noise, covariance = _noise(a @ found - b, 7), np.linalg.inv(a.T @ a)[1:, 1:]  # components are apart
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
    """
    known = [k for k, energy in enumerate(energies) if energy is not None]
    if len(known) < 3:
        return None
    assert cells.crystal.cell is not None
    volume = abs(float(np.linalg.det(cells.crystal.cell)))
    strains, total = cells.strains[known], np.array([energies[k] for k in known], float)
    products = [strains[:, i] * strains[:, j] * (0.5 if i == j else 1.0) for i, j in PAIRS]
    a = np.column_stack([np.ones(len(known)), strains, *products])
    largest = max(float(np.abs(strains).max()), 1e-12)
    a[:, 7:] *= np.abs(a[:, 7:]).max(axis=0) >= SMALL * largest**2
    size = np.repeat([1.0, largest, largest**2], [1, 6, len(PAIRS)])
    _, values, v = np.linalg.svd(a / size, full_matrices=True)
    rank = int((values > OPEN * values[0]).sum())
    left_open = np.linalg.norm(v[rank:], axis=0) > OPEN
    density = (total - total.mean()) / volume
    found = np.linalg.lstsq(a / size, density, rcond=OPEN)[0] / size
    left = a @ found - density
    residual = np.sqrt(np.mean(left**2)) * volume / len(cells.crystal.species)
    found[left_open] = np.nan
    if np.isnan(found[7:]).all():
        return None
    constants = np.empty((6, 6))
    for (i, j), value in zip(PAIRS, found[7:], strict=True):
        constants[i, j] = constants[j, i] = value
    unit = GPA_PER_EV_PER_CUBIC_ANGSTROM
    noise = _noise(left[:, None], rank)[0]
    root = np.sqrt(noise) * v[:rank] / values[:rank, None] / size  # of the covariance: rootᵀ root
    i, j = np.array(PAIRS).T
    errors = {}
    for name, weights in _weights().items():
        each = np.where(i == j, 1.0, 2.0) * weights[i, j]
        errors[name] = float(np.linalg.norm(root[:, 7:] @ each)) * unit
    return CellFit(constants * unit, found[1:7] * unit, float(residual), errors)


def averages(constants: FloatArray) -> dict[str, float]:
    """Return means of elastic constants over the axes, GPa: those of a cubic crystal along its axes."""
    diagonal = np.diag(constants)
    across = constants[[0, 0, 1], [1, 2, 2]]
    return {
        "C11": float(diagonal[:3].mean()),
        "C12": float(across.mean()),
        "C44": float(diagonal[3:].mean()),
    }


def _noise(left: FloatArray, unknowns: int) -> FloatArray:
    """Return the variance of what a fit leaves, of each column; NaN where it had to go through all points."""
    more = len(left) - unknowns
    return np.asarray((left**2).sum(axis=0) / more if more > 0 else np.full(left.shape[1], np.nan))


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
