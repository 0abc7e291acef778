"""Equation of state and elastic constants of a crystal, by finite strains, with any ASE calculator.

Owns the strains and what is made of the energies and stresses; the stage chooses the model. Cells are
strained as r → r (1 + ε) with atoms moved along and then relaxed, so that constants of crystals with a basis
are those of relaxed ions.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.eos import EquationOfState
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from aenet_gpr_cli.descriptors.chebyshev.strain import VOIGT
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.structures import FloatArray
from aenet_gpr_cli.units import GPA_PER_EV_PER_CUBIC_ANGSTROM

Settle = Callable[[Atoms], None]
STRAINS = 2 * len(VOIGT)  # cells of `elastic_constants`


@dataclass(frozen=True, slots=True)
class Birch:
    """Birch-Murnaghan equation of state.

    Attributes
    ----------
    volumes, energies : ndarray of shape (n_points,), Å³ and eV
        What it was fitted to, per cell.
    volume : float, Å³
        Of the least energy.
    energy : float, eV
    bulk_modulus : float, GPa
    residual : float, eV
        Root mean square of the fit.
    """

    volumes: FloatArray
    energies: FloatArray
    volume: float
    energy: float
    bulk_modulus: float
    residual: float


@dataclass(frozen=True, slots=True)
class Moduli:
    """Averages of elastic constants over directions (Voigt, Reuss, Hill), GPa; Poisson's ratio of Hill's."""

    bulk_voigt: float
    bulk_reuss: float
    bulk_hill: float
    shear_voigt: float
    shear_reuss: float
    shear_hill: float
    young_hill: float
    poisson_hill: float


def relax(atoms: Atoms, largest_force: float, steps: int, cell: bool = True) -> None:
    """Relax atoms, and the cell with them, in place.

    Parameters
    ----------
    largest_force : float, eV/Å
        Of any atom, and of the cell's degrees of freedom as ASE's `FrechetCellFilter` counts them.

    Raises
    ------
    NumericalError
        If that takes more steps.
    """
    moving: Any = FrechetCellFilter(atoms) if cell else atoms  # ASE's types know only the latter
    with warnings.catch_warnings(), BFGS(moving, logfile=None) as optimiser:
        # scipy's limit is that of a few roundings: 1e-13, of the filter's matrices close to 1
        warnings.filterwarnings("ignore", message="logm result may be inaccurate")
        if not optimiser.run(fmax=largest_force, steps=steps):
            what = "atoms and cell" if cell else "atoms of a strained cell"
            raise NumericalError(
                f"relaxing {what} of {atoms.get_chemical_formula()}: expected forces below "
                f"{largest_force} eV/Å within {steps} steps; is the structure inside the training data?"
            )


def equation_of_state(atoms: Atoms, largest_strain: float, n_points: int, settle: Settle) -> Birch:
    """Return the equation of state around a relaxed crystal; the cell keeps its shape, atoms relax.

    Parameters
    ----------
    largest_strain : float, dimensionless
        Of lengths, in tension and in compression.
    n_points : int
        Volumes, at least five.
    settle : callable
        Relaxes the atoms of a strained cell, in place.

    Raises
    ------
    NumericalError
        If the energies have no minimum in this range.
    """
    volumes, energies = np.empty((2, n_points))
    for i, strain in enumerate(np.linspace(-largest_strain, largest_strain, n_points)):
        moved = _strained(atoms, strain * np.eye(3))
        settle(moved)
        volumes[i], energies[i] = moved.get_volume(), moved.get_potential_energy()
    if not 0 < energies.argmin() < n_points - 1:
        raise NumericalError(
            f"equation of state: expected the least energy between {volumes[0]:.4g} and "
            f"{volumes[-1]:.4g} Å³, got it at one end; increase eos_strain, or the model has no such crystal"
        )
    eos = EquationOfState(volumes, energies, eos="birchmurnaghan")
    try:
        volume, energy, modulus = eos.fit(warn=False)
    except (RuntimeError, ValueError) as error:
        raise NumericalError(f"equation of state: the fit failed ({error}); change eos_strain") from error
    found = eos.func(volumes, *eos.eos_parameters)
    return Birch(
        volumes,
        energies,
        float(volume),
        float(energy),
        float(modulus) * GPA_PER_EV_PER_CUBIC_ANGSTROM,
        float(np.sqrt(np.mean((found - energies) ** 2))),
    )


def elastic_constants(atoms: Atoms, strain: float, settle: Settle) -> FloatArray:
    """Return the elastic constants of a relaxed crystal from stresses at finite strains.

    C_ij = (σ_i(+e_j) - σ_i(-e_j)) / 2e in Voigt's order xx, yy, zz, yz, xz, xy with e the engineering strain
    (twice the off-diagonal of ε), made symmetric. The error is quadratic in the strain.

    Parameters
    ----------
    strain : float, dimensionless
    settle : callable
        Relaxes the atoms of a strained cell, in place.

    Returns
    -------
    ndarray of shape (6, 6), GPa
    """
    found = np.empty((6, 6))
    for j, (a, b) in enumerate(VOIGT):
        unit = np.zeros((3, 3))
        unit[a, b] += 0.5 * strain
        unit[b, a] += 0.5 * strain
        stresses = []
        for sign in (1.0, -1.0):
            moved = _strained(atoms, sign * unit)
            settle(moved)
            stresses.append(moved.get_stress())
        found[:, j] = (stresses[0] - stresses[1]) / (2.0 * strain)
    return 0.5 * (found + found.T) * GPA_PER_EV_PER_CUBIC_ANGSTROM


def is_stable(constants: FloatArray) -> bool:
    """Return whether every small strain costs energy (Born): all eigenvalues are positive."""
    return bool(np.linalg.eigvalsh(constants).min() > 0.0)


def moduli(constants: FloatArray) -> Moduli:
    """Return the averages of elastic constants (6, 6) of a stable crystal (Hill, 1952)."""
    c, s = constants, np.linalg.inv(constants)
    bulk_voigt, bulk_reuss = c[:3, :3].sum() / 9.0, 1.0 / s[:3, :3].sum()
    diagonal, cross, shear = np.trace(c[:3, :3]), c[0, 1] + c[0, 2] + c[1, 2], np.trace(c[3:, 3:])
    shear_voigt = (diagonal - cross + 3.0 * shear) / 15.0
    diagonal, cross, shear = np.trace(s[:3, :3]), s[0, 1] + s[0, 2] + s[1, 2], np.trace(s[3:, 3:])
    shear_reuss = 15.0 / (4.0 * (diagonal - cross) + 3.0 * shear)
    bulk, rigid = 0.5 * (bulk_voigt + bulk_reuss), 0.5 * (shear_voigt + shear_reuss)
    found = (
        *(bulk_voigt, bulk_reuss, bulk, shear_voigt, shear_reuss, rigid),
        9.0 * bulk * rigid / (3.0 * bulk + rigid),
        (3.0 * bulk - 2.0 * rigid) / (6.0 * bulk + 2.0 * rigid),
    )
    return Moduli(*map(float, found))


def _strained(atoms: Atoms, strain: FloatArray) -> Atoms:
    moved = atoms.copy()
    moved.calc = atoms.calc
    moved.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return moved
