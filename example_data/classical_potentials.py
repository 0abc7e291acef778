"""Classical potentials with analytic forces and stress, for the sets that the scripts beside this file make.

`PairPotential` adds functions of the distance for each pair of species; `FlexibleWater` is SPC/Fw (Wu, Tepper
and Voth, J. Chem. Phys. 124, 024503 (2006)). Charges interact by Coulomb's law, damped and shifted to zero
force at the cutoff (Fennell and Gezelter, J. Chem. Phys. 124, 234104 (2006)): the energy is a sum of local
terms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from ase import units
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import neighbor_list
from scipy.special import erfc

from aenet_gpr_cli.structures import FloatArray

COULOMB = units.Hartree * units.Bohr  # e²/(4πε₀), eV Å
Radial = Callable[[FloatArray], tuple[FloatArray, FloatArray]]  # distances → energies (eV), slopes (eV/Å)


def shifted(function: Radial, cutoff: float) -> Radial:
    """Return the function with value and slope shifted to zero at the cutoff (Å)."""
    value, slope = (float(x[0]) for x in function(np.array([cutoff])))

    def at(r: FloatArray) -> tuple[FloatArray, FloatArray]:
        values, slopes = function(r)
        return values - value - slope * (r - cutoff), slopes - slope

    return at


def coulomb(charges: float, damping: float, cutoff: float) -> Radial:
    """Return q_i q_j erfc(αr)/r, shifted; `charges` is the product of two charges, e², `damping` α in 1/Å."""

    def bare(r: FloatArray) -> tuple[FloatArray, FloatArray]:
        screened = erfc(damping * r) / r
        gaussian = 2 * damping / np.sqrt(np.pi) * np.exp(-((damping * r) ** 2))
        return COULOMB * charges * screened, -COULOMB * charges * (screened + gaussian) / r

    return shifted(bare, cutoff)


def buckingham(a: float, rho: float, c: float, cutoff: float) -> Radial:
    """Return A exp(−r/ρ) − C/r⁶, shifted; A in eV, ρ in Å, C in eV Å⁶."""

    def bare(r: FloatArray) -> tuple[FloatArray, FloatArray]:
        repulsion = a * np.exp(-r / rho)
        return repulsion - c / r**6, -repulsion / rho + 6 * c / r**7

    return shifted(bare, cutoff)


def lennard_jones(epsilon: float, sigma: float, cutoff: float) -> Radial:
    """Return 4ε((σ/r)¹² − (σ/r)⁶), shifted; ε in eV, σ in Å."""

    def bare(r: FloatArray) -> tuple[FloatArray, FloatArray]:
        six = (sigma / r) ** 6
        return 4 * epsilon * (six**2 - six), -24 * epsilon * (2 * six**2 - six) / r

    return shifted(bare, cutoff)


class PairPotential(Calculator):
    """E = ½ Σ_i Σ_j Σ_f f(r_ij) over neighbours j within the cutoff, images too, in any cell.

    Parameters
    ----------
    functions : mapping of (str, str) to sequence of Radial
        Terms of each pair of species, in alphabetical order.
    cutoff : float
        Å.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012 (ASE's)

    def __init__(self, functions: Mapping[tuple[str, str], tuple[Radial, ...]], cutoff: float) -> None:
        super().__init__()
        self.functions, self.cutoff = functions, cutoff

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        """Compute energy (eV), forces (eV/Å) and stress (eV/Å³)."""
        super().calculate(atoms, properties, system_changes)
        i, j, r, vectors = neighbor_list("ijdD", self.atoms, self.cutoff)
        symbols = np.array(self.atoms.get_chemical_symbols())
        values, slopes = np.zeros(len(r)), np.zeros(len(r))
        for (one, other), terms in self.functions.items():
            own = ((symbols[i] == one) & (symbols[j] == other)) | (
                (symbols[i] == other) & (symbols[j] == one)
            )
            for term in terms:
                value, slope = term(r[own])
                values[own] += value
                slopes[own] += slope
        pulls = (slopes / r)[:, None] * vectors  # ∂f/∂(r_j − r_i)
        forces = np.zeros((len(self.atoms), 3))
        np.add.at(forces, i, pulls)
        _store(self, 0.5 * values.sum(), forces, 0.5 * pulls.T @ vectors)


class FlexibleWater(Calculator):
    """SPC/Fw for atoms in the order O H H, O H H, …: harmonic bonds and angles, Lennard-Jones, charges.

    Molecules interact with nearest images: no period of the orthorhombic cell may be below two cutoffs.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012 (ASE's)
    BOND = 1.012  # Å
    ANGLE = np.deg2rad(113.24)
    BOND_STIFFNESS = 1059.162 * units.kcal / units.mol  # eV/Å², E = k (r − r₀)²/2
    ANGLE_STIFFNESS = 75.90 * units.kcal / units.mol  # eV/rad²
    CHARGE = 0.41  # e, of H
    EPSILON, SIGMA = 0.1554253 * units.kcal / units.mol, 3.165492  # eV, Å, between O

    def __init__(self, cutoff: float = 5.8, damping: float = 0.2) -> None:
        super().__init__()
        self.cutoff = cutoff
        self._charges = {n: coulomb(n * self.CHARGE**2, damping, cutoff) for n in (4, -2, 1)}  # OO, OH, HH
        self._dispersion = lennard_jones(self.EPSILON, self.SIGMA, cutoff)

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        """Compute energy (eV), forces (eV/Å) and stress (eV/Å³)."""
        super().calculate(atoms, properties, system_changes)
        cell, x = np.diag(self.atoms.cell.array), self.atoms.positions
        if np.abs(self.atoms.cell.array - np.diag(cell)).max() > 1e-9 or cell.min() < 2 * self.cutoff:
            raise ValueError(
                f"expected an orthorhombic cell of at least {2 * self.cutoff} Å, got {self.atoms.cell}"
            )
        forces, virial = np.zeros_like(x), np.zeros((3, 3))
        energy = self._within(x, cell, forces, virial) + self._between(x, cell, forces, virial)
        _store(self, energy, forces, virial)

    def _between(self, x: FloatArray, cell: FloatArray, forces: FloatArray, virial: FloatArray) -> float:
        oxygen = np.arange(len(x)) % 3 == 0
        i, j = _pairs(len(x))
        vectors = x[j] - x[i]
        vectors -= cell * np.rint(vectors / cell)
        r = np.sqrt((vectors**2).sum(axis=1))
        near = r < self.cutoff
        i, j, vectors, r = i[near], j[near], vectors[near], r[near]
        factor = np.where(oxygen[i] & oxygen[j], 4, np.where(oxygen[i] | oxygen[j], -2, 1))
        unit, slopes = self._charges[1](r)
        energy, slopes = float(factor @ unit), factor * slopes
        both = factor == 4
        value, slope = self._dispersion(r[both])
        slopes[both] += slope
        pulls = (slopes / r)[:, None] * vectors
        _scatter(forces, i, pulls)
        _scatter(forces, j, -pulls)
        virial += pulls.T @ vectors
        return energy + float(value.sum())

    def _within(self, x: FloatArray, cell: FloatArray, forces: FloatArray, virial: FloatArray) -> float:
        arms = x.reshape(-1, 3, 3)[:, 1:] - x.reshape(-1, 3, 3)[:, :1]
        arms -= cell * np.rint(arms / cell)
        lengths = np.linalg.norm(arms, axis=2)
        units_ = arms / lengths[:, :, None]
        cosine = (units_[:, 0] * units_[:, 1]).sum(axis=1)
        bend = np.arccos(cosine) - self.ANGLE
        stretch = lengths - self.BOND
        slope = -self.ANGLE_STIFFNESS * bend / np.sqrt(1 - cosine**2)  # by the cosine
        across = (units_[:, ::-1] - cosine[:, None, None] * units_) / lengths[:, :, None]
        pulls = self.BOND_STIFFNESS * stretch[:, :, None] * units_ + slope[:, None, None] * across
        by_molecule = forces.reshape(-1, 3, 3)
        by_molecule[:, 1:] -= pulls
        by_molecule[:, 0] += pulls.sum(axis=1)
        virial += np.einsum("mka,mkb->ab", pulls, arms)
        return float(
            0.5 * self.BOND_STIFFNESS * (stretch**2).sum() + 0.5 * self.ANGLE_STIFFNESS * (bend**2).sum()
        )


@lru_cache
def _pairs(n_atoms: int) -> tuple[Any, Any]:
    """Return atoms of different molecules, each pair once."""
    i, j = np.triu_indices(n_atoms, 1)
    other = i // 3 != j // 3
    return i[other], j[other]


def _scatter(forces: FloatArray, at: Any, pulls: FloatArray) -> None:
    for axis in range(3):
        forces[:, axis] += np.bincount(at, pulls[:, axis], len(forces))


def _store(calculator: Calculator, energy: float, forces: FloatArray, virial: FloatArray) -> None:
    stress = (virial + virial.T) / (2 * calculator.atoms.cell.volume)
    calculator.results = {
        "energy": float(energy),
        "free_energy": float(energy),
        "forces": forces,
        "stress": stress.ravel()[[0, 4, 8, 5, 2, 1]],
    }
