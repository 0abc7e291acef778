"""A fitted Gaussian process together with its descriptor: the surrogate model of one subset.

Owns what a descriptor needs of its subset; building that is `descriptors.build`'s, the numbers come from
`regression` and `uncertainty`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from aenet_gpr_cli.descriptors.build import DescriptorSettings, RotatedSettings, build_descriptor
from aenet_gpr_cli.descriptors.descriptor_settings import SoapSettings
from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.structure.permutation import PermutationImages
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.covariance.observation_order import n_rows
from aenet_gpr_cli.gpr.process import SigmaOf, WithRepulsion
from aenet_gpr_cli.gpr.process_settings import ConjugateGradient
from aenet_gpr_cli.gpr.regression.gp_model import GPModel, predict, predict_energies
from aenet_gpr_cli.gpr.regression.structure_distances import TrainingDomain
from aenet_gpr_cli.gpr.solvers.cholesky import Solver, choose_solver
from aenet_gpr_cli.gpr.solvers.conjugate_gradient import ConjugateGradientSolver
from aenet_gpr_cli.gpr.uncertainty.energy_sigma import EnergySigmaBound, energy_sigma, refactorise
from aenet_gpr_cli.gpr.uncertainty.force_sigma import ForceSigmaBound
from aenet_gpr_cli.structures import FloatArray, IntArray, Pbc, Structure, StructureSet, formula
from aenet_gpr_cli.subsystems.geometry import unwrap
from aenet_gpr_cli.subsystems.grouping import CELL_TOLERANCE, varies

MAX_JITTER = 1e-8  # of a unit signal variance: more would change predictions visibly
# for exact σ without a matrix; an unfinished solution leaves σ too large, by the square of its error
EXACT_SIGMA = ConjugateGradient(tolerance=1e-4, max_iterations=20000, max_rank=4000)
FOLDS = 10  # of training structures, for their σ without themselves
ENOUGH = 20  # left-out structures for a median


def refuse_varying_cells(structures: StructureSet, name: str = "") -> None:
    """Refuse structures whose cells differ, for which a full process is meaningless.

    Parameters
    ----------
    name : str
        Of the subset, for the message.

    Raises
    ------
    InputError
    """
    if varies(structures):
        raise InputError(
            f"{name or structures.formula}: expected one cell for a full process, got cells that differ by "
            f"up to {structures.cell_spread:.3g} Å; use fit_gpr.model: local (or auto) for it"
        )


@dataclass(frozen=True, slots=True)
class Geometry:
    """A descriptor and what it needs of a subset.

    Attributes
    ----------
    settings : DescriptorSettings
    species : tuple of str
    cell : ndarray of shape (3, 3), Å, or None
    pbc : tuple of three bool
    reference : ndarray of shape (n_atoms, 3), Å, or None
        Structure that fixes the periodic images.
    permutations : ndarray of int, shape (n_permutations, n_atoms), or None
        Group of permutations under which the process is invariant.
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

        Raises
        ------
        InputError
            If the cell varies: distances at the nearest image then do not tell structures apart.
        """
        refuse_varying_cells(structures)
        periodic = structures.is_periodic and structures.cells is not None
        return cls(
            settings=settings,
            species=structures.species,
            cell=structures.cells[0] if periodic and structures.cells is not None else None,
            pbc=structures.pbc,
            reference=structures.positions[0] if periodic else None,
        )

    def structures(self, positions: FloatArray) -> StructureSet:
        """Return structures of the subset at given positions."""
        cells = None if self.cell is None else np.broadcast_to(self.cell, (len(positions), 3, 3))
        return StructureSet(self.species, positions, cells, self.pbc)

    def mismatch(self, structure: Structure) -> str | None:
        """Return why a structure is not one of the subset, or None if it is."""
        if Counter(self.species) != Counter(structure.species):
            return f"was fitted to {formula(self.species)}, the structure is {structure.formula}"
        if self.species != structure.species:
            pairs = enumerate(zip(self.species, structure.species, strict=True))
            first = next(i for i, (a, b) in pairs if a != b)
            return (
                f"was fitted to the same atoms in another order (atom {first + 1}: {self.species[first]}, "
                f"here {structure.species[first]}); reorder the structure"
            )
        if self.pbc != structure.pbc:
            ours, theirs = (
                "".join("T" if flag else "F" for flag in pbc) for pbc in (self.pbc, structure.pbc)
            )
            return f"was fitted to the periodicity {ours}, the structure has {theirs}"
        if self.cell is None or structure.cell is None:
            return None
        difference = np.abs(self.cell - structure.cell)[list(self.pbc)].max()
        if difference > CELL_TOLERANCE:
            off = f"a component differs by {difference:.4g} Å"
            return f"was fitted to another cell ({off}), and holds for that only"
        return None

    def make_descriptor(self) -> Descriptor:
        """Return the descriptor, with its images under the permutations."""
        plain = build_descriptor(self.settings, self.species, self.cell, self.pbc, self.reference)
        return plain if self.permutations is None else PermutationImages(plain, self.permutations)

    @property
    def n_centres(self) -> int:
        """Points per structure that the kernel compares pair by pair: images, or centres of SOAP."""
        soap = self.settings.plain if isinstance(self.settings, RotatedSettings) else self.settings
        if isinstance(soap, SoapSettings) and soap.compare == "pairs":
            return len(self.species if soap.centres is None else soap.centres)
        return self.n_images

    @property
    def n_images(self) -> int:
        """Images under the permutations."""
        return 1 if self.permutations is None else len(self.permutations)


@dataclass(frozen=True)
class Surrogate(WithRepulsion):
    """A Gaussian process of one subset, ready to predict.

    Attributes
    ----------
    model : GPModel
    geometry : Geometry
    repulsion : Repulsion or None
        See `WithRepulsion`.
    """

    model: GPModel
    geometry: Geometry

    @cached_property
    def descriptor(self) -> Descriptor:
        """Descriptor of the geometry, made once: its tables cost more than a prediction."""
        return self.geometry.make_descriptor()

    @cached_property
    def one_image(self) -> Descriptor:
        """The same without its images under permutations: for a new structure they all give the same."""
        plain = replace(self.geometry, permutations=None)
        return self.descriptor if self.geometry.permutations is None else plain.make_descriptor()

    def mismatch(self, structure: Structure) -> str | None:
        """Return why the process cannot predict a structure, or None if it can."""
        return self.geometry.mismatch(structure)

    def prepare(self, structures: StructureSet) -> StructureSet:
        """Return the structures at the images of the reference: a Cartesian descriptor depends on them."""
        return unwrap(structures, self.geometry.reference).structures

    def mean_energies(self, structures: StructureSet) -> FloatArray:
        """Return the posterior mean of the energies, see `predict_energies`."""
        return predict_energies(self.model, self.one_image, structures.positions)

    def mean_energies_and_forces(self, structures: StructureSet) -> tuple[FloatArray, FloatArray]:
        """Return the posterior mean of energies and forces, see `predict`."""
        return predict(self.model, self.one_image, structures.positions)

    def energy_noise(self, n_atoms: int) -> float:
        """Return the standard deviation of the noise of the energies, eV."""
        return self.model.noise_std_energy

    def domain(self, structures: StructureSet) -> FloatArray:
        """Return the distance to the training data, see `TrainingDomain`."""
        return self._domain(structures.positions)

    @cached_property
    def _domain(self) -> TrainingDomain:
        return TrainingDomain(self.model, self.one_image, self.geometry.n_images)

    def sigma(self, method: str, max_rows: int, max_bytes: float = np.inf) -> SigmaOf | None:
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
        SigmaOf or None
        """
        if method == "none":
            return None
        descriptor = self.descriptor
        if method == "bound":
            bound = EnergySigmaBound(self.model, descriptor, max_rows)
            return lambda s, around=None: bound(s.positions, None if around is None else around.positions)
        solver = self._solver(max_bytes)
        return lambda s, around=None: energy_sigma(self.model, descriptor, s.positions, solver)

    def force_sigma(self, probes: FloatArray, max_rows: int | None) -> ForceSigmaBound:
        """Return the function that gives the standard deviation of predicted energies and forces.

        Parameters
        ----------
        probes : ndarray of shape (n_probes, n_atoms, 3)
            Directions along which σ of the forces is estimated.
        max_rows : int or None
            Training observations behind each bound; None: all, exact in the energies.
        """
        rows = n_rows(self.model.n_structures, self.model.n_atoms) if max_rows is None else max_rows
        return ForceSigmaBound(self.model, self.descriptor, rows, probes, self.geometry.n_images)

    def typical_sigma(self, method: str, max_rows: int, seed: int) -> float:
        """Return the median σ of training structures, each predicted without itself, in eV.

        What is usual for structures that the process has not seen. Folds of training structures are left out
        of the condition; kernel, noise and signal variance stay.

        Parameters
        ----------
        method, max_rows
            ``bound`` or ``exact``, and its observations, as in `sigma`.
        seed : int
            Of the folds.

        Raises
        ------
        InputError
            If there is a single training structure, or the method is ``none``.
        """
        n = self.model.n_structures
        if n < 2:
            raise InputError(
                "σ of unseen structures: expected at least 2 training structures, got 1; give it in eV"
            )
        order = np.random.default_rng([seed, 4]).permutation(n)
        found: list[float] = []
        for out in np.array_split(order, min(FOLDS, n)):
            sigma = self._without(out).sigma(method, max_rows)
            if sigma is None:
                raise InputError("σ of unseen structures: expected sigma: bound or exact, got none")
            found += sigma(self.geometry.structures(self.model.training_positions[out])).tolist()
            if len(found) >= ENOUGH:
                break
        return float(np.median(found))

    def _without(self, out: IntArray) -> Surrogate:
        """The process conditioned on fewer structures; for σ only, its weights are still those of all."""
        model = self.model
        kept = np.setdiff1d(np.arange(model.n_structures), out)
        rows = model.training_x.reshape(model.n_structures, model.n_centres, -1)[kept]
        fewer = replace(
            model,
            training_positions=model.training_positions[kept],
            training_x=rows.reshape(-1, model.training_x.shape[1]),
        )
        return Surrogate(fewer, self.geometry)

    def _solver(self, max_bytes: float) -> Solver:
        model, descriptor = self.model, self.descriptor
        if choose_solver(model.n_structures, model.n_atoms, max_bytes) == "cholesky":
            return refactorise(model, descriptor, MAX_JITTER)
        noise = model.noise_energy, model.noise_force
        return ConjugateGradientSolver(model.covariance(descriptor), *noise, EXACT_SIGMA)
