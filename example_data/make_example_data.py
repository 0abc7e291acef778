"""Make the example data: small archives of labelled structures in ænet's XSF format.

Run as ``python example_data/make_example_data.py [h2|ec-dimer|li-ec|all]``; all but the first
need the extra ``label`` (tblite). ``ec-dimer --count 6000 --output DIMERS.zip`` makes other EC dimers of the
same kind, as many as wanted. Owns geometries, displacement amplitudes, seeds and levels of theory; the reader
and writer of XSF belong to the package. README.md in this folder describes the result.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bcc100
from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms
from ase.optimize import BFGS

from aenet_gpr_cli.io.formats.xsf import format_xsf
from aenet_gpr_cli.structures import Structure

Shifts = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

FOLDER = Path(__file__).resolve().parent
DECIMALS = 8  # of stored positions, energies and forces of the larger sets: keeps the archives small
SEEDS = {"ec-dimer": 20250156, "li-ec": 20250157, "more-ec-dimers": 20250158}
CHUNK = 100  # structures per task of a large set; finished chunks are kept, so that a stopped run goes on

# Amplitudes measured on the published sets: EC dimers are displaced uniformly within ±0.05 Å per component
# (standard deviation 0.0289 Å, kurtosis 1.80), Li-EC slabs by a normal distribution (0.040 Å, kurtosis 3.03).
EC_DIMER_HALF_WIDTH = 0.05
LI_EC_STANDARD_DEVIATION = 0.04


def ethylene_carbonate() -> Atoms:
    """Return one EC molecule, O3 C3 H4, from textbook bond lengths: in Å, C=O along +y."""
    symbols = ["O", "O", "O", "C", "C", "C", "H", "H", "H", "H"]
    positions = [
        (1.121, -0.770, 0.0),  # ring oxygens: C-O 1.36
        (-1.121, -0.770, 0.0),
        (0.0, 1.190, 0.0),  # carbonyl: C=O 1.19
        (0.760, -2.154, 0.10),  # methylenes: C-O 1.43, C-C 1.52, twisted a little out of the plane
        (-0.760, -2.154, -0.10),
        (0.0, 0.0, 0.0),
        (1.260, -2.520, 0.99),
        (1.360, -2.480, -0.78),
        (-1.260, -2.520, -0.99),
        (-1.360, -2.480, 0.78),
    ]
    return Atoms(symbols, positions)


def xtb(method: str) -> Calculator:
    """Return a tight tblite calculator; SCF noise must stay below the last stored digits that matter."""
    try:
        from tblite.ase import TBLite
    except ImportError as error:
        raise SystemExit(
            "tblite is missing; install the extra: pip install 'aenet-gpr-cli[label]'"
        ) from error
    return TBLite(method=method, accuracy=0.01, verbosity=0)


def lennard_jones_dimer(distance: float) -> Atoms:
    """Return an H2 molecule along x, centred at the origin; ``distance`` in Å."""
    return Atoms("H2", [(-distance / 2, 0, 0), (distance / 2, 0, 0)])


def relaxed_ec_dimer() -> Atoms:
    """Return the EC dimer at a GFN2-xTB minimum: two stacked molecules with opposite dipoles."""
    lower, upper = ethylene_carbonate(), ethylene_carbonate()
    upper.rotate(180, "z", center="COM")
    upper.translate((0.4, 0.2, 3.2))
    dimer = lower + upper
    dimer.calc = xtb("GFN2-xTB")
    BFGS(dimer, logfile=None).run(fmax=0.005, steps=500)
    dimer.translate(-dimer.get_center_of_mass())
    return dimer


def relaxed_li_ec() -> Atoms:
    """Return EC on a four-layer Li(100) slab (3 × 3 cells, 10.317 × 10.317 × 32 Å); EC relaxed with GFN1-xTB.

    The slab keeps the lattice positions: with one k-point GFN1-xTB pulls its layers apart. At the lattice
    its atoms feel less than 0.4 eV/Å, little beside the forces after displacement.
    """
    slab = bcc100("Li", size=(3, 3, 4), a=10.317 / 3, vacuum=None)
    slab.set_cell([10.317, 10.317, 32.0])
    slab.translate((0, 0, 5.16 - slab.positions[:, 2].min()))
    molecule = ethylene_carbonate()
    molecule.rotate(-90, "x")  # the carbonyl oxygen towards the metal,
    molecule.rotate(30, "y")  # the ring tilted over
    molecule.translate((5.16, 5.16, slab.positions[:, 2].max() + 2.0 - molecule.positions[:, 2].min()))
    system = slab + molecule
    system.pbc = True
    system.set_constraint(FixAtoms(range(len(slab))))
    system.calc = xtb("GFN1-xTB")
    BFGS(system, logfile=None).run(fmax=0.03, steps=100)
    system.set_constraint()
    return system


def labelled(atoms: Atoms, calculator: Calculator, name: str, decimals: int) -> Structure:
    """Return the structure with energy (eV) and forces (eV/Å) of exactly the rounded positions."""
    atoms = atoms.copy()
    atoms.positions = atoms.positions.round(decimals)
    atoms.calc = calculator
    forces = atoms.get_forces().round(decimals) + 0.0  # no negative zeros
    return Structure(
        species=tuple(atoms.get_chemical_symbols()),
        positions=atoms.positions,
        cell=np.array(atoms.cell) if atoms.pbc.any() else None,
        pbc=(True, True, True) if atoms.pbc.any() else (False, False, False),
        energy=round(float(atoms.get_potential_energy()), decimals),
        forces=forces,
        name=name,
    )


def force_error(structure: Structure, calculator: Callable[[], Calculator], components: int = 6) -> float:
    """Return the largest deviation of stored forces from four-point differences of the energy, eV/Å."""
    step, rng, worst = 2e-3, np.random.default_rng(0), 0.0
    for flat in rng.choice(3 * structure.n_atoms, components, replace=False):
        slope = 0.0
        for multiple, weight in ((-2, 1), (-1, -8), (1, 8), (2, -1)):
            positions = structure.positions.copy()
            positions.flat[flat] += multiple * step
            atoms = Atoms(structure.species, positions, cell=structure.cell, pbc=structure.pbc)
            atoms.calc = calculator()
            slope += weight * atoms.get_potential_energy() / (12 * step)
        worst = max(worst, abs(-slope - structure.forces.flat[flat]))
    return worst


def write_archive(structures: list[Structure], path: Path) -> None:
    """Write one zip archive of XSF files; the same structures give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for structure in structures:
            entry = zipfile.ZipInfo(structure.name, date_time=(2025, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, format_xsf(structure))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path}: {len(structures)} structures, {path.stat().st_size} bytes, {digest}")


