"""The local Gaussian process: a sum over atoms, each a function of its environment, in any cell.

E(S) = Σ_t n_t e_t + Σ_i f_t(i)(x_i) with f_t ~ GP(0, w² k), on inducing environments (Bartók and Csányi,
Int. J. Quantum Chem. 115, 1051 (2015)). Energies need values of the descriptor only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from aenet_gpr_cli.baseline.shortest_distances import Pair, crowding, worst_pair
from aenet_gpr_cli.descriptors.atomic_environments import EnvironmentBasis, atom_gradients, edge_gradients
from aenet_gpr_cli.descriptors.chebyshev.strain import strain_gradients
from aenet_gpr_cli.gpr.local.design import (
    Inducing,
    energies_and_slopes,
    energy_and_force_rows,
    energy_rows,
    kernel,
    nearest,
)
from aenet_gpr_cli.gpr.local.environments import Environments, Scale, blocks_of, environments
from aenet_gpr_cli.gpr.local.posterior import whitening_parts
from aenet_gpr_cli.gpr.local.virials import TENSOR, virial_rows
from aenet_gpr_cli.gpr.process import SigmaOf, WithRepulsion
from aenet_gpr_cli.lattice import volumes
from aenet_gpr_cli.structures import FloatArray, Structure, StructureSet

ATOMS_AT_A_TIME = 4000
ROWS_AT_A_TIME = 300  # atoms, of rows of forces
SAME = 1e-3  # distance of an environment to itself, with rounding


@dataclass(frozen=True)
class LocalModel(WithRepulsion):
    """A fitted local process.

    Attributes
    ----------
    basis : EnvironmentBasis
    scale : Scale
    inducing : Inducing
    coefficients : ndarray of shape (n_inducing,), eV
    directions, variances : ndarray
        Posterior of the coefficients, see `posterior.Posterior`.
    signal_variance : float, eV²
        Prior variance of the energy of one environment.
    noise_energy : float, eV
        Standard deviation of the noise of the energy of a structure, for each square root of its atoms.
    noise_force : float, eV/Å
    noise_virial : float, eV
        Of V σ, for each square root of the atoms; 0 where no virials are trained on.
    atomic_energies : ndarray of shape (n_species,), eV
        Prior mean, in the order of the basis.
    reach : ndarray of shape (n_species,), dimensionless
        Largest distance of a training environment to the nearest inducing one but itself.
    shortest : ndarray of shape (n_species, n_species), Å, or None
        Below which two atoms were never in training, see `nearest_in_training`; None in earlier artefacts.
    sigma_factor, force_sigma_factor, virial_sigma_factor : float, dimensionless
        What makes σ and noise of the energies, and those of the forces and of the virials, agree with the
        errors of structures left out.
    left_out_error, left_out_force_error, left_out_stress_error : float, eV, eV/Å, eV/Å³
        Median error of the energies and mean errors of the components of forces and stress of structures left
        out; 0 where there are none.
    repulsion : Repulsion or None
        See `WithRepulsion`.
    """

    basis: EnvironmentBasis
    scale: Scale
    inducing: Inducing
    coefficients: FloatArray
    directions: FloatArray
    variances: FloatArray
    signal_variance: float
    noise_energy: float
    noise_force: float
    atomic_energies: FloatArray
    reach: FloatArray
    sigma_factor: float = 1.0
    force_sigma_factor: float = 1.0
    left_out_error: float = 0.0
    left_out_force_error: float = 0.0
    noise_virial: float = 0.0
    virial_sigma_factor: float = 1.0
    left_out_stress_error: float = 0.0
    shortest: FloatArray | None = None
    _whitening: list[FloatArray] = field(default_factory=list, repr=False, compare=False)

    def prior_energy(self, species: tuple[str, ...]) -> float:
        """Return Σ_t n_t e_t in eV."""
        return float(self.atomic_energies[self.basis.species_index(species)].sum())

    def mismatch(self, structure: Structure) -> str | None:
        """Return why the process cannot predict a structure, or None if it can."""
        unknown = sorted(set(structure.species) - set(self.basis.species))
        return f"was fitted to {', '.join(self.basis.species)}, not {', '.join(unknown)}" if unknown else None

    def prepare(self, structures: StructureSet) -> StructureSet:
        """Return the structures as they are: images do not matter."""
        return structures

    def energy_noise(self, n_atoms: int) -> float:
        """Return the standard deviation of the noise of the energy of a structure, eV."""
        return self.sigma_factor * self.noise_energy * float(np.sqrt(n_atoms))

    def virial_noise(self, n_atoms: int) -> float:
        """Return the standard deviation of the noise of a component of V σ, eV; 0 where not trained on."""
        return self.virial_sigma_factor * self.noise_virial * float(np.sqrt(n_atoms))

    def typical_sigma(self, method: str, max_rows: int, seed: int) -> float:
        """Return the median error of structures left out of the fit, eV."""
        return self.left_out_error

    def mean_energies(self, structures: StructureSet) -> FloatArray:
        """Return the posterior mean of the energies, shape (n_structures,), eV."""
        found = [
            energy_rows(environments(self.basis, self.scale, block, False), self.inducing) @ self.coefficients
            for block in blocks_of(structures, ATOMS_AT_A_TIME)
        ]
        return np.concatenate(found) + self.prior_energy(structures.species)

    def mean_energies_and_forces(self, structures: StructureSet) -> tuple[FloatArray, FloatArray]:
        """Return the posterior mean of energies (eV) and forces (n_structures, n_atoms, 3), eV/Å."""
        energies, forces = [], []
        for block in blocks_of(structures, ATOMS_AT_A_TIME):
            found = environments(self.basis, self.scale, block, False)
            energy, cotangents = energies_and_slopes(found, self.inducing, self.coefficients)
            energies.append(energy.reshape(len(block), -1).sum(axis=1))
            cotangents = self.scale.adjoint(cotangents, found.kinds)
            pulled = atom_gradients(self.basis, found.kinds, found.neighbours, cotangents[None])[0]
            forces.append(-pulled.reshape(len(block), -1, 3))
        return np.concatenate(energies) + self.prior_energy(structures.species), np.concatenate(forces)

    def stresses(self, structures: StructureSet) -> FloatArray:
        """Return the predicted stress, shape (n_structures, 3, 3), eV/Å³, of periodic structures.

        (1/V) dE/dε, positive where the crystal pulls its cell together.
        """
        assert structures.cells is not None
        gradients = self._strain_gradients(structures)
        if self.repulsion is not None:
            gradients += self.repulsion.between(structures).strain_gradients
        return gradients / np.abs(np.linalg.det(structures.cells))[:, None, None]

    def _strain_gradients(self, structures: StructureSet) -> FloatArray:
        """Return dE/dε of the posterior mean, shape (n_structures, 3, 3), eV."""
        out = []
        for block in blocks_of(structures, ATOMS_AT_A_TIME):
            found = environments(self.basis, self.scale, block, False)
            _, cotangents = energies_and_slopes(found, self.inducing, self.coefficients)
            cotangents = self.scale.adjoint(cotangents, found.kinds)
            slopes = edge_gradients(self.basis, found.kinds, found.neighbours, cotangents[None])
            out.append(strain_gradients(found.neighbours, slopes)[0])
        return np.concatenate(out)

    def stress_sigma(self, structures: StructureSet) -> FloatArray:
        """Return the σ of each component of the stress without noise, (n_structures, 3, 3), eV/Å³."""
        out = []
        for block in blocks_of(structures, ROWS_AT_A_TIME):
            rows = virial_rows(environments(self.basis, self.scale, block, True), self.inducing)
            components = np.sqrt((rows @ self.directions) ** 2 @ self.variances)
            volume = volumes(block)
            assert volume is not None  # isolated structures have no stress
            out.append(components[:, TENSOR] / volume[:, None, None])
        return self.virial_sigma_factor * np.concatenate(out)

    def sigma(self, method: str, max_rows: int, max_bytes: float = np.inf) -> SigmaOf | None:
        """Return `energy_sigma`, which is exact and cheap; None for the method ``none``."""
        return None if method == "none" else lambda structures, around=None: self.energy_sigma(structures)

    def energy_sigma(self, structures: StructureSet) -> FloatArray:
        """Return the standard deviation of the energies, shape (n_structures,), eV, without noise.

        √(aᵀ Cov a + w² (k(S, S) − aᵀ K_MM⁻¹ a)): what the data leave open, and what the inducing
        environments do not span; times `sigma_factor`.
        """
        out = []
        for block in blocks_of(structures, ATOMS_AT_A_TIME):
            found = environments(self.basis, self.scale, block, False)
            rows = energy_rows(found, self.inducing)
            known = (rows @ self.directions) ** 2 @ self.variances
            out.append(np.sqrt(known + self.unspanned(found, rows)))
        return self.sigma_factor * np.concatenate(out)

    def force_sigma(self, structures: StructureSet) -> FloatArray:
        """Return the σ of the forces, root mean square over components, shape (n_structures,), eV/Å."""
        each = self.force_component_sigma(structures)
        return np.sqrt((each**2).mean(axis=(1, 2)))

    def force_component_sigma(self, structures: StructureSet) -> FloatArray:
        """Return the σ of each force component without noise, (n_structures, n_atoms, 3), eV/Å."""
        out = []
        for block in blocks_of(structures, ROWS_AT_A_TIME):
            found = environments(self.basis, self.scale, block, True)
            _, rows = energy_and_force_rows(found, self.inducing)
            variances = (rows @ self.directions) ** 2 @ self.variances
            out.append(np.sqrt(variances).reshape(len(block), -1, 3))
        return self.force_sigma_factor * np.concatenate(out)

    @property
    def force_noise(self) -> float:
        """Standard deviation of the noise of the force components, eV/Å."""
        return self.force_sigma_factor * self.noise_force

    def features(self, structures: StructureSet) -> FloatArray:
        """Return the scaled descriptors of all atoms, shape (n_structures, n_atoms · n_features)."""
        found = [
            environments(self.basis, self.scale, block, False).x.reshape(len(block), -1)
            for block in blocks_of(structures, ATOMS_AT_A_TIME)
        ]
        return np.concatenate(found)

    def domain(self, structures: StructureSet) -> FloatArray:
        """Return the largest of `atom_distances` of each structure."""
        return np.asarray(self.atom_distances(structures).max(axis=1))

    def atom_distances(self, structures: StructureSet) -> FloatArray:
        """Return the distance of each atom to the nearest inducing environment, (n_structures, n_atoms).

        In units of the largest one of the training data, so that above 1 is outside. Of atoms nearer to each
        other than any in training, which the descriptor may hardly tell, their `crowding` where it is larger.
        """
        out = []
        for block in blocks_of(structures, ATOMS_AT_A_TIME):
            found = environments(self.basis, self.scale, block, False)
            atoms = np.zeros(len(found.x))
            for kind in range(len(self.basis.species)):
                own, z = found.kinds == kind, self.inducing.z[self.inducing.of(kind)]
                atoms[own] = nearest(found.x[own], z) / self.reach[kind]
            if self.shortest is not None:
                atoms = np.maximum(atoms, crowding(found.kinds, found.neighbours, self.shortest))
            out.append(atoms.reshape(len(block), -1))
        return np.concatenate(out)

    def worst_pair(self, structure: Structure) -> Pair | None:
        """Return the two atoms that are too near to each other for the training data most of all, if any."""
        if self.shortest is None:
            return None
        found = environments(self.basis, self.scale, StructureSet.from_structures([structure]), False)
        return worst_pair(found.kinds, found.neighbours, self.shortest)

    def unspanned(self, found: Environments, rows: FloatArray) -> FloatArray:
        """Return w² (k(S, S) − aᵀ K_MM⁻¹ a), eV²: the variance that no inducing environment can take up.

        k(S, S) = Σ_ij k(x_i, x_j) over the atoms of one species.
        """
        kinds = range(len(self.basis.species))
        return np.sum([self._unspanned_of(kind, found, rows) for kind in kinds], axis=0)

    def unspanned_if_new(self, found: Environments, rows: FloatArray) -> float:
        """Return what `unspanned` would be of a structure of the fit if it had not been there, eV².

        Atoms whose environments are inducing have no such variance: those of the same species that are not
        stand for them, or, where that gives less, their environments are taken out of the inducing ones
        without putting others of the training data in their place.
        """
        total = 0.0
        for kind in range(len(self.basis.species)):
            columns, x = self.inducing.of(kind), found.x[found.kinds == kind]
            variance = float(self._unspanned_of(kind, found, rows)[0])
            own = np.flatnonzero(nearest(self.inducing.z[columns], x) < SAME)
            if len(own):
                free, whitening = len(x) - len(own), self._whiten()[kind]
                directions, _ = np.linalg.qr(whitening[own].T)
                without = variance + self.signal_variance * float(
                    ((rows[0, columns] @ whitening @ directions) ** 2).sum()
                )
                variance = min(without, variance * len(x) / free if free > 0 else np.inf)
            total += variance
        return total

    def _unspanned_of(self, kind: int, found: Environments, rows: FloatArray) -> FloatArray:
        """Return the part of one species: those of several do not covary."""
        own = found.x[found.kinds == kind].reshape(found.n_structures, -1, found.x.shape[1])
        prior = np.array([kernel(x, x, self.inducing.length_scale).sum() for x in own])
        spanned = ((rows[:, self.inducing.of(kind)] @ self._whiten()[kind]) ** 2).sum(axis=1)
        return self.signal_variance * np.maximum(prior - spanned, 0.0)

    def _whiten(self) -> list[FloatArray]:
        """Return B of each species, see `posterior.whitening_parts`."""
        if not self._whitening:
            self._whitening.extend(whitening_parts(self.inducing.covariance()))
        return self._whitening
