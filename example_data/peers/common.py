"""What the scripts of all peers share: command line, an environment of its own, timed fits, the table."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from peer_rows import Cost, print_rows, rows_of, write_rows

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Given = TypeVar("Given", bound="DataclassInstance")

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


def command_line(text: str | None, name: str, defaults: Given) -> tuple[argparse.Namespace, Given]:
    """Return the command line, the sets and where things go, and the settings that it gives."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("train", type=Path, help="extended XYZ with energy and forces")
    parser.add_argument("test", type=Path)
    parser.add_argument("--output", type=Path, default=Path(f"{name}.csv"))
    parser.add_argument("--work", type=Path, default=Path(f"{name}_run"), help="folder of model and logs")
    parser.add_argument("--environment", type=Path, default=Path(".peers") / name)
    parser.add_argument("--set", help="what the set is called in the table; default: the folder of TRAIN")
    for key, value in vars(defaults).items():
        parser.add_argument(f"--{key.replace('_', '-')}", type=type(value), default=value)
    options = parser.parse_args()
    options.set = options.set or options.train.resolve().parent.name
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
    """Run a program with one thread, in a folder; its children count."""
    start = time.perf_counter()
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            command, env=os.environ | ONE_THREAD, stdout=out, stderr=subprocess.STDOUT, cwd=folder
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
        raise SystemExit("\n".join([f"{command[0]} failed, see {log}:", *tail]))
    per_mib = 2**20 if sys.platform == "darwin" else 2**10
    return Cost(usage.ru_utime + usage.ru_stime, time.perf_counter() - start, usage.ru_maxrss / per_mib)


def fitted(command: list[str], log: Path, folder: Path | None = None) -> Cost:
    """Run a fit, or return what it took when the same command ended before, beside its log."""
    record = log.with_suffix(".json")
    if record.exists():
        found = json.loads(record.read_text(encoding="utf-8"))
        if found["command"] == command:
            return Cost(**found["cost"])
    record.unlink(missing_ok=True)
    cost = timed(command, log, folder)
    record.write_text(json.dumps({"command": command, "cost": asdict(cost)}), encoding="utf-8")
    return cost


@dataclass(frozen=True)
class Fitted:
    """A model: its name in the table, how it was asked for, its file, what its fit took."""

    name: str
    settings: str
    file: Path
    cost: Cost


def measure_and_write(
    python: Path, script: str, models: Sequence[Fitted], options: argparse.Namespace
) -> None:
    """Let ``script --predict`` measure each model within the environment; write the table, and print it."""
    rows = []
    for model in models:
        found = options.work.resolve() / f"{model.name.replace(' ', '_')}.measured.json"
        command = [str(python), script, "--predict", str(model.file), str(options.test), str(found)]
        predicting = timed(command, found.with_suffix(".log"))
        measured = json.loads(found.read_text(encoding="utf-8"))
        head = {"set": options.set, "model": model.name, "settings": model.settings}
        rows += rows_of(head, measured, model.cost, predicting)
    write_rows(rows, options.output)
    print_rows(rows)
