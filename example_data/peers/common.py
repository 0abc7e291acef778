"""What the scripts of all peers share: an environment of its own, CPU time and memory, errors, the table."""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import time
import venv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Given = TypeVar("Given", bound="DataclassInstance")

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Cost:
    """CPU and wall seconds, and largest resident memory in MiB, of a program with one thread."""

    cpu_s: float
    wall_s: float
    mib: float


def command_line(text: str | None, name: str, defaults: Given) -> tuple[argparse.Namespace, Given]:
    """Return the command line, the sets and where things go, and the settings that it gives."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("train", type=Path, help="extended XYZ with energy and forces")
    parser.add_argument("test", type=Path)
    parser.add_argument("--output", type=Path, default=Path(f"{name}.csv"))
    parser.add_argument("--work", type=Path, default=Path(f"{name}_run"), help="folder of model and logs")
    parser.add_argument("--environment", type=Path, default=Path(".peers") / name)
    for key, value in vars(defaults).items():
        parser.add_argument(f"--{key.replace('_', '-')}", type=type(value), default=value)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    return options, replace(defaults, **{key: getattr(options, key) for key in vars(defaults)})


def environment(folder: Path, packages: Sequence[str], program: str) -> Path:
    """Return the folder of programs of the environment, made where ``program`` is not in it."""
    programs = folder / "bin"
    if not (programs / program).exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([str(programs / "python"), "-m", "pip", "install", "--quiet", *packages], check=True)
    return programs.resolve()


def timed(command: list[str], log: Path, folder: Path | None = None) -> Cost:
    """Run a program with one thread, in a folder."""
    start = time.perf_counter()
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            command, env=os.environ | ONE_THREAD, stdout=out, stderr=subprocess.STDOUT, cwd=folder
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
        raise SystemExit("\n".join([f"{command[0]} failed, see {log}:", *tail]))
    return Cost(usage.ru_utime + usage.ru_stime, time.perf_counter() - start, usage.ru_maxrss / 1024)


def differences(structures: Sequence[Any], calculator: Any, output: Path) -> None:
    """Write the errors of an ASE calculator on labelled structures, as JSON; runs within an environment."""
    found = []
    for atoms in structures:
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = calculator
        predicted = atoms.get_forces()
        found.append(
            {
                "group": atoms.info.get("config_type", ""),
                "energy": float(atoms.get_potential_energy() - energy) / len(atoms),
                "forces": (predicted - forces).tolist(),
                "norms": ((predicted**2).sum(axis=1) ** 0.5 - (forces**2).sum(axis=1) ** 0.5).tolist(),
            }
        )
    output.write_text(json.dumps(found), encoding="utf-8")


def errors(found: list[dict[str, Any]]) -> dict[str, float]:
    """Return mean absolute errors of some structures: energy per atom in meV, forces in eV/Å.

    ``force_norm`` is what our own tables call ‖F‖ MAE: the error of the magnitude, never more than the
    magnitude of the error, ``force_norm_of_difference``, and about half of it.
    """
    atoms = [force for item in found for force in item["forces"]]
    norms = [norm for item in found for norm in item["norms"]]
    return {
        "structures": len(found),
        "energy_per_atom_mev": 1000 * sum(abs(item["energy"]) for item in found) / len(found),
        "force_component": sum(abs(x) for force in atoms for x in force) / (3 * len(atoms)),
        "force_norm": sum(map(abs, norms)) / len(norms),
        "force_norm_of_difference": sum(sum(x * x for x in force) ** 0.5 for force in atoms) / len(atoms),
    }


def predict_and_write(python: Path, script: str, model: Path, fit: Cost, options: argparse.Namespace) -> None:
    """Let ``script --predict`` write the errors of the test set within the environment; write the table."""
    work = options.work.resolve()
    found = work / "differences.json"
    command = [str(python), script, "--predict", str(model), str(options.test), str(found)]
    predicting = timed(command, work / "predict.log")
    write_table(json.loads(found.read_text(encoding="utf-8")), fit, predicting, options.output)


def write_table(found: list[dict[str, Any]], fit: Cost, predicting: Cost, output: Path) -> None:
    """Write the errors of all structures, with the cost, and of each group, as CSV; print it."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in found:
        groups[item["group"]].append(item)
    cost = {"fit_cpu_s": fit.cpu_s, "fit_wall_s": fit.wall_s, "fit_mib": fit.mib}
    rows = [{"group": "all", **errors(found), **cost, "predict_cpu_s": predicting.cpu_s}]
    rows += [{"group": name, **errors(items)} for name, items in sorted(groups.items()) if name]
    with output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({k: round(v, 5) if isinstance(v, float) else v for k, v in r.items()} for r in rows)
    print(output.read_text(encoding="utf-8"), end="")
