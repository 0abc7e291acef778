"""ASE calculator of the Gaussian process of one subset.

    from aenet_gpr_cli.calculators.gpr_calculator import GPRCalculator
    atoms.calc = GPRCalculator.from_file("gpr.h5")
    atoms.get_forces(), atoms.calc.get_property("energy_std", atoms)

The process knows one subset: the same atoms in the same order and, where periodic, the same cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from aenet_gpr_cli.calculators.calculator_base import QuickCalculator, box_of
from aenet_gpr_cli.config.keys import SIGMA_MAX_ROWS
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.gpr.local.local_model import LocalModel
from aenet_gpr_cli.gpr.process import Process, SigmaOf
from aenet_gpr_cli.gpr.regression.structure_distances import OUTSIDE
from aenet_gpr_cli.gpr.subset_lookup import find_process
from aenet_gpr_cli.io.artefacts.stored_gps import load_gps
from aenet_gpr_cli.structures import FloatArray, Structure, StructureSet

SigmaMethod = Literal["bound", "exact", "none"]
SIGMA_METHODS = ("bound", "exact", "none")


class GPRCalculator(QuickCalculator):
    """Energies, forces and σ of a Gaussian process.

    Results: ``energy`` and ``free_energy`` (eV) and ``forces`` (eV/Å), the posterior mean with the repulsion
    of nuclei where the process has one (`fit_gpr.baseline`); ``energy_std`` (eV), the posterior standard
    deviation of the energy or its upper bound; ``stress`` (eV/Å³), of the local process in periodic cells
    with a volume, is computed only when asked for: 1/V dE/dε with the atoms moved along, so that along the
    vacuum of a slab it is the pull of its own forces.

    Parameters
    ----------
    processes : mapping of str to Process
        By subset, as `load_gps` returns them; the one that fits the atoms is used.
    subset : str, optional
        Use this one only.
    sigma : {"bound", "exact", "none"}
        ``exact`` factorises the whole covariance matrix once, the first time it is needed.
    max_rows : int
        Training observations behind each bound.

    Raises
    ------
    ConfigError
        If the method is unknown.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress", "energy_std"]  # noqa: RUF012 (ASE's)

    def __init__(
        self,
        processes: Mapping[str, Process],
        subset: str | None = None,
        sigma: SigmaMethod = "bound",
        max_rows: int = SIGMA_MAX_ROWS,
    ) -> None:
        super().__init__()
        if sigma not in SIGMA_METHODS:
            raise ConfigError(f"sigma: expected {', '.join(SIGMA_METHODS)}, got {sigma!r}")
        self.processes = dict(processes)
        self.subset = subset
        self._sigma = sigma
        self._max_rows = max_rows
        self._sigma_of: dict[str, SigmaOf] = {}

    @classmethod
    def from_file(
        cls,
        path: Path | str,
        subset: str | None = None,
        sigma: SigmaMethod = "bound",
        max_rows: int = SIGMA_MAX_ROWS,
    ) -> GPRCalculator:
        """Return the calculator of stored processes.

        Parameters
        ----------
        path : Path or str
            Output of `fit-gpr`.
        sigma : {"bound", "exact", "none"}

        Raises
        ------
        InputError
            If the file is something else.
        """
        return cls(load_gps(Path(path)), subset, sigma, max_rows)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Fill ``results``, σ with them; called by ASE.

        Raises
        ------
        InputError
            If no process fits the atoms.
        """
        self.evaluate(atoms, (*properties, "energy_std"), system_changes)

    def evaluate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Do the same without σ where it is not among the properties: it may take longer than the forces."""
        super().calculate(atoms, properties, system_changes)
        name, prepared = self._prepared(self.atoms)
        process = self.processes[name]
        energies, forces = process.energies_and_forces(prepared)
        energy = float(energies[0])
        self.results |= {"energy": energy, "free_energy": energy, "forces": forces[0]}
        if "energy_std" in properties and self.has_sigma:
            self.results["energy_std"] = float(self._sigma_function(name)(prepared)[0])
        with_volume = prepared.cells is not None and self.atoms.cell.rank == 3
        if "stress" in properties and isinstance(process, LocalModel) and with_volume:
            self.results["stress"] = full_3x3_to_voigt_6_stress(process.stresses(prepared)[0])

    def domain_distance(self, atoms: Atoms) -> float:
        """Return the distance to the training data, dimensionless: above 1 is outside.

        Raises
        ------
        InputError
            If no process fits the atoms.
        """
        name, prepared = self._prepared(atoms)
        return float(self.processes[name].domain(prepared)[0])

    def beyond_training(self, atoms: Atoms) -> FloatArray | None:
        """Return how far each atom is outside the training data, (n_atoms,); None of a full process.

        Its `LocalModel.atom_distances` less 1, the largest in training; 0 inside.

        Raises
        ------
        InputError
            If no process fits the atoms.
        """
        name, prepared = self._prepared(atoms)
        process = self.processes[name]
        if not isinstance(process, LocalModel):
            return None
        return np.maximum(process.atom_distances(prepared)[0] - OUTSIDE, 0.0)

    def process_of(self, atoms: Atoms) -> Process:
        """Return the process that answers for these atoms.

        Raises
        ------
        InputError
            If no process fits them.
        """
        return self.processes[self._prepared(atoms)[0]]

    def _prepared(self, atoms: Atoms) -> tuple[str, StructureSet]:
        """Return the process of atoms, and these as it takes them."""
        cell, pbc = box_of(atoms)
        structure = Structure(tuple(atoms.symbols), atoms.positions, cell, pbc, name="atoms")
        name = find_process(self.processes, structure, self.subset)
        return name, self.processes[name].prepare(StructureSet.from_structures([structure]))

    @property
    def has_sigma(self) -> bool:
        """Whether σ can be asked for."""
        return self._sigma != "none"

    def _sigma_function(self, name: str) -> SigmaOf:
        """Return the function that gives σ, made once per subset: it may contain a factorisation."""
        if name not in self._sigma_of:
            function = self.processes[name].sigma(self._sigma, self._max_rows)
            assert function is not None  # the method is not "none"
            self._sigma_of[name] = function
        return self._sigma_of[name]
