"""Make the heterogeneous example set: 17 subsets of what Li–EC interfaces consist of, by GFN1-xTB.

Run as ``python example_data/make_heterogeneous_data.py [--processes 2]``; needs the extra ``label`` (tblite).
Owns the subsets, how each is sampled, and the seeds; geometry of EC, labelling and writing of archives are
those of make_example_data.py.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.build import bcc100, bulk, molecule
from ase.data import covalent_radii
from ase.md.langevin import Langevin
from ase.optimize import BFGS
from make_example_data import (
    DECIMALS,
    FOLDER,
    ethylene_carbonate,
    force_error,
    labelled,
    write_archive,
    xtb,
)

from aenet_gpr_cli.structures import Structure

METHOD = "GFN1-xTB"
SEED = 20250158
N_STRUCTURES = 100
LATTICE = 10.317 / 3  # Å, of the Li slab in the set li-ec
CLOSEST = 0.7  # of the sum of two covalent radii: closer pairs are drawn again
LARGEST_FORCE = 10.0  # eV/Å on an atom: about the largest in the published sets; more is drawn again
ATTEMPTS = 50
CHECKED_COMPONENTS = 3  # forces of one structure per subset that finite differences of the energy confirm
FORCE_TOLERANCE = 1e-3  # eV/Å
FEMTOSECONDS_BETWEEN = 20  # of molecular dynamics, from one structure to the next

Sampler = Callable[[Atoms, np.random.Generator], Atoms]


@dataclass(frozen=True)
class Subset:
    """Name, way of sampling, start geometry and sampler of one subset.

    ``sample`` makes a structure from the relaxed start; ``temperature`` (K) in its place takes them from
    molecular dynamics. Slabs and crystals keep their lattice positions (`relax` is False): with one k-point
    GFN1-xTB pulls layers apart.
    """

    name: str
    sampling: str
    build: Callable[[], Atoms]
    sample: Sampler | None = None
    temperature: float = 0.0
    relax: bool = True


def displaced(amplitude: float) -> Sampler:
    """Displace all atoms normally by ``amplitude`` Å per component."""

    def sample(atoms: Atoms, rng: np.random.Generator) -> Atoms:
        atoms.positions += rng.normal(0.0, amplitude, atoms.positions.shape)
        return atoms

    return sample


def lithium_around(n_lithium: int) -> Sampler:
    """Put the first Li atoms 1.8 to 3.2 Å from the carbonyl oxygen, anywhere outside the molecule."""

    def sample(atoms: Atoms, rng: np.random.Generator) -> Atoms:
        oxygen = n_lithium + 2  # of `ethylene_carbonate`
        outwards = atoms.positions[oxygen] - atoms.positions[n_lithium:].mean(axis=0)
        for lithium in range(n_lithium):
            direction = rng.normal(size=3) + outwards / np.linalg.norm(outwards)
            direction *= rng.uniform(1.8, 3.2) / np.linalg.norm(direction)
            atoms.positions[lithium] = atoms.positions[oxygen] + direction
        return displaced(0.03)(atoms, rng)

    return sample


def second_molecule_turned(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Turn the second molecule of a dimer by up to 30° about any axis and shift it by some tenths of an Å."""
    half = len(atoms) // 2
    upper = atoms[half:]
    upper.rotate(rng.uniform(-30, 30), rng.normal(size=3), center="COM")
    upper.translate(rng.normal(0.0, 0.2, 3))
    return displaced(0.02)(atoms[:half] + upper, rng)


