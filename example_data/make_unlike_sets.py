"""Make data that ask for a local surrogate: no two structures of one cell or composition, and liquids.

Run as ``python example_data/make_unlike_sets.py alloy|oxide|melt|water [options]``. Writes ``NAME_train.xyz``
and ``NAME_test.xyz``: extended XYZ, energy (eV), forces (eV/Å), stress (eV/Å³, ASE's sign), ``config_type``.
Owns how each set is sampled; potentials are ASE's EMT and those of classical_potentials.py.

alloy : Cu, Pd and Au, 4 to 32 atoms on fcc, bcc and hcp lattices, strained and displaced; EMT.
oxide : (Mg, Ca, Sr)O, 8 to 48 atoms, rocksalt and its (100) slabs, likewise; Buckingham and charges of ±2.
melt  : 192 atoms of the eutectic of Ag and Cu along dynamics at 1300 K and 1 bar; EMT.
water : 64 flexible molecules, likewise at 330 K. The test frames of both are of another run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.build import bulk, make_supercell
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import IsotropicMTKNPT
from ase.neighborlist import neighbor_list
from classical_potentials import FlexibleWater, PairPotential, Radial, buckingham, coulomb

SEED = 20260101
DECIMALS = 8  # of positions and cells, before labelling
CLOSEST = 0.75  # of the nearest distance in the ideal lattice: closer pairs are drawn again
LARGEST_FORCE = 10.0  # eV/Å on an atom: more is drawn again

# Å, of the elements in fcc
METALS = {"Cu": 3.61, "Pd": 3.89, "Au": 4.08}
# Å, of the oxides in rocksalt
CATIONS = {"Mg": 4.21, "Ca": 4.81, "Sr": 5.16}
# A in eV, ρ in Å, C in eV Å⁶ (Lewis and Catlow, J. Phys. C 18, 1149 (1985))
BUCKINGHAM = {
    ("Mg", "O"): (1428.5, 0.2945, 0.0),
    ("Ca", "O"): (1090.4, 0.3437, 0.0),
    ("O", "Sr"): (959.1, 0.3721, 0.0),
    ("O", "O"): (22764.3, 0.1490, 27.88),
}
OXIDE_CUTOFF = 6.0  # Å
OXIDE_DAMPING = 0.25  # 1/Å

EUTECTIC = {"Ag": 115, "Cu": 77}  # atoms
MELT_TEMPERATURE = 1300.0  # K
MELT_STEP = 2.0  # fs
MELT_LENGTH = 4.05  # Å, of 4 atoms on fcc to begin with
MOLECULES = 64
TEMPERATURE = 330.0  # K
DENSITY = 0.997  # g/cm³ to begin with
TIME_STEP = 0.5  # fs
SETTLING = 1000.0  # fs, three times: with strong and weak friction, then at constant pressure
INTERVAL = 100.0  # fs between frames


def alloys(rng: np.random.Generator) -> Iterator[Atoms]:
    """Yield alloys of composition and cell drawn at random."""
    while True:
        lattice = str(rng.choice(["fcc", "bcc", "hcp"]))
        atoms = repeated(bulk("Cu", lattice, a=3.61 / 2**0.5 if lattice == "hcp" else 3.61), rng, 4, 32)
        symbols = rng.choice(list(METALS), len(atoms), p=rng.dirichlet(np.ones(len(METALS))))
        atoms.set_chemical_symbols(list(symbols))
        volume = float(np.mean([METALS[s] ** 3 / 4 for s in symbols]))
        scale_to(atoms, volume * len(atoms))
        distance = nearest(atoms)
        deform(atoms, rng, volume=0.05, shape=0.04, displacement=rng.choice([0.02, 0.08, 0.15]))
        yield tagged(atoms, lattice, distance)


def oxides(rng: np.random.Generator) -> Iterator[Atoms]:
    """Yield mixed oxides, bulk or slab, of composition and cell drawn at random."""
    while True:
        slab = rng.random() < 0.25
        atoms = repeated(bulk("MgO", "rocksalt", a=4.21, cubic=slab), rng, 8, 48)
        cations = atoms.numbers != 8
        symbols = np.where(cations, "Mg", "O")
        symbols[cations] = rng.choice(list(CATIONS), cations.sum(), p=rng.dirichlet(np.ones(len(CATIONS))))
        atoms.set_chemical_symbols(list(symbols))
        volume = float(np.mean([CATIONS[s] ** 3 / 8 for s in symbols[cations]]))
        scale_to(atoms, volume * len(atoms))
        distance = nearest(atoms)
        deform(atoms, rng, volume=0.05, shape=0.04, displacement=rng.choice([0.02, 0.08, 0.15]))
        if slab:  # a gap above the (100) planes
            height = atoms.cell.volume / np.linalg.norm(np.cross(atoms.cell[0], atoms.cell[1]))
            atoms.cell[2] *= 1 + rng.uniform(2.0, 8.0) / height
        yield tagged(atoms, "slab" if slab else "bulk", distance)


def repeated(unit: Atoms, rng: np.random.Generator, fewest: int, most: int) -> Atoms:
    """Return a supercell of a random number of cells, skewed or not."""
    while True:
        factors = rng.integers(1, 5, 3)
        matrix = np.diag(factors)
        matrix[np.tril_indices(3, -1)] = rng.integers(0, 2, 3)  # the first two vectors stay in one plane
        if fewest <= factors.prod() * len(unit) <= most:
            return make_supercell(unit, matrix)


def scale_to(atoms: Atoms, volume: float) -> None:
    """Scale cell and positions to a volume in Å³."""
    atoms.set_cell(atoms.cell.array * (volume / atoms.cell.volume) ** (1 / 3), scale_atoms=True)


def nearest(atoms: Atoms) -> float:
    """Return the shortest distance between any two atoms, images too, at most 3.5 Å."""
    found = neighbor_list("d", atoms, 3.5)
    return float(found.min()) if len(found) else 3.5


def deform(atoms: Atoms, rng: np.random.Generator, volume: float, shape: float, displacement: float) -> None:
    """Scale lengths by up to `volume`, add strains of up to `shape`, displace atoms by `displacement` Å."""
    strain = rng.uniform(-shape, shape, (3, 3))
    deformation = (1 + rng.uniform(-volume, volume)) * (np.eye(3) + (strain + strain.T) / 2)
    atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    atoms.positions += rng.normal(0.0, displacement, atoms.positions.shape)


def tagged(atoms: Atoms, kind: str, distance: float) -> Atoms:
    """Return the atoms with their kind and the distance below which no pair may come, Å."""
    atoms.info = {"config_type": kind, "closest": CLOSEST * distance}
    return atoms


def mixed_oxide() -> PairPotential:
    """Return the potential of the oxides."""
    charges = {**dict.fromkeys(CATIONS, 2), "O": -2}
    functions: dict[tuple[str, str], tuple[Radial, ...]] = {}
    for one in sorted(charges):
        for other in sorted(charges):
            if one <= other:
                terms = [coulomb(charges[one] * charges[other], OXIDE_DAMPING, OXIDE_CUTOFF)]
                if (one, other) in BUCKINGHAM:
                    terms.append(buckingham(*BUCKINGHAM[one, other], OXIDE_CUTOFF))
                functions[one, other] = tuple(terms)
    return PairPotential(functions, OXIDE_CUTOFF)


def unlike(source: Iterator[Atoms], calculator: Calculator, count: int) -> list[Atoms]:
    """Return labelled structures, no two of one composition."""
    made: dict[str, Atoms] = {}
    for atoms in source:
        formula = atoms.get_chemical_formula()
        closest = atoms.info.pop("closest")
        if formula in made or nearest(atoms) < closest:
            continue
        found = labelled(atoms, calculator)
        if np.linalg.norm(found.get_forces(), axis=1).max() < LARGEST_FORCE:
            made[formula] = found
        if len(made) == count:
            return list(made.values())
    raise AssertionError  # the source has no end


def labelled(atoms: Atoms, calculator: Calculator) -> Atoms:
    """Return a copy, rounded, with the calculator's energy, forces and stress."""
    bare = Atoms(
        atoms.get_chemical_symbols(),
        np.round(atoms.positions, DECIMALS),
        cell=np.round(atoms.cell.array, DECIMALS),
        pbc=True,
        info=atoms.info,
    )
    bare.calc = calculator
    energy, forces, stress = bare.get_potential_energy(), bare.get_forces(), bare.get_stress()
    bare.calc = SinglePointCalculator(bare, energy=energy, forces=forces, stress=stress)
    return bare


