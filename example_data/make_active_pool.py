"""Make pools for active learning: EC dimers from cheap dynamics (GFN1-xTB), labelled with GFN2-xTB.

Run as ``python example_data/make_active_pool.py [exploratory|rare|long] [--output FOLDER]``; needs the extra
``label`` (tblite). ``exploratory``: a long run at 300 K in one minimum, and one frame in a hundred each of a
hot run, of two other minima and of molecules that come from farther apart. ``rare``: a long cold run and a
few frames of a hot one. ``long``: one run at 400 K, 5 fs a frame. Test structures are as many of each kind,
from other runs. Owns kinds, lengths and seeds of the runs; geometry, labelling and archives are those of
make_example_data.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.optimize import BFGS
from make_example_data import FOLDER, ethylene_carbonate, labelled, relaxed_ec_dimer, write_archive, xtb
from tblite.ase import TBLite

from aenet_gpr_cli.structures import Structure

SEED = 20250159
DECIMALS = 6  # of positions, energies and forces
CHEAP = "GFN1-xTB"  # of the dynamics
REFERENCE = "GFN2-xTB"  # of the labels
EQUILIBRATION = 1000  # fs
SHORT = 200  # fs, before the short runs
TRIED = 12  # orientations of the second molecule that are relaxed in search of other minima


@dataclass(frozen=True)
class Run:
    """Frames of one kind: how many, how far apart in time (fs), temperature (K), and where they start."""

    kind: str
    frames: int
    interval: int
    temperature: float
    start: str


SETS: dict[str, dict[str, tuple[Run, ...]]] = {
    "exploratory": {
        "pool_test": (
            Run("long", 24, 100, 300.0, "stacked"),
            Run("hot", 24, 50, 600.0, "stacked"),
            Run("turned", 24, 50, 300.0, "turned"),
            Run("shifted", 24, 50, 300.0, "shifted"),
            Run("apart", 24, 40, 300.0, "apart"),
        ),
        "pool": (
            Run("long", 1200, 10, 300.0, "stacked"),
            Run("hot", 12, 40, 600.0, "stacked"),
            Run("turned", 12, 40, 300.0, "turned"),
            Run("shifted", 12, 40, 300.0, "shifted"),
            Run("apart", 12, 40, 300.0, "apart"),
        ),
    },
    "rare": {
        "pool_test": (Run("cold", 50, 60, 50.0, "stacked"), Run("hot", 50, 60, 500.0, "stacked")),
        "pool": (Run("cold", 1000, 10, 50.0, "stacked"), Run("hot", 40, 40, 500.0, "stacked")),
    },
    "long": {
        "pool_test": (Run("long", 60, 100, 400.0, "stacked"),),
        "pool": (Run("long", 2000, 5, 400.0, "stacked"),),
    },
}
PER_RUN = {"apart": 4}  # frames of the short runs
CLOSEST = 1.8  # Å, between atoms of two molecules to begin with: closer ones may have no converged charges


def starts_of(name: str) -> dict[str, Atoms]:
    """Return the stacked dimer and, where asked for, the two lowest other minima found from random ones."""
    stacked = relaxed(relaxed_ec_dimer())
    if name != "exploratory":
        return {"stacked": stacked}
    rng = np.random.default_rng([SEED, 0])
    found = []
    for _ in range(TRIED):
        atoms = relaxed(oriented(rng, 4.5))
        found.append((atoms.get_potential_energy(), atoms))
    found.sort(key=lambda item: item[0])
    kept = [stacked]
    for _, atoms in found:
        if all(differ(atoms, other) for other in kept):
            kept.append(atoms)
    for atoms in kept:
        print(f"minimum at {atoms.get_potential_energy() - stacked.get_potential_energy():.3f} eV")
    return dict(zip(("stacked", "turned", "shifted"), kept, strict=False))


def relaxed(atoms: Atoms) -> Atoms:
    """Return the structure relaxed with the cheap method."""
    atoms = atoms.copy()
    atoms.calc = TBLite(method=CHEAP, verbosity=0)
    BFGS(atoms, logfile=None).run(fmax=0.02, steps=300)
    return atoms


def oriented(rng: np.random.Generator, distance: float) -> Atoms:
    """Return two molecules, the second turned anyhow, their centres ``distance`` Å apart."""
    while True:
        first, second = ethylene_carbonate(), ethylene_carbonate()
        for atoms in (first, second):
            atoms.translate(-atoms.get_center_of_mass())
        second.rotate(rng.uniform(0, 360), rng.normal(size=3), center="COM")
        direction = rng.normal(size=3)
        second.translate(distance * direction / np.linalg.norm(direction))
        both = first + second
        if both.get_all_distances()[: len(first), len(first) :].min() > CLOSEST:
            return both


def differ(one: Atoms, other: Atoms) -> bool:
    """Return whether sorted distances between the molecules differ by more than 0.1 Å on average."""
    profiles = [np.sort(a.get_all_distances()[:10, 10:].ravel()) for a in (one, other)]
    return bool(np.abs(profiles[0] - profiles[1]).mean() > 0.1)


def dynamics(atoms: Atoms, wait: int, run: Run, rng: np.random.Generator) -> Iterator[Atoms]:
    """Yield frames of Langevin dynamics with the cheap method, 1 fs a step."""
    temperature = run.temperature
    atoms = atoms.copy()
    atoms.calc = TBLite(method=CHEAP, verbosity=0)
    speeds = np.sqrt(units.kB * temperature / atoms.get_masses())[:, None]
    momenta = atoms.get_masses()[:, None] * speeds * rng.normal(size=(len(atoms), 3))
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    settings: dict[str, Any] = {"temperature_K": temperature, "friction": 0.01 / units.fs, "fixcm": False}
    md = Langevin(atoms, units.fs, rng=rng, **settings)
    md.run(wait)
    while True:
        md.run(run.interval)
        yield atoms


def frames(run: Run, starts: dict[str, Atoms], seed: int) -> Iterator[Atoms]:
    """Yield the frames of a run; short runs begin anew after some frames."""
    rng = np.random.default_rng([SEED, seed])
    length = PER_RUN.get(run.kind, run.frames)
    for _ in range(run.frames // length):
        apart = run.start == "apart"
        start = relaxed_inside(oriented(rng, rng.uniform(5.0, 8.0))) if apart else starts[run.start]
        wait = SHORT if run.kind in PER_RUN else EQUILIBRATION
        source = dynamics(start, wait, run, rng)
        yield from (next(source) for _ in range(length))


def relaxed_inside(atoms: Atoms) -> Atoms:
    """Relax a few steps: bond lengths, not the distance of the molecules."""
    atoms = atoms.copy()
    atoms.calc = TBLite(method=CHEAP, verbosity=0)
    BFGS(atoms, logfile=None).run(fmax=0.1, steps=20)
    return atoms


def label(run: Run, part: str, starts: dict[str, Atoms], seed: int) -> list[Structure]:
    """Return the labelled frames of a run."""
    structures = []
    for i, atoms in enumerate(frames(run, starts, seed)):
        bare = Atoms(atoms.symbols, atoms.positions - atoms.get_center_of_mass())
        structures.append(labelled(bare, xtb(REFERENCE), f"{part}_{run.kind}_{i:04d}.xsf", DECIMALS))
    energies = np.array([s.energy for s in structures])
    norms = np.linalg.norm([s.forces for s in structures], axis=2)
    print(
        f"{part} {run.kind}: {len(structures)}, energies {energies.min():.3f} to {energies.max():.3f} eV, "
        f"‖F‖ {norms.mean():.2f} eV/Å",
        flush=True,
    )
    return structures


def main() -> None:
    """Make the pool and the test structures named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", nargs="?", default="exploratory", choices=list(SETS))
    parser.add_argument("--output", type=Path, default=FOLDER / "ec-dimer")
    options = parser.parse_args()
    starts = starts_of(options.name)
    for number, (part, runs) in enumerate(SETS[options.name].items(), 1):
        made = [s for n, run in enumerate(runs) for s in label(run, part, starts, 100 * number + n)]
        write_archive(made, options.output / f"{part}.zip")


if __name__ == "__main__":
    main()
