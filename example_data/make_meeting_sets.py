"""Make molecules apart and molecules that meet: methanol and water, GFN2-xTB.

Run as ``python example_data/make_meeting_sets.py [--seed N] [--output FOLDER]``; needs the extra ``label``
(tblite). Writes ``meeting_train.xyz``, ``meeting_test.xyz`` (the same: atoms of the two molecules are 3.5 to
6 Å apart at the closest) and ``meeting_close.xyz`` (1.7 to 2.8 Å: bonded by hydrogen, or pushed together):
extended XYZ, energy (eV), forces (eV/Å). Both molecules vibrate, each frame taken once, and are turned at
random; the second comes along a random direction until the closest two atoms are as far apart as drawn.
Owns the sampling: is σ of what learned from molecules apart right where they meet?
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.md.langevin import Langevin
from make_example_data import xtb
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

SEED = 20260712
DECIMALS = 8  # of positions, before labelling
METHOD = "GFN2-xTB"
MOLECULES = ("CH3OH", "H2O")
TEMPERATURE = 400.0  # K
STEP = 0.5  # fs
SETTLING = 1000  # steps
INTERVAL = 40  # steps between frames
PARTS = {"train": (3.5, 6.0), "test": (3.5, 6.0), "close": (1.7, 2.8)}  # Å, the closest two atoms


def vibrating(name: str, count: int, temperature: float, rng: np.random.Generator) -> list[Atoms]:
    """Return frames of one molecule along Langevin dynamics at a temperature, in K, in random order."""
    atoms = molecule(name)
    atoms.calc = xtb(METHOD)
    speeds = np.sqrt(units.kB * temperature / atoms.get_masses())[:, None]
    atoms.set_velocities(speeds * rng.normal(size=(len(atoms), 3)))
    run = Langevin(
        atoms, STEP * units.fs, temperature_K=temperature, friction=0.02 / units.fs, fixcm=False, rng=rng
    )
    run.run(SETTLING)
    made = []
    for _ in range(count):
        run.run(INTERVAL)
        made.append(Atoms(atoms.symbols, atoms.positions))
    return [made[k] for k in rng.permutation(count)]


def centred(molecule: Atoms) -> Atoms:
    """Return the molecule with its centre of mass at the origin."""
    return Atoms(molecule.symbols, molecule.positions - molecule.get_center_of_mass())


def met(first: Atoms, second: Atoms, closest: float, rng: np.random.Generator) -> Atoms:
    """Return both, turned at random, the second where its atoms, from outside, first come so close, in Å."""
    one, other = (Rotation.random(random_state=rng).apply(a.positions) for a in (first, second))
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    shifted = other + first_contact(one, other, direction, closest) * direction
    return Atoms([*first.symbols, *second.symbols], np.round([*one, *shifted], DECIMALS))


def first_contact(
    one: NDArray[np.float64], other: NDArray[np.float64], direction: NDArray[np.float64], closest: float
) -> float:
    """Return how far along the direction the other is, coming from outside, when first as close, Å."""
    between = other[:, None] - one
    along = between @ direction
    inside = along**2 - (between**2).sum(axis=-1) + closest**2
    return float((np.sqrt(inside[inside >= 0.0]) - along[inside >= 0.0]).max())


def labelled(atoms: Atoms) -> Atoms:
    """Return the structure with energy and forces."""
    atoms.calc = xtb(METHOD)
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return atoms


def make(seed: int, count: int) -> dict[str, list[Atoms]]:
    """Return so many structures of each part."""
    rng = np.random.default_rng(seed)
    first, second = (
        map(centred, vibrating(name, count * len(PARTS), TEMPERATURE, rng)) for name in MOLECULES
    )
    return {
        part: [labelled(met(next(first), next(second), rng.uniform(*range_), rng)) for _ in range(count)]
        for part, range_ in PARTS.items()
    }


def main() -> None:
    """Make the three sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--count", type=int, default=150, help="structures of each set")
    parser.add_argument("--output", type=Path, default=Path())
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for part, structures in make(options.seed, options.count).items():
        path = options.output / f"meeting_{part}.xyz"
        write(path, structures, format="extxyz")
        energies = np.array([s.get_potential_energy() for s in structures])
        norms = np.linalg.norm([s.get_forces() for s in structures], axis=-1)
        print(
            f"{path}: {len(structures)}, energies {energies.min():.3f} to {energies.max():.3f} eV, "
            f"‖F‖ {norms.mean():.2f}, at most {norms.max():.2f} eV/Å"
        )


if __name__ == "__main__":
    main()
