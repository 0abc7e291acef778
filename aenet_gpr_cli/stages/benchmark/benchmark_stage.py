"""`benchmark`: (split.h5) → benchmark.h5 with CSV and picture: time per epoch and peak memory of the modes.

Every point is a fresh process, so that its peak memory is its own, and is kept as soon as it is measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py

from aenet_gpr_cli.config.stages.benchmark_config import BenchmarkConfig
from aenet_gpr_cli.errors import ConfigError, InterruptedRun, NumericalError
from aenet_gpr_cli.figures import benchmark_plot
from aenet_gpr_cli.figures.style import save
from aenet_gpr_cli.io.artefacts.artefact import open_artefact, publish, publish_with_files
from aenet_gpr_cli.io.artefacts.checkpoint import Checkpoint
from aenet_gpr_cli.io.artefacts.side_files import beside
from aenet_gpr_cli.io.files import write_csv
from aenet_gpr_cli.settings import as_json
from aenet_gpr_cli.stages.benchmark.benchmark_grid import Point, points
from aenet_gpr_cli.stages.shared.context import GO_ON, Context, Summary, make_job, nothing_to_do, planned
from aenet_gpr_cli.stages.shared.outputs import claim
from aenet_gpr_cli.units import BYTES_PER_GIB

KIND = "benchmark"
COLUMNS = (
    *("mode", "optimiser", "cutoffs / Å", "batch", "processes", "atoms", "structures"),
    *("set-up / s", "epoch / s", "peak memory / GiB", "of it data / GiB"),
    *("GP fit + labels / s", "local GP fit + labels / s"),
)
ENDINGS = (".csv", ".png")  # of what is written beside the artefact
PROCESS_KEYS = ("fit_seconds", "label_seconds", "surrogate_memory")
PREFIXES = {"surrogate": "", "local": "local_"}  # of their columns in the table
SECONDS_BETWEEN_LOOKS = 0.2  # at the request to stop
MODULE = "aenet_gpr_cli.stages.benchmark.benchmark_point"


def run(config: BenchmarkConfig, split: Path | None, output: Path, context: Context) -> Summary:
    """Measure all points.

    Parameters
    ----------
    split : Path or None
        Output of `split`; without it only the clusters are measured.
    output : Path
        The CSV and the picture are written beside it under the same name.

    Raises
    ------
    ConfigError
        If there is nothing to measure.
    NumericalError
        If a point fails; those before it are kept.
    InterruptedRun
        If the context asked to stop; finished points are kept.
    """
    if split is None and not config.clusters.molecules:
        raise ConfigError("benchmark: expected a split, or sizes in clusters.molecules, got neither")
    claim(KIND, output, [split], ENDINGS)
    job = make_job(KIND, config, {} if split is None else {"split": split}, context)

    def write(file: h5py.File, folder: Path) -> None:
        table = json.loads(file.attrs["table"])
        csv, picture = (folder / f"{output.stem}{ending}" for ending in ENDINGS)
        write_csv(csv, table)
        save(benchmark_plot.plot(table), picture)

    if (done := nothing_to_do(output, job, context, write)) is not None:
        return done
    todo = points(config, split)
    if context.dry_run:
        return planned(KIND, output, [f"{len(todo)} points, {config.n_epochs + 1} epochs each"])
    checkpoint = Checkpoint(output, job)
    with publish_with_files(output, job) as (file, folder):
        checkpoint.prepare(context.resume, context.restart)
        file.attrs["wall_time_s"] = checkpoint.seconds_of_finished()
        table = _table(todo, _measure_missing(todo, config.threads, checkpoint, context))
        notes = [
            *crossings(table),
            *(f"wrote {path}" for path in (output, *(beside(output, e) for e in ENDINGS))),
        ]
        summary = Summary("Time per epoch and memory", COLUMNS, [_row(entry) for entry in table], notes)
        file.attrs["table"] = json.dumps(table)
        write(file, folder)
        file.attrs["summary"] = summary.to_json()
    checkpoint.discard()
    return summary


def crossings(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say from where on GPR-ANN needs less than direct force training, along cutoffs and along sizes.

    One sentence per series, optimiser and measure; data memory is that beyond the libraries.
    """
    sentences = []
    for name, rows in benchmark_plot.series(table).items():
        if name not in ("cutoff", "size"):
            continue
        key, unit = ("neighbours", "neighbours per atom") if name == "cutoff" else ("n_atoms", "atoms")
        for optimiser in dict.fromkeys(row["optimiser"] for row in rows):
            for what, measure in (("time per epoch", "seconds_per_epoch"), ("data memory", "peak_memory")):
                where = _where(rows, optimiser, key, measure)
                if where:
                    sentences.append(
                        f"{optimiser}: GPR-ANN needs less {what} than direct force training {where} {unit}"
                    )
    return sentences


