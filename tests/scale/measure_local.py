"""Time and memory of the local process against the number of atomic environments.

    python -m tests.scale.measure_local 10000 100000

fits cells of 100 atoms of two kinds, with the forces of a pair potential, in a process of its own each.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from aenet_gpr_cli.descriptors.interface.neighbour_list import neighbour_list
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.fields import append_field, write_field
from aenet_gpr_cli.structures import FloatArray

N_ATOMS = 108
BLOCK = 100  # cells made at a time
CUTOFF = 5.0  # Å
KEYS = ("model=local", "local.n_inducing=200", "local.length_scale=16", "local.angular_order=4")
SPECIES = ("Au",) * 27 + ("Cu",) * 81


@dataclass(frozen=True, slots=True)
class Measured:
    """What one fit took.

    Attributes
    ----------
    n_environments : int
    seconds : float
        Of CPUs, start and compilation included.
    peak_bytes : int
    """

    n_environments: int
    seconds: float
    peak_bytes: int


def cells(n: int, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Positions, cells, energies and forces of strained, rattled fcc cells."""
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    basis = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    sites = (grid + basis).reshape(-1, 3) / 3.0
    lattice = 11.7 * (np.eye(3) + 0.03 * rng.normal(size=(n, 3, 3)))
    positions = np.einsum("ai,nij->naj", sites, lattice) + 0.15 * rng.normal(size=(n, N_ATOMS, 3))
    energies, forces = labels(positions, lattice)
    return {"positions": positions, "cells": lattice, "energies": energies, "forces": forces}


def labels(positions: FloatArray, lattice: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Energies and forces of a Morse potential that a window ends smoothly."""
    n = len(positions)
    found = neighbour_list(positions, lattice, (True, True, True), CUTOFF)
    r = np.linalg.norm(found.vectors, axis=1)
    centres = np.repeat(np.arange(n * N_ATOMS), np.diff(found.offsets))
    decay, window = np.exp(-1.4 * (r - 2.7)), np.cos(0.5 * np.pi * r / CUTOFF) ** 2
    slope = -0.5 * np.pi / CUTOFF * np.sin(np.pi * r / CUTOFF)
    pair = 0.3 * (decay**2 - 2.0 * decay)
    pull = (0.3 * 2.8 * (decay - decay**2) * window + pair * slope) / r
    forces: FloatArray = np.zeros((n * N_ATOMS, 3))
    np.add.at(forces, centres, pull[:, None] * found.vectors)
    # every pair is there twice
    energies = np.asarray(0.5 * np.bincount(centres // N_ATOMS, pair * window, minlength=n), np.float64)
    return energies, forces.reshape(n, N_ATOMS, 3)


def write_split(path: Path, n_structures: int) -> None:
    """Write as many cells as a training set, block by block."""
    rng = np.random.default_rng(0)
    with publish(path, Job("split", {}, {})) as file:
        group = file.create_group("train/cells")
        file.create_group("test")
        write_field(group, "species", SPECIES)
        write_field(group, "pbc", np.array([True] * 3))
        for start in range(0, n_structures, BLOCK):
            n = min(BLOCK, n_structures - start)
            for name, values in cells(n, rng).items():
                append_field(group, name, values)
            append_field(group, "names", tuple(f"{start + i}" for i in range(n)))


def measure(n_environments: int, folder: Path) -> Measured:
    """Fit the local process to about so many environments."""
    n_structures = -(-n_environments // N_ATOMS)
    split, output = folder / f"split_{n_structures}.h5", folder / f"gpr_{n_structures}.h5"
    write_split(split, n_structures)
    options = [word for key in KEYS for word in ("--set", key)]
    command = [
        sys.executable,
        "-m",
        "aenet_gpr_cli",
        "fit-gpr",
        str(split),
        *options,
        "-q",
        "-o",
        str(output),
    ]
    before = cpu_seconds()
    subprocess.run(command, check=True)
    with h5py.File(output) as file:
        peak = int(file.attrs["peak_rss_bytes"])
    return Measured(n_structures * N_ATOMS, cpu_seconds() - before, peak)


def cpu_seconds() -> float:
    """Seconds that finished child processes have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print what the command line asks for."""
    with tempfile.TemporaryDirectory() as folder:
        for word in sys.argv[1:]:
            found = measure(int(word), Path(folder))
            mib = found.peak_bytes / 2**20
            print(f"{found.n_environments} environments: {found.seconds:.1f} s, {mib:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
