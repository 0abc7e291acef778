"""Fit our own models to a set, one process after the other, measured as the peers are.

Run as ``python example_data/peers/ours.py TRAIN.xyz TEST.xyz [--output ours.csv] [options]`` within the
environment of the package. Writes the table of `gap.py`, with a row for each model.

Settings: the keys that ``aenet-gpr init`` writes, with one network in place of four. ``full process`` (where
all structures have the same atoms and cell) searches its descriptor and permutations, ``local process`` its
descriptor and cutoffs. The first of those that are asked for labels the copies (36 of each structure,
0.034 Å) of GPR-ANN and ``combined``, whose cost has its fit and the copies in it. ``direct`` learns from the
references alone. Steps of dynamics are those of our ASE calculators, without σ.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from common import Fitted, command_line, fitted, measure_and_write, timed
from peer_measure import measure

LOSS = {"alpha": 0.1, "force_fraction": "auto", "balance": "evidence"}
NETWORK = {"n_members": 1, "network": {"angular_cutoffs": "auto", "resolve_species": "auto"}}
PROCESSES = {"full process": "full", "local process": "local"}
NETWORKS: Mapping[str, dict[str, Any]] = {  # by the name in the table
    "GPR-ANN": {"mode": "gpr"},
    "direct": {"mode": "direct", "loss": LOSS},
    "combined": {"mode": "combined", "loss": LOSS},
}


@dataclass(frozen=True)
class Settings:
    """Which models, between commas."""

    models: str = ",".join((*PROCESSES, *NETWORKS))


def keys(options: Any) -> dict[str, dict[str, Any]]:
    """Return the keys of each stage, by the name of its file."""
    inputs = {"inputs": [str(options.train.resolve())], "test_inputs": [str(options.test.resolve())]}
    found: dict[str, dict[str, Any]] = {"split": {**inputs, "seed": 1}}
    found |= {name: {"model": model, "seed": 1} for name, model in PROCESSES.items()}
    found["copies"] = {"method": "gpr", "seed": 1}
    return found | {name: {**NETWORK, **values, "seed": 1} for name, values in NETWORKS.items()}


def fit_all(options: Any, wanted: list[str]) -> list[Fitted]:
    """Fit the models, in the folder of options; return them in that order."""
    work = options.work.resolve()
    files = {name: work / f"{name.replace(' ', '_')}.h5" for name in keys(options)}

    def command(stage: str, name: str, *inputs: str) -> list[str]:
        configuration = files[name].with_suffix(".yaml")
        configuration.write_text(yaml.safe_dump(keys(options)[name]), encoding="utf-8")
        words = [sys.executable, "-m", "aenet_gpr_cli", stage, *(str(files[key]) for key in inputs)]
        return [*words, "-c", str(configuration), "-o", str(files[name]), "--force"]

    timed(command("split", "split"), work / "split.log")
    costs = {
        name: fitted(command("fit-gpr", name, "split"), files[name].with_suffix(".log"))
        for name in PROCESSES
        if name in wanted
    }
    learn_from_copies = [name for name in wanted if name in NETWORKS and name != "direct"]
    if learn_from_copies:
        process = next(iter(costs))
        labels = fitted(command("augment", "copies", "split", process), work / "copies.log") + costs[process]
    for name in (name for name in NETWORKS if name in wanted):
        inputs = ("split", "copies") if name in learn_from_copies else ("split",)
        costs[name] = fitted(command("train-ann", name, *inputs), files[name].with_suffix(".log"))
        if name in learn_from_copies:
            costs[name] += labels
    return [Fitted(name, "keys of init, one network", files[name], costs[name]) for name in wanted]


def predict(model: Path, test: Path, output: Path) -> None:
    """Write errors and the cost of a step."""
    from ase.io import iread

    from aenet_gpr_cli.calculators.ann_calculator import ANNCalculator
    from aenet_gpr_cli.calculators.gpr_calculator import GPRCalculator

    is_process = model.stem.endswith("process")
    calculator: Any = (
        GPRCalculator.from_file(model, sigma="none")
        if is_process
        else ANNCalculator.from_file(model, sigma=False)
    )
    measure(list(iread(test)), calculator, output)


def main() -> None:
    """Fit, predict, and write the table."""
    options, settings = command_line(__doc__, "ours", Settings())
    wanted = [name.strip() for name in settings.models.split(",")]
    if unknown := set(wanted) - {*PROCESSES, *NETWORKS}:
        raise SystemExit(f"--models: expected some of {settings.models}, got {', '.join(sorted(unknown))}")
    if not set(wanted) & set(PROCESSES) and set(wanted) - {"direct"}:
        raise SystemExit("--models: copies need the full or the local process")
    measure_and_write(Path(sys.executable), __file__, fit_all(options, wanted), options)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--predict"]:
        predict(*map(Path, sys.argv[2:5]))
    else:
        main()
