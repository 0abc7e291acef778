"""Relaxing atoms and cell with the local process: ASE's filter finds where its stress is none."""

import numpy as np
from ase import Atoms

from aenet_gpr_cli.calculators.elasticity import relax
from aenet_gpr_cli.calculators.gpr_calculator import GPRCalculator
from aenet_gpr_cli.gpr.local.local_fit import fit_local
from tests.gpr.local.test_local_process import alloy
from tests.gpr.local.test_virials import SMALL, quiet


def test_relaxing_cell_and_atoms_ends_without_forces_and_stress():
    sets = alloy(12, seed=0)
    calculator = GPRCalculator({"local": fit_local(sets, SMALL, 0, quiet)[0]}, sigma="none")
    atoms = Atoms(
        sets[0].species, sets[0].positions[0], cell=sets[0].cells[0], pbc=True, calculator=calculator
    )
    before, stress = atoms.get_potential_energy(), np.abs(atoms.get_stress()).max()
    relax(atoms, 0.01, 200)
    assert atoms.get_potential_energy() < before - 0.01
    assert np.abs(atoms.get_forces()).max() < 0.01
    assert np.abs(atoms.get_stress()).max() < 0.05 * stress
