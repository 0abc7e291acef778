"""Trainings and fits that are cut short: by a counter, by a real signal, at a chosen moment of writing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np

from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.io.artefacts.stored_anns import load_ann
from aenet_gpr_cli.io.artefacts.structure_sets import load_split, write_structures
from aenet_gpr_cli.structures import StructureSet

# Sends itself a signal before or after the n-th time that a file of some name is published.
DRIVER = """
import os, sys
from aenet_gpr_cli.cli.main import main
from aenet_gpr_cli.io import files

number, name, count, moment = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
publish, seen = files._take_name, []

def take_name(temporary, path, durable):
    seen.append(path.name)
    now = path.name == name and seen.count(name) == count
    if now and moment == "before":
        os.kill(os.getpid(), number)
    publish(temporary, path, durable)
    if now and moment == "after":
        os.kill(os.getpid(), number)

files._take_name = take_name
sys.argv = ["aenet-gpr", *sys.argv[5:]]
main()
"""


def signalled(number: int, name: str, count: int, moment: str, *arguments) -> subprocess.CompletedProcess:
    """Run a command that gets a signal when it publishes ``name``."""
    command = [sys.executable, "-c", DRIVER, str(int(number)), name, str(count), moment, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def after(calls: int):
    """A request to stop that comes after some questions."""
    asked = []

    def stop() -> bool:
        asked.append(0)
        return len(asked) > calls

    return stop


def small_training(optimiser: str, mode: str, **changes) -> TrainAnnConfig:
    """Two small networks, with a checkpoint after every step."""
    keys = {
        "mode": mode,
        "n_members": 2,
        "network": {"radial_cutoff": 8.0, "radial_order": 4, "angular_order": -1, "hidden": [4]},
        "optimiser": optimiser,
        "adamw": {"epochs": 12, "batch_size": 3},
        "levenberg_marquardt": {"iterations": 12, "tolerance": 0.0},
        "validation_fraction": 0.3,
        "checkpoint_seconds": 0.0,
        "seed": 3,
    }
    return build(TrainAnnConfig, keys | changes, "test")


def assert_same(ours: Path, theirs: Path, group: str) -> None:
    """Compare all numbers under a group bit by bit."""
    with h5py.File(ours) as a, h5py.File(theirs) as b:
        names: list[str] = []
        a[group].visit(names.append)
        found = [name for name in names if isinstance(a[group][name], h5py.Dataset)]
        assert found
        for name in found:
            x, y = a[group][name][()], b[group][name][()]
            assert x.tobytes() == y.tobytes() if x.dtype.kind == "f" else np.array_equal(x, y), name


def write_split(path: Path, n: int = 8) -> Path:
    """Four kinds of small molecules with a pair potential, as training structures."""
    from aenet_gpr_cli.io.artefacts.artefact import Job, publish

    rng = np.random.default_rng(0)
    base = np.array([[0, 0, 0], [0, 0, 1.0], [0.9, 0, -0.2], [0, 1.0, 0.4]])
    with publish(path, Job("split", {}, {})) as file:
        for name, species in (("H2", "HH"), ("H2O", "OHH"), ("H3N", "NHHH"), ("HO", "OH")):
            size = len(species)
            positions = base[:size] + 0.1 * rng.standard_normal((n, size, 3))
            d = positions[:, :, None] - positions[:, None]
            r = np.linalg.norm(d, axis=-1) + np.eye(size)
            pair = np.exp(-r) * (1 - np.eye(size))
            energies, forces = 0.5 * pair.sum((1, 2)), ((pair / r)[..., None] * d).sum(2)
            names = tuple(f"{name}_{i}" for i in range(n))
            kinds = tuple(species)
            subset = StructureSet(
                kinds, positions, None, (False, False, False), energies, forces, names=names
            )
            write_structures(file.create_group(f"train/{name}"), subset)
    return path


def left_behind(folder: Path) -> set[str]:
    """Names of hidden files: locks, temporary files, checkpoints."""
    return {path.name for path in folder.iterdir() if path.name.startswith(".")}


def energies(path, data):
    """Return the energies of the members of a potential on the training structures, eV, (n_members, n)."""
    return predict(load_ann(path), load_split(data, "train")["H3N"], False, 64)[0]
