"""ASE calculator of a committee of neural-network potentials.

from ase.io import read
from aenet_gpr_cli.calculators.ann_calculator import ANNCalculator
atoms = read("start.xyz")
atoms.calc = ANNCalculator.from_file("ann.h5")
atoms.get_potential_energy(), atoms.get_forces(), atoms.calc.get_property("energy_std", atoms)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.ann.potential.extrapolation import WARN_BEYOND
from aenet_gpr_cli.calculators.calculator_base import QuickCalculator, box_of
from aenet_gpr_cli.calculators.committee import (
    DEFAULT_SKIN,
    CommitteeEvaluator,
    CommitteeResult,
    Lookout,
)
from aenet_gpr_cli.io.artefacts.stored_anns import load_ann
from aenet_gpr_cli.structures import FloatArray

# what needs the forces of every member, which are computed only when asked for
_PER_MEMBER = ("forces_std", "committee_forces")


class ANNCalculator(QuickCalculator):
    """Energies and forces of a committee: its mean, its σ, and every member's.

    Results: ``energy`` and ``free_energy`` (eV) and ``forces`` (eV/Å), the committee's mean; ``energies``
    (atomic, eV); ``energy_std`` (eV), σ of the energy as the potential calibrated it (see `network_sigma`; 0
    for a single network without); ``forces_std`` ((n_atoms, 3), eV/Å), the standard deviation over the
    members (n - 1; 0 for a single one); ``committee_energies`` (n_members,) and
    ``committee_forces`` (n_members, n_atoms, 3); ``beyond_training`` (n_atoms,), how far the environment of
    each atom lies outside the training data (0 inside, in units of the range of a feature); ``stress``
    (eV/Å³, six components in ASE's order and sign) for structures with three lattice vectors.

    Warns once when an atom is far outside the training data: there a network may say anything; and once when
    the training data do not determine the energy of a composition, see `compositions`.

    Parameters
    ----------
    members : sequence of int, optional
        Use these only, counted from 0; ``[k]`` for a single one.
    skin : float, Å
        Neighbour lists reach this much beyond the cutoff, and are kept until an atom has moved by half of it.
        Changes the time, not the results.
    warn_beyond : float, dimensionless
        Warn when ``beyond_training`` exceeds this; infinity never warns.
    sigma : bool
        Whether every calculation gives ``energy_std``, which takes n_weights² multiplications a member; else
        only one that asks for it does.

    Raises
    ------
    InputError
        If there is no such member.
    """

    implemented_properties = [  # noqa: RUF012 (ASE's)
        *("energy", "free_energy", "forces", "stress", "energies", "energy_std", "committee_energies"),
        *("beyond_training", *_PER_MEMBER),
    ]

    def __init__(
        self,
        model: ANNModel,
        members: Sequence[int] | None = None,
        skin: float = DEFAULT_SKIN,
        warn_beyond: float = WARN_BEYOND,
        sigma: bool = True,
    ) -> None:
        super().__init__()
        self._sigma = sigma
        self.evaluator = CommitteeEvaluator(model.select(members), skin)
        self._lookout = Lookout(warn_beyond, model.compositions)

    @classmethod
    def from_file(
        cls,
        path: Path | str,
        members: Sequence[int] | None = None,
        skin: float = DEFAULT_SKIN,
        warn_beyond: float = WARN_BEYOND,
        sigma: bool = True,
    ) -> ANNCalculator:
        """Return the calculator of a stored committee.

        Parameters
        ----------
        path : Path or str
            Output of `train-ann` or `import`.
        members, skin, warn_beyond, sigma
            As for the class.

        Raises
        ------
        InputError
            If the file is something else, or has no such member.
        """
        return cls(load_ann(Path(path)), members, skin, warn_beyond, sigma)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Fill ``results``; called by ASE.

        Raises
        ------
        InputError
            If the potential does not know a species, or a number is not finite.
        """
        super().calculate(atoms, properties, system_changes)
        cell, pbc = box_of(self.atoms)
        species = tuple(self.atoms.symbols)
        per_member = any(name in properties for name in _PER_MEMBER)
        # ASE's stress needs a volume
        strain = "stress" in properties and self.atoms.cell.rank == 3 and cell is not None
        sigma = self._sigma or "energy_std" in properties
        found = self.evaluator(species, self.atoms.positions, cell, pbc, per_member, strain, sigma=sigma)
        self.results = _results(found, self.atoms.cell.volume)
        if sigma:
            self.results["energy_std"] = found.energy_sigma or 0.0
        self._lookout.look(found, species)


def _results(found: CommitteeResult, volume: float) -> dict[str, Any]:
    mean = float(found.energies.mean())
    results: dict[str, Any] = {
        "energy": mean,
        "free_energy": mean,
        "forces": found.forces,
        "energies": found.atomic_energies.mean(0),
        "committee_energies": found.energies,
        "beyond_training": found.beyond_training,
    }
    if found.strain_gradient is not None:
        results["stress"] = full_3x3_to_voigt_6_stress(found.strain_gradient) / volume
    if found.member_forces is not None:
        results |= {"forces_std": _std(found.member_forces), "committee_forces": found.member_forces}
    return results


def _std(values: FloatArray) -> FloatArray:
    """Return the standard deviation over the members as `evaluate` reports it."""
    return values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1:])