def frames(
    atoms: Atoms,
    calculator: Calculator,
    temperature: float,
    step: float,
    rng: np.random.Generator,
    count: int,
) -> list[Atoms]:
    """Return frames of one run at constant pressure (1 bar), after settling; temperature in K, step in fs."""
    atoms.calc = calculator
    speeds = np.sqrt(units.kB * temperature / atoms.get_masses())[:, None]
    atoms.set_velocities(speeds * rng.normal(size=(len(atoms), 3)))
    for friction in (0.1, 0.01):
        settings: dict[str, Any] = {
            "temperature_K": temperature,
            "friction": friction / units.fs,
            "rng": rng,
            "fixcm": False,
        }
        Langevin(atoms, step * units.fs, **settings).run(round(SETTLING / step))
    fs = units.fs
    run = IsotropicMTKNPT(atoms, step * fs, temperature, units.bar, tdamp=100 * fs, pdamp=500 * fs)
    run.run(round(SETTLING / step))
    made = []
    for frame in range(count):
        run.run(round(INTERVAL / step))
        atoms.info = {"config_type": "liquid", "time": frame * INTERVAL}
        made.append(labelled(atoms, calculator))
    return made


def waters(rng: np.random.Generator, count: int) -> list[Atoms]:
    """Return frames of liquid water."""
    return frames(box_of_water(rng), FlexibleWater(), TEMPERATURE, TIME_STEP, rng, count)