def make_set(
    relaxed: Atoms, calculator: Callable[[], Calculator], n_structures: int, shifts: Shifts, name: str
) -> None:
    """Displace, label, check and write one set; every structure has its own random stream and calculator.

    A new calculator each time, because a warm SCF would make the last digits depend on the order.
    """
    relaxed.calc = calculator()
    ground_state = relaxed.get_potential_energy()
    structures = []
    for i in range(n_structures):
        atoms = relaxed.copy()
        atoms.positions += shifts(np.random.default_rng([SEEDS[name], i]), atoms.positions.shape)
        structures.append(labelled(atoms, calculator(), f"{name}_{i:04d}.xsf", DECIMALS))
        if (i + 1) % 50 == 0:
            print(f"{name}: {i + 1} of {n_structures}", file=sys.stderr)
    energies = np.array([s.energy for s in structures]) - ground_state
    norms = np.linalg.norm([s.forces for s in structures], axis=2)
    print(
        f"{name}: relaxed geometry {ground_state:.6f} eV; above it {energies.mean():.3f} ± "
        f"{energies.std():.3f} eV ({energies.min():.3f} to {energies.max():.3f}); ‖F‖ {norms.mean():.3f}, "
        f"at most {norms.max():.3f} eV/Å; {force_error(structures[0], calculator):.1e} off finite differences"
    )
    write_archive(structures, FOLDER / name / "structures.zip")


