"""What the stages ask of a fitted Gaussian process, whichever model it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aenet_gpr_cli.structures import FloatArray, Structure, StructureSet

SigmaOf = Callable[[StructureSet], FloatArray]


class Process(Protocol):
    """A fitted process: the full one of a subset (`surrogate`), or the local one of all (`local`).

    Structures of one call have the same atoms; where a method returns an array, it has one entry for each.
    """

    def mismatch(self, structure: Structure) -> str | None:
        """Return why the process cannot predict a structure, or None if it can."""

    def prepare(self, structures: StructureSet) -> StructureSet:
        """Return the structures as the other methods need them: at the images of the training structures."""

    def energies(self, structures: StructureSet) -> FloatArray:
        """Return the posterior mean of the energies, eV."""

    def energies_and_forces(self, structures: StructureSet) -> tuple[FloatArray, FloatArray]:
        """Return the posterior mean of energies, eV, and forces (n_structures, n_atoms, 3), eV/Å."""

    def sigma(self, method: str, max_rows: int, max_bytes: float = ...) -> SigmaOf | None:
        """Return the function that gives the standard deviation of predicted energies, eV, or None."""

    def typical_sigma(self, method: str, max_rows: int, seed: int) -> float:
        """Return the σ that is usual for structures that the process has not seen, eV."""

    def domain(self, structures: StructureSet) -> FloatArray:
        """Return the distance to the training data, dimensionless: above 1 is outside."""

    def energy_noise(self, n_atoms: int) -> float:
        """Return the standard deviation of the noise of the energy of a structure, eV."""
