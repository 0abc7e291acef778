"""Energies and forces of a committee, step after step, for whatever drives the dynamics.

Owns one evaluation and what is kept between two. ASE's and LAMMPS' conventions are `ann`'s and `lammps`'.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.ann.potential.committee_sigma import CommitteeSigma
from aenet_gpr_cli.ann.potential.compositions import Compositions, describe_open
from aenet_gpr_cli.ann.potential.extrapolation import beyond_range, describe_beyond
from aenet_gpr_cli.ann.potential.prediction import atomic_energies, pack
from aenet_gpr_cli.calculators.skin_list import SkinList
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import MANY, linearise
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_work import Room
from aenet_gpr_cli.descriptors.interface.neighbour_list import NeighbourList
from aenet_gpr_cli.io.artefacts.stored_anns import load_ann
from aenet_gpr_cli.structures import FloatArray, IntArray, Pbc

DEFAULT_SKIN = 0.5  # Å; a list costs little compared with the descriptors, so a thin skin is best


@dataclass(frozen=True, slots=True)
class CommitteeResult:
    """What a committee says about one structure.

    Attributes
    ----------
    energies : ndarray of shape (n_members,), eV
    forces : ndarray of shape (n_atoms, 3), eV/Å
        F = -dE/dR of the mean energy.
    member_forces : ndarray of shape (n_members, n_atoms, 3), eV/Å, or None
        Only where asked for.
    atomic_energies : ndarray of shape (n_members, n_atoms), eV
    beyond_training : ndarray of shape (n_atoms,), dimensionless
        How far the environment of each atom lies outside the training data, see `extrapolation.beyond_range`;
        zeros where it was not asked for.
    strain_gradient : ndarray of shape (3, 3), eV, or None
        dE/dε of the mean energy under r → (1 + ε) r, symmetric: the stress times the volume, and minus the
        virial. Only where asked for.
    energy_sigma : float or None, eV
        σ of the mean energy, see `CommitteeSigma`; only where asked for, and known.
    """

    energies: FloatArray
    forces: FloatArray
    member_forces: FloatArray | None
    atomic_energies: FloatArray
    beyond_training: FloatArray
    strain_gradient: FloatArray | None = None
    energy_sigma: float | None = None


@dataclass(slots=True)
class Lookout:
    """Warns once when an environment has left the training data, and once of a composition that they lack.

    Attributes
    ----------
    limit : float, dimensionless
        Of `CommitteeResult.beyond_training`; infinity never warns, and stands here after a warning.
    compositions : Compositions or None
        Those whose energies are known; None, which stands here after a warning, for all.
    """

    limit: float
    compositions: Compositions | None = None
    _seen: tuple[str, ...] = ()

    def look(self, result: CommitteeResult, species: Sequence[str]) -> None:
        """Warn where a result is beyond the limit."""
        if result.beyond_training.max(initial=0.0) > self.limit:
            self.limit = np.inf
            warnings.warn(f"{describe_beyond(result.beyond_training, species)}", stacklevel=3)
        if self.compositions is None or self._seen == (symbols := tuple(species)):
            return
        self._seen = symbols
        if self.compositions.lack(symbols):
            self.compositions = None
            warnings.warn(describe_open([symbols]), stacklevel=3)


class CommitteeEvaluator:
    """A committee with its neighbour list.

    Parameters
    ----------
    skin : float, Å
        See `SkinList`.
    """

    def __init__(self, model: ANNModel, skin: float = DEFAULT_SKIN) -> None:
        self.model = model
        self.neighbours = SkinList(model.basis.cutoff, skin)
        self._packed = pack(model)
        self._sigma = CommitteeSigma(model)
        self._room = Room()
        self._species: tuple[str, ...] = ()
        self._kinds: IntArray = np.empty(0, np.int64)
        self._reference: FloatArray = np.empty(0)
        self._reference_energy = 0.0

    @classmethod
    def from_file(
        cls, path: Path | str, members: Sequence[int] | None = None, skin: float = DEFAULT_SKIN
    ) -> CommitteeEvaluator:
        """Read a committee, or some of its members.

        Parameters
        ----------
        path : Path or str
            Output of `train-ann` or `import`.
        members : sequence of int, optional
            Counted from 0; all if not given.
        skin : float, Å

        Raises
        ------
        InputError
            If the file is something else, or has no such member.
        """
        return cls(load_ann(Path(path)).select(members), skin)

    def __call__(
        self,
        species: Sequence[str],
        positions: FloatArray,
        cell: FloatArray | None,
        pbc: Pbc,
        member_forces: bool = False,
        strain: bool = False,
        look: bool = True,
        sigma: bool = False,
    ) -> CommitteeResult:
        """Evaluate one structure.

        Parameters
        ----------
        positions : ndarray of shape (n_atoms, 3), Å
        cell : ndarray of shape (3, 3), Å, or None
        member_forces : bool
            Forces of each member, too, which cost more than those of their mean.
        strain : bool
            Derivative by the strain, too.
        look : bool
            Compare the environments with those of training.
        sigma : bool
            σ of the energy, too.

        Raises
        ------
        InputError
            If the potential does not know a species, or a number is not finite.
        """
        self._set_species(tuple(species))
        neighbours = self.neighbours(positions, cell, pbc)
        return self._evaluate([neighbours], neighbours, member_forces, strain, look, sigma)[0]

    def together(
        self,
        species: Sequence[str],
        lists: Sequence[NeighbourList],
        block: NeighbourList,
        strain: bool = False,
        look: bool = True,
    ) -> list[CommitteeResult]:
        """Evaluate structures of the same atoms, each as if it were alone, in one call of the compiled loops.

        Parameters
        ----------
        species : sequence of str
            Of one of them.
        lists : sequence of NeighbourList
            Of one structure each, as from a `SkinList`.
        block : NeighbourList
            The same, `joined`.
        strain, look : bool
            As for one structure; ``look`` with σ of the energy, too.
        """
        self._set_species(tuple(species))
        return self._evaluate(lists, block, False, strain, look, look)

    def _evaluate(
        self,
        lists: Sequence[NeighbourList],
        block: NeighbourList,
        member_forces: bool,
        strain: bool,
        look: bool,
        sigma: bool,
    ) -> list[CommitteeResult]:
        kinds = self._kinds if len(lists) == 1 else np.tile(self._kinds, len(lists))
        environments = linearise(
            self.model.basis,
            kinds,
            block,
            room=self._room,
            gradients=member_forces and self.model.n_members >= MANY,
        )
        networks, gradients = atomic_energies(self._packed, kinds, environments.values, member_forces)
        # one product for all: forces are linear in dE/dG
        slopes, strains = environments.vjp(gradients, strain)
        results = []
        for number, neighbours in enumerate(lists):
            rows = slice(number * block.n_atoms, (number + 1) * block.n_atoms)
            own = environments.values[rows], networks[:, rows], slopes[:, rows], strains[:, number]
            results.append(self._result(neighbours, *own, member_forces, strain, look, sigma))
        return results

    def _result(
        self,
        neighbours: NeighbourList,
        raw: FloatArray,
        networks: FloatArray,
        slopes: FloatArray,
        strains: FloatArray,
        member_forces: bool,
        strain: bool,
        look: bool,
        sigma: bool,
    ) -> CommitteeResult:
        """Put together what the loops say of one structure, with the repulsion of its nuclei."""
        model = self.model
        added = None if model.repulsion is None else model.repulsion(self._kinds, neighbours)
        if added is not None and len(added.edges):
            networks = networks + added.energies
            slopes = slopes + added.position_gradients()
            strains = strains + added.strain_gradients(neighbours)[0]
        energies = networks.sum(1) + self._reference_energy
        deviation = self._sigma(energies[:, None], self._kinds, raw[None]) if sigma else None
        return CommitteeResult(
            energies=energies,
            forces=-slopes.mean(0),
            member_forces=-slopes if member_forces else None,
            atomic_energies=networks + self._reference,
            beyond_training=beyond_range(
                model.basis.species, self._kinds, raw, model.feature_min, model.feature_max
            )
            if look
            else np.zeros(len(raw)),
            strain_gradient=strains.mean(0) if strain else None,
            energy_sigma=None if deviation is None else float(deviation[0]),
        )

    def _set_species(self, species: tuple[str, ...]) -> None:
        if species != self._species:
            norm = self.model.normalisation
            self._kinds = self.model.basis.species_index(species)
            self._reference = np.array([norm.atomic_energies[s] + norm.energy_shift for s in species])
            self._reference_energy = float(self._reference.sum())
            self._species = species
