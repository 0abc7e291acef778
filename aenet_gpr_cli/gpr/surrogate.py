"""A fitted Gaussian process together with its descriptor: the surrogate model of one subset.

Owns what a subset tells its descriptor; building that is `descriptors.build`'s, the numbers come from
`regression` and `uncertainty`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from aenet_gpr_cli.descriptors.build import DescriptorSettings, SoapSettings, build_descriptor
from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.structure.permutation import PermutationImages
from aenet_gpr_cli.gpr.covariance.observation_order import n_rows
from aenet_gpr_cli.gpr.regression.applicability import TrainingDomain
from aenet_gpr_cli.gpr.regression.gp_model import GPModel, predict, predict_energies
from aenet_gpr_cli.gpr.solvers.cholesky import Solver, choose_solver
from aenet_gpr_cli.gpr.solvers.conjugate_gradient import ConjugateGradientSolver
from aenet_gpr_cli.gpr.uncertainty.energy_sigma import EnergySigmaBound, energy_sigma, refactorise
from aenet_gpr_cli.gpr.uncertainty.force_sigma import ForceSigmaBound
from aenet_gpr_cli.structures import FloatArray, IntArray, Pbc, StructureSet

MAX_JITTER = 1e-8  # of a unit signal variance: more would change predictions visibly
# for exact σ without a matrix; an unfinished solution leaves σ too large, by the square of its error
RANK, TOLERANCE, ITERATIONS = 4000, 1e-4, 20000


@dataclass(frozen=True, slots=True)
class Geometry:
    """A descriptor and what it needs to know of a subset.

    Attributes
    ----------
    settings : CartesianSettings, InverseDistanceSettings or SoapSettings
        Of the descriptor.
    species : tuple of str
    cell : ndarray of shape (3, 3), Å, or None
    pbc : tuple of three bool
    reference : ndarray of shape (n_atoms, 3), Å, or None
        Structure that fixes the periodic images.
    permutations : ndarray of int, shape (n_permutations, n_atoms), or None
        Group of permutations that the process cannot tell apart.
    """

    settings: DescriptorSettings
    species: tuple[str, ...]
    cell: FloatArray | None
    pbc: Pbc
    reference: FloatArray | None
    permutations: IntArray | None = None

    @classmethod
    def of(cls, structures: StructureSet, settings: DescriptorSettings) -> Geometry:
        """Return the geometry of a subset; its first structure is the reference.

        Parameters
        ----------
        structures : StructureSet
        settings : CartesianSettings, InverseDistanceSettings or SoapSettings

        Returns
        -------
        Geometry
        """
        periodic = structures.is_periodic and structures.cells is not None
        return cls(
            settings=settings,
            species=structures.species,
            cell=structures.cells[0] if periodic and structures.cells is not None else None,
            pbc=structures.pbc,
            reference=structures.positions[0] if periodic else None,
        )

    def make_descriptor(self) -> Descriptor:
        """Return the descriptor.

        Returns
        -------
        Descriptor
        """
        plain = build_descriptor(self.settings, self.species, self.cell, self.pbc, self.reference)
        return plain if self.permutations is None else PermutationImages(plain, self.permutations)

    @property
    def n_centres(self) -> int:
        """Points per structure that the kernel compares pair by pair: images, or centres of SOAP."""
        if isinstance(self.settings, SoapSettings) and self.settings.pairs:
            return len(self.species if self.settings.centres is None else self.settings.centres)
        return self.n_images

    @property
    def n_images(self) -> int:
        """Images under the permutations."""
        return 1 if self.permutations is None else len(self.permutations)


@dataclass(frozen=True)
class Surrogate:
    """A Gaussian process of one subset, ready to predict.

    Attributes
    ----------
    model : GPModel
    geometry : Geometry
    """

    model: GPModel
    geometry: Geometry

    @cached_property
    def descriptor(self) -> Descriptor:
        """Descriptor of the geometry, made once: its tables cost more than a prediction."""
        return self.geometry.make_descriptor()

    @cached_property
    def one_image(self) -> Descriptor:
        """The same without its images under permutations: for a new structure they all say the same."""
        plain = replace(self.geometry, permutations=None)
        return self.descriptor if self.geometry.permutations is None else plain.make_descriptor()

    def energies(self, positions: FloatArray) -> FloatArray:
        """Return the posterior mean of the energies, without any Jacobian of the new structures.

        Parameters
        ----------
        positions : ndarray of shape (n_structures, n_atoms, 3), Å

        Returns
        -------
        ndarray of shape (n_structures,), eV
        """
        return predict_energies(self.model, self.one_image, positions)

    def energies_and_forces(self, positions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the posterior mean of energies and forces.

        Parameters
        ----------
        positions : ndarray of shape (n_structures, n_atoms, 3), Å

        Returns
        -------
        energies : ndarray of shape (n_structures,), eV
        forces : ndarray of shape (n_structures, n_atoms, 3), eV/Å
        """
        return predict(self.model, self.one_image, positions)

    @cached_property
    def domain(self) -> TrainingDomain:
        """Distances of structures to the training data."""
        return TrainingDomain(self.model, self.one_image, self.geometry.n_images)

    def sigma(
        self, method: str, max_rows: int, max_bytes: float = np.inf
    ) -> Callable[[FloatArray], FloatArray] | None:
        """Return the function that gives the standard deviation of predicted energies.

        Parameters
        ----------
        method : str
            ``bound``, ``exact`` (factorises the whole matrix again where it fits into the memory, else solves
            one linear system per structure without it) or ``none``.
        max_rows : int
            Training observations behind each bound.
        max_bytes : float
            Memory that a factorisation may take.

        Returns
        -------
        callable, (n_structures, n_atoms, 3) Å -> (n_structures,) eV, or None
        """
        if method == "none":
            return None
        descriptor, n_images = self.descriptor, self.geometry.n_images
        if method == "bound":
            return EnergySigmaBound(self.model, descriptor, max_rows, n_images)
        solver = self._solver(max_bytes)
        return lambda positions: energy_sigma(self.model, descriptor, positions, solver, n_images)

    def force_sigma(self, probes: FloatArray, max_rows: int | None) -> ForceSigmaBound:
        """Return the function that gives the standard deviation of predicted energies and forces.

        Parameters
        ----------
        probes : ndarray of shape (n_probes, n_atoms, 3)
            Directions along which σ of the forces is estimated.
        max_rows : int or None
            Training observations behind each bound; None: all, exact in the energies.

        Returns
        -------
        ForceSigmaBound
        """
        rows = n_rows(self.model.n_structures, self.model.n_atoms) if max_rows is None else max_rows
        return ForceSigmaBound(self.model, self.descriptor, rows, probes, self.geometry.n_images)

    def _solver(self, max_bytes: float) -> Solver:
        model, descriptor = self.model, self.descriptor
        if choose_solver(model.n_structures, model.n_atoms, max_bytes) == "cholesky":
            return refactorise(model, descriptor, MAX_JITTER)
        return ConjugateGradientSolver(
            model.covariance(descriptor), model.noise_energy, model.noise_force, RANK, TOLERANCE, ITERATIONS
        )
