"""What the stages ask of a fitted Gaussian process, whichever model it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Protocol

from aenet_gpr_cli.baseline.repulsion import Repulsion
from aenet_gpr_cli.structures import FloatArray, Structure, StructureSet


class SigmaOf(Protocol):
    """Standard deviations of predicted energies."""

    def __call__(self, structures: StructureSet, around: StructureSet | None = None) -> FloatArray:
        """Return σ of each structure, eV, displaced from ``around``, see `EnergySigmaBound`."""


class Process(Protocol):
    """A fitted process: the full one of a subset (`surrogate`), or the local one of all (`local`).

    Structures of one call have the same atoms; where a method returns an array, it has one entry for each.
    """

    def mismatch(self, structure: Structure) -> str | None:
        """Return why the process cannot predict a structure, or None if it can."""

    def prepare(self, structures: StructureSet) -> StructureSet:
        """Return the structures as the other methods need them: at the images of the training structures."""

    def energies(self, structures: StructureSet) -> FloatArray:
        """Return the energies, eV: the posterior mean, with the repulsion of nuclei where there is one."""

    def energies_and_forces(self, structures: StructureSet) -> tuple[FloatArray, FloatArray]:
        """Return the same with the forces (n_structures, n_atoms, 3), eV/Å."""

    def sigma(self, method: str, max_rows: int, max_bytes: float = ...) -> SigmaOf | None:
        """Return the function that gives the standard deviation of predicted energies, eV, or None."""

    def typical_sigma(self, method: str, max_rows: int, seed: int) -> float:
        """Return the σ that is usual for structures that the process has not seen, eV."""

    def domain(self, structures: StructureSet) -> FloatArray:
        """Return the distance to the training data, dimensionless: above 1 is outside."""

    def energy_noise(self, n_atoms: int) -> float:
        """Return the standard deviation of the noise of the energy of a structure, eV."""


@dataclass(frozen=True)
class WithRepulsion(ABC):
    """A process whose predictions are the posterior mean and the repulsion of nuclei, where there is one.

    All predicted energies and forces of both kinds of process come from here.

    Attributes
    ----------
    repulsion : Repulsion or None
        Nothing in the structures that the process is fitted to, so that no fit knows it.
    """

    repulsion: Repulsion | None = field(default=None, kw_only=True)

    @abstractmethod
    def mean_energies(self, structures: StructureSet) -> FloatArray:
        """Return the posterior mean of the energies, shape (n_structures,), eV."""

    @abstractmethod
    def mean_energies_and_forces(self, structures: StructureSet) -> tuple[FloatArray, FloatArray]:
        """Return the posterior mean of energies (eV) and forces (n_structures, n_atoms, 3), eV/Å."""

    def energies(self, structures: StructureSet) -> FloatArray:
        """Return the predicted energies, shape (n_structures,), eV."""
        mean = self.mean_energies(structures)
        return mean if self.repulsion is None else mean + self.repulsion.between(structures).energies

    def energies_and_forces(self, structures: StructureSet) -> tuple[FloatArray, FloatArray]:
        """Return the predicted energies (eV) and forces (n_structures, n_atoms, 3), eV/Å."""
        energies, forces = self.mean_energies_and_forces(structures)
        if self.repulsion is None:
            return energies, forces
        added = self.repulsion.between(structures)
        return energies + added.energies, forces + added.forces
