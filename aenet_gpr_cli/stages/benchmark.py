"""`benchmark`: split.h5 → benchmark.h5 with CSV and picture: time per epoch and peak memory of the modes.

Every point is a fresh process, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aenet_gpr_cli.config.benchmark import BenchmarkConfig
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.figures import benchmark as figure
from aenet_gpr_cli.figures.style import save
from aenet_gpr_cli.io.artefact import publish
from aenet_gpr_cli.io.tables import write_csv
from aenet_gpr_cli.stages.base import Context, Summary, make_job, nothing_to_do, planned
from aenet_gpr_cli.units import BYTES_PER_GIB

KIND = "benchmark"
COLUMNS = (
    "mode",
    "cutoffs / Å",
    "batch",
    "structures",
    "set-up / s",
    "epoch / s",
    "peak memory / GiB",
    "of it data / GiB",
)


def run(config: BenchmarkConfig, split: Path, output: Path, context: Context) -> Summary:
    """Measure all points.

    Parameters
    ----------
    config : BenchmarkConfig
    split : Path
        Output of `split`.
    output : Path
        The CSV and the picture are written beside it under the same name.
    context : Context

    Returns
    -------
    Summary

    Raises
    ------
    NumericalError
        If a point fails.
    """
    job = make_job(KIND, config, {"split": split}, context)
    if (done := nothing_to_do(output, job, context)) is not None:
        return done
    points = list(_points(config))
    if context.dry_run:
        return planned(KIND, output, [f"{len(points)} points, {config.n_epochs + 1} epochs each"])
    table = []
    with publish(output, job) as file:
        for number, point in enumerate(points):
            context.report(number, len(points), "measuring")
            table.append({**point, **_measure(point, config, split)})
        write_csv(output.with_suffix(".csv"), table)
        save(figure.plot(table), output.with_suffix(".png"))
        written = [f"wrote {output.with_suffix(suffix)}" for suffix in (".h5", ".csv", ".png")]
        summary = Summary("Time per epoch and memory", COLUMNS, [_row(entry) for entry in table], written)
        file.attrs["table"] = json.dumps(table)
        file.attrs["summary"] = summary.to_json()
    return summary


def _points(config: BenchmarkConfig) -> Iterator[dict[str, Any]]:
    """Vary the cutoffs at the first batch size, then the batch size at the first cutoffs."""
    first, *other_cutoffs = config.cutoffs
    size, *other_sizes = config.batch_sizes
    for mode in config.modes:
        pairs = [(first, size), *((c, size) for c in other_cutoffs), *((first, s) for s in other_sizes)]
        for cutoffs, batch_size in pairs:
            yield {
                "mode": mode,
                "radial_cutoff": cutoffs.radial,
                "angular_cutoff": cutoffs.angular,
                "batch_size": batch_size,
            }


def _measure(point: dict[str, Any], config: BenchmarkConfig, split: Path) -> dict[str, Any]:
    network = config.network.model_dump()
    network |= {key: point[key] for key in ("radial_cutoff", "angular_cutoff")}
    request = {
        **{
            key: getattr(config, key)
            for key in ("n_epochs", "n_members", "n_copies", "displacement", "max_structures")
        },
        "mode": point["mode"],
        "batch_size": point["batch_size"],
        "network": network,
        "seed": config.seed,
        "split": str(split),
    }
    command = [sys.executable, "-m", "aenet_gpr_cli.stages.benchmark_point"]
    result = subprocess.run(
        command,
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # Ctrl-C in a terminal reaches this process only, which stops after the point
    )
    if result.returncode:
        last = (result.stderr.strip().splitlines() or [f"exit code {result.returncode}"])[-1]
        raise NumericalError(f"benchmark: the point {point} failed: {last}")
    measured: dict[str, Any] = json.loads(result.stdout)
    return measured


def _row(entry: dict[str, Any]) -> list[str]:
    data = entry["peak_memory"] - entry["memory_before"]
    return [
        entry["mode"],
        f"{entry['radial_cutoff']:g}/{entry['angular_cutoff']:g}",
        str(entry["batch_size"]),
        str(entry["n_structures"]),
        f"{entry['setup_seconds']:.2f}",
        f"{entry['seconds_per_epoch']:.3f}",
        f"{entry['peak_memory'] / BYTES_PER_GIB:.3f}",
        f"{data / BYTES_PER_GIB:.3f}",
    ]
