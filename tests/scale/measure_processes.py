"""Time of stages in one process and in two that `torchrun` starts, and how far their results differ.

    python -m tests.scale.measure_processes --folder runs/processes [NAME …]

A stage runs on n structures in one and two processes (strong scaling), and on 2n in two (weak scaling).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.io.artefacts.stored_anns import load_ann
from aenet_gpr_cli.io.artefacts.stored_gps import load_gps
from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.units import MEV_PER_EV
from tests.scale.measure_local import KEYS, cpu_seconds
from tests.scale.measure_local import write_split as write_cells

EXAMPLES = Path(__file__).resolve().parents[2] / "example_data"
DIMERS = (EXAMPLES / "ec-dimer/structures.zip", 100)  # as many train, and twice as many
CELLS = 460  # of 108 atoms
COPIES = 100  # of each dimer
SUBSETS = 8  # of the heterogeneous set, and twice as many; 40 structures of each
COMPARED = 20  # structures of each subset
LM = ("optimiser=levenberg_marquardt", "levenberg_marquardt.iterations=10")
ADAMW = ("optimiser=adamw", "adamw.epochs=20")
LARGE = "adamw.batch_size=256"
FULL = ("model=full", "descriptor=inverse_distance", "permutations=none")


@dataclass(frozen=True, slots=True)
class Case:
    """A stage with its keys, and the data that it reads."""

    command: str
    data: str
    keys: tuple[str, ...]


CASES = {
    "full": Case("fit-gpr", "subsets", FULL),
    "local": Case("fit-gpr", "cells", KEYS),
    "direct_lm": Case("train-ann", "dimers", ("mode=direct", *LM)),
    "direct_adamw": Case("train-ann", "dimers", ("mode=direct", *ADAMW)),
    "copies_lm": Case("train-ann", "copies", ("mode=taylor", *LM)),
    "copies_adamw": Case("train-ann", "copies", ("mode=taylor", "adamw.epochs=5", ADAMW[0], LARGE)),
}


def program(*words: object, processes: int = 1) -> None:
    """Run aenet-gpr in so many processes, of one thread each."""
    line = [sys.executable, "-m"]
    if processes > 1:
        line += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*line, "aenet_gpr_cli", *map(str, words), "-q"], check=True, env=environment)


def sets(*keys: str) -> list[str]:
    """Return the options for keys."""
    return [word for key in keys for word in ("--set", key)]


def inputs_of(case: Case, twice: bool, folder: Path) -> tuple[list[Path], list[str]]:
    """Return the inputs of a case, made where they are missing, and its keys."""
    name, factor, keys = f"{case.data}_{1 + twice}", 1 + twice, list(case.keys)
    split = folder / f"{case.data}_{1 + twice}.h5"
    if case.data == "subsets":
        split = folder / "subsets.h5"
        given = EXAMPLES / "heterogeneous/structures.zip"
        if not split.exists():
            program("split", given, *sets("count=subset", "train=40", "test=20"), "-o", split)
        # in the order of their numbers of atoms every other one, so that both halves are alike
        names = sorted(found := load_split(split, "train"), key=lambda k: (found[k].n_atoms, k))
        chosen = names[-2 * SUBSETS :][:: 2 - twice]
        return [split], [*keys, f"subsets=[{','.join(chosen)}]"]
    if case.data == "cells":
        if not split.exists():
            write_cells(split, CELLS * factor)
        return [split], keys
    archive, n = DIMERS
    split = folder / f"dimers_{factor}.h5"
    if not split.exists():
        program("split", archive, *sets(f"train={n * factor}", "test=40"), "-o", split)
    if case.data == "dimers":
        return [split], keys
    copies = folder / f"{name}.h5"
    if not copies.exists():
        program("augment", split, *sets("method=taylor", f"n_copies={COPIES}"), "-o", copies)
    return [split, copies], keys


def measure(name: str, twice: bool, processes: int, folder: Path) -> tuple[Path, Path]:
    """Run a case, print what it took, and return the split and the output."""
    inputs, keys = inputs_of(CASES[name], twice, folder)
    output = folder / f"{name}.n{1 + twice}.p{processes}.h5"
    before, began = cpu_seconds(), time.monotonic()
    program(CASES[name].command, *inputs, *sets(*keys), "-o", output, "--force", processes=processes)
    used, took = cpu_seconds() - before, time.monotonic() - began
    with h5py.File(output) as file:
        stage, peak = float(file.attrs["wall_time_s"]), int(file.attrs["peak_rss_bytes"])
    print(
        f"{name:13s} {1 + twice}n {processes}p: stage {stage:6.1f} s, command {took:6.1f} s, "
        f"CPU {used:6.1f} s, {peak / 2**20:5.0f} MiB",
        flush=True,
    )
    return inputs[0], output


def compare(split: Path, one: Path, other: Path, name: str) -> None:
    """Print how far the predictions of two outputs differ."""
    energy = force = 0.0
    for key, subset in load_split(split, "train").items():
        some = subset.select(np.arange(min(COMPARED, len(subset))))
        found = []
        for path in (one, other):
            if CASES[name].command == "train-ann":
                found.append([a[0] for a in predict(load_ann(path), some, True, COMPARED)])
                continue
            known = load_gps(path)
            if key in known or "local" in known:
                found.append(list(known[key if key in known else "local"].energies_and_forces(some)))
        if found:
            energy = max(energy, float(np.abs(found[0][0] - found[1][0]).max()))
            force = max(force, float(np.abs(found[0][1] - found[1][1]).max()))
    print(f"{name:13s} differ by {MEV_PER_EV * energy:.1e} meV, {force:.1e} eV/Å", flush=True)


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(CASES), metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in given.names:
        split, one = measure(name, False, 1, given.folder)
        _, two = measure(name, False, 2, given.folder)
        measure(name, True, 1, given.folder)
        measure(name, True, 2, given.folder)
        compare(split, one, two, name)


if __name__ == "__main__":
    main()