def _where(rows: Sequence[Mapping[str, Any]], optimiser: str, x: str, measure: str) -> str:
    """Say from where on it needs less; nothing where both were measured once only."""
    places, start = benchmark_plot.cheaper_from(rows, optimiser, x, measure)
    if len(places) < 2:
        return ""
    if start is None:
        return f"not at {places[-1]:.0f}"
    if start == places[0]:
        return f"everywhere between {places[0]:.0f} and {places[-1]:.0f}"
    return f"from {start:.0f}"


def _table(todo: Sequence[Point], measured: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the trainings, those with copies with what the processes that label them took."""
    found: dict[tuple[str, int], dict[str, Any]] = {
        (point.process, point.n_molecules): measured[point.name] for point in todo if point.training is None
    }
    none = dict.fromkeys(PROCESS_KEYS)
    table = []
    for point in todo:
        if point.training is None:
            continue
        row = {**point.labels, **measured[point.name]}
        for process, prefix in PREFIXES.items():
            taken = found.get((process, point.n_molecules), none) if point.training.with_copies else none
            row |= {f"{prefix}{key}": taken[key] for key in PROCESS_KEYS}
        table.append(row)
    return table


def _measure_missing(
    todo: Sequence[Point], threads: int, checkpoint: Checkpoint, context: Context
) -> dict[str, dict[str, Any]]:
    """Return the measurements by the name of the point, measuring what the checkpoint does not hold."""
    measured: dict[str, dict[str, Any]] = {}
    for path in checkpoint.finished():
        with open_artefact(path) as file:
            measured |= json.loads(file.attrs["measured"])
    earlier, started = checkpoint.seconds_of_finished(), time.perf_counter()
    for number, point in enumerate(todo):
        if point.name in measured:
            continue
        replace(context, keeps=True).report(number, len(todo), f"measuring {point.name}")
        part, so_far = (point.name,), earlier + time.perf_counter() - started
        with publish(checkpoint.path_of(part), checkpoint.job_of(part)) as file:
            measured[point.name] = _measure(point, threads, context)
            file.attrs["measured"] = json.dumps({point.name: measured[point.name]})
            file.attrs["wall_time_s"] = so_far
    return measured


def _measure(point: Point, threads: int, context: Context) -> dict[str, Any]:
    command = [sys.executable, "-m"]
    if point.processes > 1:
        command += ["torch.distributed.run", "--standalone", f"--nproc-per-node={point.processes}", "-m"]
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}
    with tempfile.TemporaryDirectory() as folder:
        ask, answer, said = (Path(folder, name) for name in ("point.json", "result.json", "stderr"))
        ask.write_text(json.dumps(as_json(point)))
        with said.open("w") as errors:
            # a group of its own: Ctrl-C in a terminal reaches this process only, which ends the other
            process = subprocess.Popen(
                [*command, MODULE, str(ask), str(answer)],
                stdout=errors,
                stderr=errors,
                env=os.environ | limits,
                start_new_session=True,
            )
            _wait(process, point, context)
        if process.returncode or not answer.exists():
            lines = said.read_text().strip().splitlines() or [f"exit code {process.returncode}"]
            errors_said = [line for line in lines if "Error" in line] or lines
            raise NumericalError(f"benchmark: the point {point.name} failed: {errors_said[-1].strip()}")
        measured: dict[str, Any] = json.loads(answer.read_text())
    return measured


def _wait(process: subprocess.Popen, point: Point, context: Context) -> None:
    """Wait for the process, and end it if a stop is asked for."""
    while process.poll() is None:
        if context.stop():
            process.terminate()  # torchrun ends its processes
            process.wait()
            raise InterruptedRun(f"stopped while measuring {point.name}. {GO_ON}")
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _row(entry: Mapping[str, Any]) -> list[str]:
    data = entry["peak_memory"] - entry["memory_before"]
    return [
        entry["mode"],
        entry["optimiser"],
        f"{entry['radial_cutoff']:g}/{entry['angular_cutoff']:g}",
        str(entry["batch_size"]),
        str(entry["processes"]),
        str(entry["n_atoms"]),
        str(entry["n_structures"]),
        f"{entry['setup_seconds']:.2f}",
        f"{entry['seconds_per_epoch']:.3f}",
        f"{entry['peak_memory'] / BYTES_PER_GIB:.3f}",
        f"{data / BYTES_PER_GIB:.3f}",
        *(_fit_and_labels(entry, prefix) for prefix in PREFIXES.values()),
    ]


def _fit_and_labels(entry: Mapping[str, Any], prefix: str) -> str:
    fit, labels = entry.get(f"{prefix}fit_seconds"), entry.get(f"{prefix}label_seconds")
    return "–" if fit is None or labels is None else f"{fit:.1f} + {labels:.1f}"
