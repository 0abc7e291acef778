"""Make a set of one small molecule, which vibrates and turns its hydroxyl: ethanol, GFN2-xTB at 500 K.

Run as ``python example_data/make_ethanol_sets.py [--seed N] [--output FOLDER]``; needs the extra ``label``
(tblite). Writes ``train.xyz`` (125) and ``test.xyz`` (375): extended XYZ, energy (eV), forces (eV/Å). Frames
of one run of Langevin dynamics, 20 fs apart, are divided at random, so the test is of what the run covers.
Two minutes of one core. The run is that of `make_meeting_sets`. A set on which peers for single molecules
can be compared.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write
from make_meeting_sets import DECIMALS, labelled, vibrating

SEED = 31337
TEMPERATURE = 500.0  # K


def make(seed: int, count: int) -> list[Atoms]:
    """Return so many labelled frames, in random order."""
    frames = vibrating("CH3CH2OH", count, TEMPERATURE, np.random.default_rng(seed))
    return [labelled(Atoms(a.symbols, np.round(a.positions, DECIMALS))) for a in frames]


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