def hydroxyl_turned(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Turn the hydroxyl group of ethanol about the C–O bond by any angle."""
    oxygen = atoms.symbols.search("O")[0]
    carbon = min(atoms.symbols.search("C"), key=lambda c: atoms.get_distance(c, oxygen))
    hydrogen = min(atoms.symbols.search("H"), key=lambda h: atoms.get_distance(h, oxygen))
    other = next(c for c in atoms.symbols.search("C") if c != carbon)
    atoms.rotate_dihedral(other, carbon, oxygen, hydrogen, rng.uniform(0, 360), indices=[hydrogen])
    return displaced(0.03)(atoms, rng)


def lithium_cluster(n: int) -> Atoms:
    """Return 2, 4 or 8 Li atoms: a pair, a rhombus, a cube."""
    corners = np.array([(x, y, z) for z in (0, 1) for y in (0, 1) for x in (0, 1)], dtype=float)[:n]
    if n == 4:
        corners += corners[:, [1, 0, 2]] * (0.3, 0.0, 0.0)  # a square is no minimum
    return Atoms(f"Li{n}", 2.9 * corners)


def lithium_carbonate() -> Atoms:
    """Return the molecule Li2CO3, both Li between two oxygens."""
    angles = np.radians((90, 210, 330))
    oxygens = [(1.3 * np.cos(a), 1.3 * np.sin(a), 0.0) for a in angles]
    return Atoms("Li2CO3", [(2.0, 1.3, 0.0), (-2.0, 1.3, 0.0), (0.0, 0.0, 0.0), *oxygens])


def with_lithium(n_lithium: int, rest: Atoms) -> Atoms:
    """Put Li atoms in front of a molecule, above the oxygen that lies farthest up."""
    top = rest.positions[rest.positions[:, 1].argmax()]
    shifts = [(0.7, 1.7, 0.0), (-1.2, 1.6, 1.4)][:n_lithium]
    return Atoms(f"Li{n_lithium}", [top + shift for shift in shifts]) + rest


def ec_pair() -> Atoms:
    """Return two stacked EC molecules with opposite dipoles."""
    lower, upper = ethylene_carbonate(), ethylene_carbonate()
    upper.rotate(180, "z", center="COM")
    upper.translate((0.4, 0.2, 3.2))
    return lower + upper


def crystal(vacancies: int = 0) -> Atoms:
    """Return 2 × 2 × 2 cells of bcc Li, with the first atoms left out."""
    return (bulk("Li", "bcc", a=LATTICE, cubic=True) * (2, 2, 2))[vacancies:]


def slab(size: tuple[int, int, int], height: float) -> Atoms:
    """Return Li(100), its lowest layer at 5 Å in a cell of the given height."""
    atoms = bcc100("Li", size=size, a=LATTICE, vacuum=None)
    atoms.set_cell([size[0] * LATTICE, size[1] * LATTICE, height])
    atoms.translate((0, 0, 5.0 - atoms.positions[:, 2].min()))
    atoms.pbc = True
    return atoms


def slab_with(adsorbate: Atoms, size: tuple[int, int, int], distance: float) -> Atoms:
    """Relax a molecule and lay it over the middle of a slab."""
    relaxed(adsorbate)
    surface = slab(size, 30.0)
    adsorbate.rotate(-90, "x")
    middle = surface.cell.lengths()[:2] / 2
    lowest = adsorbate.positions[:, 2].min()
    adsorbate.translate((*(middle - adsorbate.positions[:, :2].mean(axis=0)), 0.0))
    adsorbate.translate((0, 0, surface.positions[:, 2].max() + distance - lowest))
    return surface + adsorbate


SUBSETS = (
    Subset("li2", "displaced", lambda: lithium_cluster(2), displaced(0.20)),
    Subset("li4", "dynamics", lambda: lithium_cluster(4), temperature=300.0),
    Subset("li8", "dynamics", lambda: lithium_cluster(8), temperature=300.0),
    Subset("co2", "displaced", lambda: molecule("CO2"), displaced(0.025)),
    Subset("ethylene", "displaced", lambda: molecule("C2H4"), displaced(0.04)),
    Subset("ethanol", "conformers", lambda: molecule("CH3CH2OH"), hydroxyl_turned),
    Subset("li2co3", "dynamics", lithium_carbonate, temperature=500.0),
    Subset("ec", "displaced", ethylene_carbonate, displaced(0.04)),
    Subset("li_ec", "conformers", lambda: with_lithium(1, ethylene_carbonate()), lithium_around(1)),
    Subset("li2_ec", "conformers", lambda: with_lithium(2, ethylene_carbonate()), lithium_around(2)),
    Subset("ec2", "conformers", ec_pair, second_molecule_turned),
    Subset("li_ec2", "dynamics", lambda: with_lithium(1, ec_pair()), temperature=400.0),
    Subset("bulk", "displaced", crystal, displaced(0.10), relax=False),
    Subset("bulk_vacancy", "displaced", lambda: crystal(1), displaced(0.10), relax=False),
    Subset("slab", "displaced", lambda: slab((3, 3, 4), 25.0), displaced(0.08), relax=False),
    Subset(
        "slab_co2",
        "displaced",
        lambda: slab_with(molecule("CO2"), (3, 3, 4), 2.2),
        displaced(0.03),
        relax=False,
    ),
    Subset(
        "slab_ec",
        "displaced",
        lambda: slab_with(ethylene_carbonate(), (3, 3, 4), 2.0),
        displaced(0.04),
        relax=False,
    ),
)


def relaxed(atoms: Atoms) -> Atoms:
    """Relax atoms in place, without their calculator afterwards."""
    atoms.calc = xtb(METHOD)
    BFGS(atoms, logfile=None).run(fmax=0.02, steps=200)
    atoms.calc = None
    return atoms


def too_close(atoms: Atoms) -> bool:
    """Return whether two atoms overlap."""
    distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
    radii = covalent_radii[atoms.numbers]
    allowed = CLOSEST * (radii[:, None] + radii)
    np.fill_diagonal(allowed, 0.0)
    return bool((distances < allowed).any())


def file_name(subset: Subset, i: int) -> str:
    """Return the name of a structure: subset, way of sampling, number."""
    return f"{subset.name}_{subset.sampling}_{i:04d}.xsf"


def drawn(subset: Subset, start: Atoms, n: int) -> list[Structure]:
    """Draw structures one by one; each has its own random stream and calculator."""
    index, structures = SUBSETS.index(subset), []
    for i in range(n):
        for attempt in range(ATTEMPTS):
            atoms = subset.sample(start.copy(), np.random.default_rng([SEED, index, i, attempt]))
            if too_close(atoms):
                continue
            try:
                structure = labelled(atoms, xtb(METHOD), file_name(subset, i), DECIMALS)
            except Exception as error:  # tblite's own class: the self-consistent field did not converge
                print(f"{subset.name} {i}: {error}; drawn again")
                continue
            if np.linalg.norm(structure.forces, axis=1).max() <= LARGEST_FORCE:
                structures.append(structure)
                break
        else:
            raise SystemExit(f"{subset.name} {i}: no structure after {ATTEMPTS} attempts")
    return structures


def from_dynamics(subset: Subset, start: Atoms, n: int) -> list[Structure]:
    """Take structures from Langevin dynamics at equal intervals."""
    atoms = start.copy()
    atoms.calc = xtb(METHOD)
    rng = np.random.default_rng([SEED, SUBSETS.index(subset)])
    dynamics = Langevin(
        atoms,
        1.0 * units.fs,
        temperature_K=subset.temperature,
        friction=0.02 / units.fs,
        fixcm=False,
        rng=rng,
    )
    structures = []
    for i in range(n):
        dynamics.run(FEMTOSECONDS_BETWEEN)
        structures.append(labelled(atoms, xtb(METHOD), file_name(subset, i), DECIMALS))
    return structures


def make_subset(name: str, n: int) -> list[Structure]:
    """Build, relax, sample and label one subset."""
    subset = next(s for s in SUBSETS if s.name == name)
    start = relaxed(subset.build()) if subset.relax else subset.build()
    made = drawn(subset, start, n) if subset.sample else from_dynamics(subset, start, n)
    energies = np.array([s.energy for s in made])
    norms = np.linalg.norm([s.forces for s in made], axis=2)
    off = force_error(made[0], lambda: xtb(METHOD), CHECKED_COMPONENTS)
    if off > FORCE_TOLERANCE:
        raise SystemExit(f"{name}: forces are {off:.1e} eV/Å off finite differences of the energy")
    print(
        f"{subset.name}: {len(made)} of {len(start)} atoms; E spread {energies.std():.3f} eV, range "
        f"{np.ptp(energies):.3f} eV; ‖F‖ {norms.mean():.3f}, at most {norms.max():.3f} eV/Å; "
        f"{off:.1e} eV/Å off finite differences",
        flush=True,
    )
    return made


def main() -> None:
    """Make all subsets, the slowest first, and write one archive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.processes) as pool:
        jobs = {s.name: pool.submit(make_subset, s.name, N_STRUCTURES) for s in reversed(SUBSETS)}
        made = [structure for subset in SUBSETS for structure in jobs[subset.name].result()]
    write_archive(made, FOLDER / "heterogeneous" / "structures.zip")


if __name__ == "__main__":
    main()
