"""Forces that a constraint has set to zero are told, those that are zero by chance or throughout are not."""

import numpy as np
import pytest
from ase.build import fcc111
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.subsystems.label_checks.constrained import constrained_forces


@pytest.fixture
def slabs():
    """Return five slabs whose lower layer is fixed, with all forces or with those of the constraint."""

    def make(constrained):
        rng, positions, forces = np.random.default_rng(4), [], []
        for _ in range(5):
            slab = fcc111("Cu", (2, 2, 2), vacuum=6.0)
            slab.positions[4:] += rng.normal(0.0, 0.1, (4, 3))
            slab.set_constraint(FixAtoms(range(4)))
            slab.calc = EMT()
            positions.append(slab.positions)
            forces.append(slab.get_forces(apply_constraint=constrained))
        cells = np.tile(slab.cell.array, (5, 1, 1))
        names = tuple(f"slab {i}" for i in range(5))
        periodic = (True, True, False)
        return StructureSet(
            ("Cu",) * 8, np.array(positions), cells, periodic, names=names, forces=np.array(forces)
        )

    return make


def test_forces_of_fixed_atoms_are_told_where_they_are_zero(slabs):
    said = constrained_forces(slabs(True))
    assert said is not None
    assert "forces on 4 of 8 atoms are exactly zero in all 5 structures" in said
    assert "atom 1 (Cu)" in said
    assert constrained_forces(slabs(False)) is None
