"""Fit sGDML to a set of one molecule, as a peer to compare with.

Run as ``python example_data/peers/gdml.py TRAIN.xyz TEST.xyz [--output sgdml.csv] [options]``; needs only
Python (3.11 to 3.13): the first run makes a virtual environment of its own with sgdml. Writes the same table
as `gap.py`. All structures have the same atoms in the same order.

Defaults: those of ``sgdml all`` (length scales from 10 to 100 in steps of 10, symmetries found by itself,
energies only to fix the constant), a fifth of the training set to choose the length scale with, one process.
The test set is seen at the end only.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import Fitted, command_line, environment, fitted, measure_and_write, timed
from peer_measure import measure

PACKAGES = ("sgdml==1.0.3", "ase==3.29.0", "numpy==2.2.6", "scipy==1.15.3", "torch==2.13.0")


@dataclass(frozen=True)
class Settings:
    """What sgdml is asked for; the share of the training set that chooses the length scale."""

    validation: float = 0.2


def convert(source: Path, output: Path) -> None:
    """Write extended XYZ as a data set of sgdml, in eV and Å; runs within the environment."""
    numpy, ase = importlib.import_module("numpy"), importlib.import_module("ase.io")
    frames = ase.read(source, ":")
    data: dict[str, Any] = {
        "type": "d",
        "code_version": importlib.import_module("sgdml").__version__,
        "name": output.stem,
        "theory": "unknown",
        "R": numpy.array([a.get_positions() for a in frames]),
        "z": frames[0].get_atomic_numbers(),
        "E": numpy.array([a.get_potential_energy() for a in frames]),
        "F": numpy.array([a.get_forces() for a in frames]),
        "r_unit": "Ang",
        "e_unit": "eV",
    }
    if any((a.get_atomic_numbers() != data["z"]).any() for a in frames):
        raise SystemExit(f"{source}: expected the same atoms in the same order in all structures")
    if frames[0].pbc.any():
        data["lattice"] = numpy.array(frames[0].cell.T)
    for key in ("E", "F"):
        values = data[key].ravel()
        data |= {f"{key}_min": values.min(), f"{key}_max": values.max()}
        data |= {f"{key}_mean": values.mean(), f"{key}_var": values.var()}
    data["md5"] = importlib.import_module("sgdml.utils.io").dataset_md5(data)
    numpy.savez_compressed(output, **data)
    print(len(frames))


def predict(model: Path, test: Path, output: Path) -> None:
    """Write errors and the cost of a step; runs within the environment."""
    intf, numpy = importlib.import_module("sgdml.intf.ase_calc"), importlib.import_module("numpy")
    calculator = intf.SGDMLCalculator(str(model), E_to_eV=1.0, F_to_eV_Ang=1.0)
    # on its own it divides a prediction between all cores
    alone = intf.GDMLPredict(numpy.load(model, allow_pickle=True), max_processes=1)
    alone.prepare_parallel(n_bulk=1)
    calculator.gdml_predict = alone
    measure(importlib.import_module("ase.io").read(test, ":"), calculator, output)


def main() -> None:
    """Fit, predict, and write the table."""
    options, settings = command_line(__doc__, "sgdml", Settings())
    programs = environment(options.environment, PACKAGES, "sgdml")
    work, convert_it = options.work.resolve(), [str(programs / "python"), __file__, "--convert"]
    timed([*convert_it, str(options.train), str(work / "train.npz")], work / "convert.log")
    count = int((work / "convert.log").read_text(encoding="utf-8").split()[-1])
    validation = max(1, round(settings.validation * count))
    command = [str(programs / "sgdml"), "all", "--cpu", "-o", "-p", "1", "--model_file", "model.npz"]
    command += ["--task_dir", "tasks", "train.npz", str(count - validation), str(validation)]
    fit = fitted(command, work / "fit.log", work)
    words = f"sgdml all, {settings.validation:g} of the training set for the length scale"
    models = [Fitted("sGDML", words, work / "model.npz", fit)]
    measure_and_write(programs / "python", __file__, models, options)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--convert"]:
        convert(*map(Path, sys.argv[2:4]))
    elif sys.argv[1:2] == ["--predict"]:
        predict(*map(Path, sys.argv[2:5]))
    else:
        main()