def make_h2() -> None:
    """Write 7 training points from 1 to 2 Å and 200 test points from 0.95 to 2.05 Å, as the paper."""

    def lennard_jones() -> Calculator:
        return LennardJones(epsilon=1.0, sigma=1.0, rc=3.0)  # ASE shifts the energy to zero at the cutoff

    for part, distances in (("train", np.linspace(1, 2, 7)), ("test", np.linspace(0.95, 2.05, 200))):
        structures = [
            labelled(lennard_jones_dimer(distance), lennard_jones(), f"h2_{part}_{i:04d}.xsf", 14)
            for i, distance in enumerate(distances)
        ]
        print(f"h2 {part}: forces off by {force_error(structures[-1], lennard_jones):.1e} eV/Å")
        write_archive(structures, FOLDER / "h2" / f"{part}_set.zip")


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return the displacements of an EC dimer, Å."""
    return rng.uniform(-EC_DIMER_HALF_WIDTH, EC_DIMER_HALF_WIDTH, shape)


def make_ec_dimer() -> None:
    """Write 1,000 EC dimers, displaced uniformly and labelled with GFN2-xTB."""
    make_set(relaxed_ec_dimer(), lambda: xtb("GFN2-xTB"), 1000, uniform, "ec-dimer")


def label_chunk(relaxed: Atoms, numbers: range, path: Path) -> None:
    """Write the dimers ``numbers`` of the large set to an archive of their own, whole or not at all."""
    structures = []
    for i in numbers:
        atoms = relaxed.copy()
        atoms.positions += uniform(np.random.default_rng([SEEDS["more-ec-dimers"], i]), atoms.positions.shape)
        structures.append(labelled(atoms, xtb("GFN2-xTB"), f"ec-dimer_more_{i:06d}.xsf", DECIMALS))
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w") as archive:
        for structure in structures:
            archive.writestr(structure.name, format_xsf(structure))
    part.rename(path)


def make_more_ec_dimers(count: int, output: Path, workers: int) -> None:
    """Write ``count`` EC dimers of the same distribution, with a seed of their own, in parallel processes.

    The first n are the same for every count. A stopped run goes on from the folder ``output``.parts.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # inherited by the processes: one thread each
    parts = output.with_name(output.name + ".parts")
    parts.mkdir(parents=True, exist_ok=True)
    chunks = {
        parts / f"{start:06d}_{min(start + CHUNK, count):06d}.zip": range(start, min(start + CHUNK, count))
        for start in range(0, count, CHUNK)
    }
    relaxed = relaxed_ec_dimer()
    relaxed.calc = None
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(label_chunk, relaxed, c, p) for p, c in chunks.items() if not p.exists()]
        for done, task in enumerate(tasks, len(chunks) - len(tasks) + 1):
            task.result()
            print(f"ec-dimer: {min(done * CHUNK, count)} of {count}", file=sys.stderr)
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in chunks:
            with zipfile.ZipFile(path) as part:
                for name in part.namelist():
                    entry = zipfile.ZipInfo(name, date_time=(2025, 1, 1, 0, 0, 0))
                    archive.writestr(entry, part.read(name), zipfile.ZIP_DEFLATED)
    for path in chunks:
        path.unlink()
    parts.rmdir()
    print(f"{output}: {count} structures, {output.stat().st_size} bytes")


def make_li_ec() -> None:
    """Write 400 slabs with EC, displaced normally and labelled with GFN1-xTB."""

    def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.normal(0.0, LI_EC_STANDARD_DEVIATION, shape)

    make_set(relaxed_li_ec(), lambda: xtb("GFN1-xTB"), 400, normal, "li-ec")


def main() -> None:
    """Make the sets named on the command line."""
    makers = {
        "h2": make_h2,
        "ec-dimer": make_ec_dimer,
        "li-ec": make_li_ec,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", nargs="?", default="all", choices=[*makers, "all"])
    parser.add_argument("--count", type=int, help="make so many other EC dimers instead (needs --output)")
    parser.add_argument("--output", type=Path, help="archive to write, with --count")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes, with --count")
    options = parser.parse_args()
    name = options.name
    if options.count or options.output:
        if name != "ec-dimer" or not options.count or options.count < 1 or not options.output:
            parser.error("expected ec-dimer --count NUMBER --output ARCHIVE")
        make_more_ec_dimers(options.count, options.output, options.workers)
        return
    for key, make in makers.items():
        if name in (key, "all"):
            make()


if __name__ == "__main__":
    main()
