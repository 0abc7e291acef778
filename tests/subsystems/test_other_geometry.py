"""Forces of other structures are told in files of eight, and right ones never."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.subsystems.label_checks.checks import check_forces, check_net_force
from aenet_gpr_cli.subsystems.label_checks.other_geometry import (
    forces_of_other_frames,
    forces_that_tell_nothing,
)

from .test_checks import trimer

KINDS = {"crystal": lambda: bulk("Cu", cubic=True) * (2, 1, 1), "molecule": lambda: molecule("CH3CH2OH")}


def rattled(kind: str, amplitude: float, seed: int = 0, n: int = 8) -> StructureSet:
    frames = []
    for i in range(n):
        atoms = KINDS[kind]()
        atoms.rattle(amplitude, seed=n * seed + i)
        atoms.calc = EMT()
        frames.append(atoms)
    first = frames[0]
    return StructureSet(
        tuple(first.symbols),
        np.array([a.positions for a in frames]),
        np.array([a.cell.array for a in frames]) if first.pbc.any() else None,
        tuple(map(bool, first.pbc)),
        np.array([a.get_potential_energy() for a in frames]),
        np.array([a.get_forces() for a in frames]),
        names=tuple(f"s#{i}" for i in range(n)),
    )


@pytest.mark.parametrize("amplitude", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("kind", KINDS)
def test_forces_one_frame_off_are_told_with_the_frames(kind, amplitude):
    right = rattled(kind, amplitude)
    assert forces_of_other_frames(right) is None
    for step, said in ((1, "of the frame before: those of s#1 fit s#0"), (-1, "after: those of s#0 fit s#1")):
        wrong = replace(right, forces=np.roll(right.forces, step, axis=0))
        assert said in str(forces_of_other_frames(wrong))
    assert forces_of_other_frames(right.select(np.arange(4))) is None


@pytest.mark.parametrize("kind", KINDS)
def test_forces_of_structures_at_random_or_of_other_atoms_are_said_to_be_undecided(kind):
    right = rattled(kind, 0.1)
    assert forces_that_tell_nothing(right) is None
    for wrong in (right.forces[[3, 0, 5, 1, 7, 2, 4, 6]], right.forces[:, ::-1]):
        set_of = replace(right, forces=wrong)
        assert check_forces(set_of).verdict == "undecided"
        assert "which cannot be decided here" in str(forces_that_tell_nothing(set_of))
        assert forces_of_other_frames(set_of) is None
    if kind == "molecule":
        other = replace(right, forces=right.forces[:, ::-1])
        assert "forces of other structures or of atoms in another order" in str(check_net_force(other))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spread", [0.02, 0.1, 0.2, 0.3])
def test_right_forces_are_never_taken_for_those_of_another_frame(spread, seed):
    for right in (
        trimer(spread, seed=seed),
        rattled("crystal", spread, seed),
        rattled("molecule", spread, seed),
    ):
        assert forces_of_other_frames(right) is None
        noisy = np.random.default_rng(seed).normal(scale=0.005, size=len(right))
        assert forces_of_other_frames(replace(right, energies=right.energies + noisy)) is None


def test_atoms_that_have_changed_places_say_nothing():
    """As in dynamics with diffusion: the way between such structures is far from straight."""
    right = rattled("crystal", 0.05, n=12)
    positions, forces = right.positions.copy(), right.forces.copy()
    for k in range(12):
        order = np.roll(np.arange(right.n_atoms), k % 4)
        positions[k], forces[k] = positions[k][order], forces[k][order]
    moved = replace(right, positions=positions, forces=forces)
    assert forces_that_tell_nothing(moved) is None
    assert forces_of_other_frames(moved) is None
