"""Fit a Gaussian approximation potential with gap_fit (QUIP) to a set, as a peer to compare with.

Run as ``python example_data/peers/gap.py TRAIN.xyz TEST.xyz [--output gap.csv] [options]``; needs only Python
(3.11 to 3.13): the first run makes a virtual environment of its own with quippy-ase. Writes CSV: of all test
structures and of each ``config_type`` the mean absolute error of the energy per atom (meV) and of force
components, the mean norm of the force errors (eV/Å); of the fit CPU seconds and resident memory (MiB).

Defaults: SOAP with 8 radial functions and degrees up to 8 within 5 Å, 800 sparse points per species, σ of
1 meV per atom and 0.05 eV/Å, no stress, one thread. The test set is seen at the end only.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import os
import re
import subprocess
import sys
import time
import venv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGES = ("quippy-ase==0.10.3", "ase==3.29.0", "numpy==2.4.6")
ENVIRONMENT = Path(".peers") / "gap"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
STRESS = re.compile(r'\b(?:stress|virial)="[^"]*" ?')  # gap_fit would fit it, asked or not


@dataclass(frozen=True)
class Settings:
    """What gap_fit is asked for; cutoff in Å, sigmas in eV per atom and eV/Å."""

    n_max: int = 8
    l_max: int = 8
    cutoff: float = 5.0
    n_sparse: int = 800
    sigma_energy: float = 0.001
    sigma_force: float = 0.05

    def arguments(self, train: Path, model: Path) -> list[str]:
        """Return the command line of gap_fit; energies of free atoms are means of the training energies."""
        soap = (
            f"soap n_max={self.n_max} l_max={self.l_max} cutoff={self.cutoff} cutoff_transition_width=0.5 "
            f"atom_sigma=0.5 zeta=4 delta=1.0 covariance_type=dot_product n_sparse={self.n_sparse} "
            "sparse_method=cur_points add_species=T"
        )
        return [
            f"at_file={train}",
            f"gap={{{soap}}}",
            f"default_sigma={{{self.sigma_energy} {self.sigma_force} 0 0}}",
            "e0_method=average",
            "energy_parameter_name=energy",
            "force_parameter_name=forces",
            "do_copy_at_file=F",
            "sparse_separate_file=F",
            f"gp_file={model}",
        ]


def without_stress(path: Path, output: Path) -> Path:
    """Write the structures without their stress; return the file."""
    output.write_text(STRESS.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")
    return output


def environment(folder: Path) -> Path:
    """Return the folder of programs of the environment, made where it is not there."""
    programs = folder / "bin"
    if not (programs / "gap_fit").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([str(programs / "python"), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return programs


def timed(command: list[str], log: Path) -> tuple[float, float]:
    """Run a program with one thread; return its CPU seconds and largest resident memory in MiB."""
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(command, env=os.environ | ONE_THREAD, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
        raise SystemExit("\n".join([f"{command[0]} failed, see {log}:", *tail]))
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def predict(model: Path, test: Path, output: Path) -> None:
    """Write differences to the reference, structure by structure, as JSON; runs within the environment."""
    io, potential = importlib.import_module("ase.io"), importlib.import_module("quippy.potential")
    gap, found = potential.Potential(param_filename=str(model)), []
    for atoms in io.read(test, ":"):
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = gap
        found.append(
            {
                "group": atoms.info.get("config_type", ""),
                "energy": (atoms.get_potential_energy() - energy) / len(atoms),
                "forces": (atoms.get_forces() - forces).tolist(),
            }
        )
    output.write_text(json.dumps(found), encoding="utf-8")


def errors(found: list[dict[str, Any]]) -> dict[str, float]:
    """Return mean absolute errors of some structures: energy per atom in meV, forces in eV/Å."""
    atoms = [force for item in found for force in item["forces"]]
    return {
        "structures": len(found),
        "energy_per_atom_mev": 1000 * sum(abs(item["energy"]) for item in found) / len(found),
        "force_component": sum(abs(x) for force in atoms for x in force) / (3 * len(atoms)),
        "force_norm_of_difference": sum(sum(x * x for x in force) ** 0.5 for force in atoms) / len(atoms),
    }


def main() -> None:
    """Fit, predict, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("train", type=Path, help="extended XYZ with energy and forces")
    parser.add_argument("test", type=Path)
    parser.add_argument("--output", type=Path, default=Path("gap.csv"))
    parser.add_argument("--work", type=Path, default=Path("gap_run"), help="folder of potential and logs")
    parser.add_argument("--environment", type=Path, default=ENVIRONMENT)
    for key, value in vars(Settings()).items():
        parser.add_argument(f"--{key.replace('_', '-')}", type=type(value), default=value)
    options = parser.parse_args()
    settings = Settings(**{key: getattr(options, key) for key in vars(Settings())})
    programs = environment(options.environment).resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    model, differences = options.work / "gap.xml", options.work / "differences.json"
    train = without_stress(options.train, options.work / "train.xyz")
    start = time.perf_counter()
    cpu, memory = timed(
        [str(programs / "gap_fit"), *settings.arguments(train, model)], options.work / "fit.log"
    )
    wall = time.perf_counter() - start
    python, arguments = str(programs / "python"), [str(model), str(options.test), str(differences)]
    predicting, _ = timed([python, __file__, "--predict", *arguments], options.work / "predict.log")
    found = json.loads(differences.read_text(encoding="utf-8"))
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in found:
        groups[item["group"]].append(item)
    cost = {"fit_cpu_s": cpu, "fit_wall_s": wall, "fit_mib": memory, "predict_cpu_s": predicting}
    rows = [{"group": "all", **errors(found), **cost}]
    rows += [{"group": name, **errors(items)} for name, items in sorted(groups.items()) if name]
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({k: round(v, 5) if isinstance(v, float) else v for k, v in r.items()} for r in rows)
    print(options.output.read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--predict"]:
        predict(*map(Path, sys.argv[2:5]))
    else:
        main()
