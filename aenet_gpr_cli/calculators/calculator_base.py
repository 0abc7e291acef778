"""What the ASE calculators share: noticing that something has changed, and the box in this project's form."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from aenet_gpr_cli.structures import FloatArray, Pbc


class QuickCalculator(Calculator):
    """A calculator of energies and forces that depend on positions, elements and box only.

    ASE compares six properties with tolerances, three times a step, which takes longer than a small network.
    """

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """Return what has changed since the last calculation; called by ASE.

        Parameters
        ----------
        tol : float
            Ignored: any change counts.
        """
        old = self.atoms
        if old is None or len(old) != len(atoms):
            return list(all_changes)
        pairs = (
            ("positions", old.positions, atoms.positions),
            ("numbers", old.numbers, atoms.numbers),
            ("cell", old.cell.array, atoms.cell.array),
            ("pbc", old.pbc, atoms.pbc),
        )
        return [name for name, before, now in pairs if not np.array_equal(before, now)]


def box_of(atoms: Atoms) -> tuple[FloatArray | None, Pbc]:
    """Return cell and periodicity in this project's form.

    Returns
    -------
    cell : ndarray of shape (3, 3), Å, or None
        None for an isolated structure.
    """
    a, b, c = (bool(flag) for flag in atoms.pbc)
    return (np.array(atoms.cell.array, float) if a or b or c else None), (a, b, c)
