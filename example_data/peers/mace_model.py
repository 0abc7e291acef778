"""Train a MACE potential on a set, as a peer to compare with.

Run as ``python example_data/peers/mace_model.py TRAIN.xyz TEST.xyz [--output mace.csv] [options]``; needs
only Python (3.11 to 3.13): the first run makes a virtual environment of its own with mace-torch. Writes the
same table as `gap.py`.

Defaults: 64 scalar and vector channels, two layers, 5 Å, batches of 5, 100 epochs of which the last quarter
weighs energies more, a tenth of the training set for validation, float64, one thread: hours on a processor
are usual. The test set is seen at the end only.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

from common import Fitted, command_line, environment, fitted, measure_and_write
from peer_measure import measure

PACKAGES = ("mace-torch==0.3.16", "torch==2.13.0", "ase==3.29.0")


@dataclass(frozen=True)
class Settings:
    """What mace_run_train is asked for; cutoff in Å."""

    hidden: str = "64x0e + 64x1o"
    cutoff: float = 5.0
    epochs: int = 100
    batch: int = 5
    validation: float = 0.1

    def words(self) -> str:
        """Return them in short."""
        return f"{self.hidden}, {self.cutoff:g} Å, {self.epochs} epochs"

    def arguments(self, train: Path) -> list[str]:
        """Return the command line; energies of free atoms are fitted to the training energies."""
        values = {
            "name": "peer",
            "train_file": train,
            "valid_fraction": self.validation,
            "energy_key": "energy",
            "forces_key": "forces",
            "E0s": "average",
            "hidden_irreps": self.hidden,
            "r_max": self.cutoff,
            "batch_size": self.batch,
            "max_num_epochs": self.epochs,
            "start_swa": round(0.75 * self.epochs),
            "default_dtype": "float64",
            "device": "cpu",
            "seed": 1,
        }
        return [f"--{key}={value}" for key, value in values.items()] + ["--swa"]


def predict(model: Path, test: Path, output: Path) -> None:
    """Write errors and the cost of a step; runs within the environment."""
    calculator = importlib.import_module("mace.calculators").MACECalculator(
        model_paths=str(model), device="cpu", default_dtype="float64"
    )
    measure(importlib.import_module("ase.io").read(test, ":"), calculator, output)


def main() -> None:
    """Train, predict, and write the table."""
    options, settings = command_line(__doc__, "mace", Settings())
    programs, work = environment(options.environment, PACKAGES, "mace_run_train"), options.work.resolve()
    command = [str(programs / "mace_run_train"), *settings.arguments(options.train.resolve())]
    fit = fitted(command, work / "fit.log", work)
    # the second stage leaves none where it is not better
    model = next(m for m in (work / "peer_stagetwo.model", work / "peer.model") if m.exists())
    models = [Fitted("MACE", settings.words(), model, fit)]
    measure_and_write(programs / "python", __file__, models, options)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--predict"]:
        predict(*map(Path, sys.argv[2:5]))
    else:
        main()
