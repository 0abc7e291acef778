"""What the benchmark asks of a process with numpy, so that its own stays small: resident memory is inherited.

bench_child.py rate                             GF/s of dgemm and the BLAS that does it
bench_child.py size ANN.h5                      weights of a member, steps, members
bench_child.py steps ANN.h5 START STEPS FS ALL  velocity Verlet in ASE, for versions without the command md
"""

from __future__ import annotations

import importlib
import sys
import time


def rate(n: int = 1500, repeats: int = 5) -> str:
    """Multiply matrices; the best of some, and the name of the library."""
    import numpy as np
    from threadpoolctl import threadpool_info

    a, seconds = np.random.default_rng(0).normal(size=(n, n)), []
    for _ in range(repeats + 1):
        start = time.process_time()
        a @ a
        seconds.append(time.process_time() - start)
    blas: dict[str, object] = next((x for x in threadpool_info() if x["user_api"] == "blas"), {})
    return f"{2e-9 * n**3 / min(seconds[1:]):.1f} {blas.get('internal_api', 'unknown')}-{blas.get('version')}"


def size(path: str) -> str:
    """Count the weights of one member of a committee, the steps it took, and the members."""
    import h5py

    found: list[tuple[int, ...]] = []
    with h5py.File(path) as file:
        file["model/networks"].visititems(
            lambda name, item: found.append(item.shape) if name.endswith("/layer") else None
        )
        steps = len(file["history/training_loss"])
    return f"{sum(rows * columns for _, rows, columns in found)} {steps} {found[0][0]}"


def steps(path: str, start: str, count: int, timestep: float, everyone: bool) -> None:
    """Run molecular dynamics from rest with steps in fs, with one member or with all."""
    from ase import Atoms, units
    from ase.io import read
    from ase.md.verlet import VelocityVerlet

    try:
        module = importlib.import_module("aenet_gpr_cli.calculators.ann")
    except ModuleNotFoundError:
        module = importlib.import_module("aenet_gpr_cli.calculators.ann_calculator")
    atoms = read(start)
    assert isinstance(atoms, Atoms)
    atoms.calc = module.ANNCalculator.from_file(path, members=None if everyone else [0])
    VelocityVerlet(atoms, timestep=timestep * units.fs).run(count)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["rate"]:
            print(rate())
        case ["size", path]:
            print(size(path))
        case ["steps", path, start, count, timestep, members]:
            steps(path, start, int(count), float(timestep), members == "all")
        case _:
            raise SystemExit(__doc__)