def melts(rng: np.random.Generator, count: int) -> list[Atoms]:
    """Return frames of the liquid alloy; the crystal it starts from is far too hot to stay one."""
    atoms = bulk("Cu", "fcc", a=MELT_LENGTH, cubic=True) * (4, 4, 3)
    symbols = [symbol for symbol, number in EUTECTIC.items() for _ in range(number)]
    atoms.set_chemical_symbols(list(rng.permutation(symbols)))
    atoms.positions += rng.normal(0.0, 0.4, atoms.positions.shape)
    return frames(atoms, EMT(), MELT_TEMPERATURE, MELT_STEP, rng, count)


def box_of_water(rng: np.random.Generator) -> Atoms:
    """Return molecules on a cubic grid, each turned at random."""
    per_side = round(MOLECULES ** (1 / 3))
    mass = MOLECULES * 18.015 * units._amu * 1e3  # g
    length = (mass / DENSITY) ** (1 / 3) * 1e8
    half = FlexibleWater.ANGLE / 2
    arms = FlexibleWater.BOND * np.array(
        [[0, 0, 0], [np.sin(half), 0, np.cos(half)], [-np.sin(half), 0, np.cos(half)]]
    )
    grid = (
        (np.stack(np.meshgrid(*[np.arange(per_side)] * 3), axis=-1).reshape(-1, 3) + 0.5) * length / per_side
    )
    turned = [at + arms @ np.linalg.qr(rng.normal(size=(3, 3)))[0] for at in grid]
    return Atoms("OHH" * MOLECULES, np.concatenate(turned), cell=[length] * 3, pbc=True)


def make(name: str, seed: int, n_train: int, n_test: int) -> tuple[list[Atoms], list[Atoms]]:
    """Return training and test structures of a set."""
    rng = np.random.default_rng(seed)
    if name in LIQUIDS:
        liquid = LIQUIDS[name]
        return liquid(rng, n_train), liquid(np.random.default_rng([seed, 1]), n_test)
    source, calculator = (alloys(rng), EMT()) if name == "alloy" else (oxides(rng), mixed_oxide())
    made = unlike(source, calculator, n_train + n_test)
    order = rng.permutation(len(made))
    return [made[k] for k in order[:n_train]], [made[k] for k in order[n_train:]]


LIQUIDS = {"melt": melts, "water": waters}
COUNTS: dict[str, tuple[int, int]] = {
    "alloy": (300, 150),
    "oxide": (300, 150),
    "melt": (40, 20),
    "water": (40, 20),
}


def main() -> None:
    """Make the set named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", choices=list(COUNTS))
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--train", type=int, help="structures for training")
    parser.add_argument("--test", type=int, help="structures for the test")
    parser.add_argument("--output", type=Path, default=Path())
    options = parser.parse_args()
    usual = COUNTS[options.name]
    parts = make(options.name, options.seed, options.train or usual[0], options.test or usual[1])
    options.output.mkdir(parents=True, exist_ok=True)
    for part, structures in zip(("train", "test"), parts, strict=True):
        path = options.output / f"{options.name}_{part}.xyz"
        write(path, structures, format="extxyz")
        norms = np.concatenate([np.linalg.norm(s.get_forces(), axis=1) for s in structures])
        each = [s.get_potential_energy() / len(s) for s in structures]
        print(
            f"{path}: {len(structures)} structures of {min(map(len, structures))} to "
            f"{max(map(len, structures))} atoms, "
            f"energies per atom {min(each):.3f} to {max(each):.3f} eV, ‖F‖ {norms.mean():.2f} eV/Å"
        )


if __name__ == "__main__":
    main()
