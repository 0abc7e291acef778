"""Fit a Gaussian approximation potential with gap_fit (QUIP) to a set, as a peer to compare with.

Run as ``python example_data/peers/gap.py TRAIN.xyz TEST.xyz [--output gap.csv] [options]``; needs only Python
(3.11 to 3.13): the first run makes a virtual environment of its own with quippy-ase. Writes CSV: of all test
structures and of each ``config_type`` the mean absolute error of the energy (meV, of the structure and per
atom), of force components and of ‖F‖, the mean norm of the force errors (eV/Å); of the fit CPU seconds and
resident memory (MiB), of a step of dynamics with the ASE calculator (energy and forces of the largest test
structure) the milliseconds. A fit that ended is not done again while its command stays.

Defaults: SOAP with 8 radial functions and degrees up to 8 within 5 Å, 800 sparse points per species, σ of
1 meV per atom and 0.05 eV/Å, no stress, one thread. The test set is seen at the end only.
"""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from common import Fitted, command_line, environment, fitted, measure_and_write
from peer_measure import measure

PACKAGES = ("quippy-ase==0.10.3", "ase==3.29.0", "numpy==2.4.6")
STRESS = re.compile(r'\b(?:stress|virial)="[^"]*" ?')  # gap_fit would fit it, asked or not
HEADS = re.compile(r"^.*\bProperties=.*$", re.MULTILINE)
BOX = 'Lattice="100 0 0 0 100 0 0 0 100" '  # Å; without one gap_fit reads no energies


@dataclass(frozen=True)
class Settings:
    """What gap_fit is asked for; cutoff in Å, sigmas in eV per atom and eV/Å."""

    n_max: int = 8
    l_max: int = 8
    cutoff: float = 5.0
    n_sparse: int = 800
    sigma_energy: float = 0.001
    sigma_force: float = 0.05

    def words(self) -> str:
        """Return them in short."""
        return f"SOAP {self.n_max}/{self.l_max}, {self.cutoff:g} Å, {self.n_sparse} sparse points a species"

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


def for_gap_fit(path: Path, output: Path) -> Path:
    """Write the structures without their stress, isolated ones in a wide box; return the file."""
    text = STRESS.sub("", path.read_text(encoding="utf-8"))
    heads = [BOX + head if "Lattice=" not in head else head for head in HEADS.findall(text)]
    output.write_text(HEADS.sub(lambda _: heads.pop(0), text), encoding="utf-8")
    return output


def predict(model: Path, test: Path, output: Path) -> None:
    """Write errors and the cost of a step; runs within the environment."""
    potential = importlib.import_module("quippy.potential").Potential(param_filename=str(model))
    measure(importlib.import_module("ase.io").read(test, ":"), potential, output)


def main() -> None:
    """Fit, predict, and write the table."""
    options, settings = command_line(__doc__, "gap", Settings())
    programs, model = environment(options.environment, PACKAGES, "gap_fit"), options.work / "gap.xml"
    train = for_gap_fit(options.train, options.work / "train.xyz")
    fit = fitted([str(programs / "gap_fit"), *settings.arguments(train, model)], options.work / "fit.log")
    models = [Fitted("gap_fit", settings.words(), model, fit)]
    measure_and_write(programs / "python", __file__, models, options)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--predict"]:
        predict(*map(Path, sys.argv[2:5]))
    else:
        main()
