"""Make a set of one small molecule, which vibrates and turns its hydroxyl: ethanol, GFN2-xTB at 500 K.

Run as ``python example_data/make_ethanol_sets.py [--seed N] [--output FOLDER]``; needs the extra ``label``
(tblite). Writes ``train.xyz`` (125) and ``test.xyz`` (375): extended XYZ, energy (eV), forces (eV/Å). Frames
of one run of Langevin dynamics, 20 fs apart, are divided at random, so the test is of what the run covers.
Two minutes of one core. Owns the sampling: a set on which peers for single molecules can be compared.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.io import write
from ase.md.langevin import Langevin
from make_example_data import xtb
from make_meeting_sets import labelled

SEED = 31337
METHOD = "GFN2-xTB"
TEMPERATURE = 500.0  # K
STEP = 0.5  # fs
SETTLING = 1000  # steps
INTERVAL = 40  # steps between frames


def make(seed: int, count: int) -> list[Atoms]:
    """Return so many labelled frames, in random order."""
    rng = np.random.default_rng(seed)
    atoms = molecule("CH3CH2OH")
    atoms.calc = xtb(METHOD)
    speeds = np.sqrt(units.kB * TEMPERATURE / atoms.get_masses())[:, None]
    atoms.set_velocities(speeds * rng.normal(size=(len(atoms), 3)))
    run = Langevin(
        atoms, STEP * units.fs, temperature_K=TEMPERATURE, friction=0.02 / units.fs, fixcm=False, rng=rng
    )
    run.run(SETTLING)
    frames = []
    for _ in range(count):
        run.run(INTERVAL)
        frames.append(labelled(Atoms(atoms.symbols, np.round(atoms.positions, 8))))
    return [frames[k] for k in rng.permutation(count)]


def main() -> None:
    """Make both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--train", type=int, default=125)
    parser.add_argument("--test", type=int, default=375)
    parser.add_argument("--output", type=Path, default=Path())
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    frames = make(options.seed, options.train + options.test)
    for part, structures in {"train": frames[: options.train], "test": frames[options.train :]}.items():
        write(options.output / f"{part}.xyz", structures, format="extxyz")
        energies = np.array([s.get_potential_energy() for s in structures])
        print(f"{part}: {len(structures)}, energies spread by {energies.std():.3f} eV")


if __name__ == "__main__":
    main()
