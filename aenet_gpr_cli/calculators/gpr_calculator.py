"""ASE calculator of the Gaussian process of one subset.

    from aenet_gpr_cli.calculators.gpr_calculator import GPRCalculator
    atoms.calc = GPRCalculator.from_file("gpr.h5")
    atoms.get_forces(), atoms.calc.get_property("energy_std", atoms)

The process knows one subset: the same atoms in the same order and, where periodic, the same cell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from ase import Atoms
from ase.calculators.calculator import all_changes

from aenet_gpr_cli.calculators.calculator_base import QuickCalculator, box_of
from aenet_gpr_cli.config.keys import SIGMA_MAX_ROWS
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.gpr.subset_lookup import find_surrogate
from aenet_gpr_cli.gpr.surrogate import Surrogate
from aenet_gpr_cli.io.artefacts.stored_gps import load_gps
from aenet_gpr_cli.structures import FloatArray, Structure, StructureSet
from aenet_gpr_cli.subsystems.geometry import unwrap

SigmaMethod = Literal["bound", "exact", "none"]
SIGMA_METHODS = ("bound", "exact", "none")


class GPRCalculator(QuickCalculator):
    """Energies, forces and σ of a Gaussian process.

    Results: ``energy`` and ``free_energy`` (eV) and ``forces`` (eV/Å), the posterior mean; ``energy_std``
    (eV), the posterior standard deviation of the energy or its upper bound, computed only when asked for.

    Parameters
    ----------
    surrogates : mapping of str to Surrogate
        By subset; the one that fits the atoms is used.
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

    implemented_properties = ["energy", "free_energy", "forces", "energy_std"]  # noqa: RUF012 (ASE's)

    def __init__(
        self,
        surrogates: Mapping[str, Surrogate],
        subset: str | None = None,
        sigma: SigmaMethod = "bound",
        max_rows: int = SIGMA_MAX_ROWS,
    ) -> None:
        super().__init__()
        if sigma not in SIGMA_METHODS:
            raise ConfigError(f"sigma: expected {', '.join(SIGMA_METHODS)}, got {sigma!r}")
        self.surrogates = dict(surrogates)
        self.subset = subset
        self._sigma = sigma
        self._max_rows = max_rows
        self._sigma_of: dict[str, Callable[[FloatArray], FloatArray]] = {}

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
        """Fill ``results``; called by ASE.

        Raises
        ------
        InputError
            If no process fits the atoms.
        """
        super().calculate(atoms, properties, system_changes)
        cell, pbc = box_of(self.atoms)
        structure = Structure(tuple(self.atoms.symbols), self.atoms.positions, cell, pbc, name="atoms")
        name = find_surrogate(self.surrogates, structure, self.subset)
        surrogate = self.surrogates[name]
        # the images of the training structures: a Cartesian descriptor depends on them
        positions = unwrap(
            StructureSet.from_structures([structure]), surrogate.geometry.reference
        ).structures.positions
        energies, forces = surrogate.energies_and_forces(positions)
        energy = float(energies[0])
        self.results |= {"energy": energy, "free_energy": energy, "forces": forces[0]}
        if "energy_std" in properties and self._sigma != "none":
            self.results["energy_std"] = float(self._sigma_function(name)(positions)[0])

    def _sigma_function(self, name: str) -> Callable[[FloatArray], FloatArray]:
        """Return the function that gives σ, made once per subset: it may contain a factorisation."""
        if name not in self._sigma_of:
            function = self.surrogates[name].sigma(self._sigma, self._max_rows)
            assert function is not None  # the method is not "none"
            self._sigma_of[name] = function
        return self._sigma_of[name]
