"""The benchmark: each point once, in a process of its own, kept, and resumed where it stopped."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import h5py
import pytest

from aenet_gpr_cli.ann.execution.surroundings import Processes
from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.stages.benchmark_config import BenchmarkConfig, ClusterConfig
from aenet_gpr_cli.errors import ConfigError, InterruptedRun, NumericalError
from aenet_gpr_cli.stages.benchmark import benchmark_stage as benchmark
from aenet_gpr_cli.stages.benchmark.benchmark_grid import points
from aenet_gpr_cli.stages.benchmark.benchmark_point import measure
from aenet_gpr_cli.stages.shared.context import Context

LABELS = ("mode", "optimiser", "radial_cutoff", "angular_cutoff", "batch_size", "processes", "n_molecules")
SMALL = {
    "modes": ["gpr", "direct"],
    "cutoffs": [{"radial": 3.0, "angular": 2.0}],
    "batch_sizes": [3, 6],
    "n_copies": 3,
    "n_epochs": 2,
    "network": {"radial_order": 3, "angular_order": 1, "hidden": [3]},
    "fit_gpr": {"model": "full", "length_scale": 1.0, "power": 1.0},
}


def test_one_thing_varies_at_a_time():
    config = BenchmarkConfig(
        processes=(1, 2), clusters=ClusterConfig(molecules=(2, 4)), modes=("gpr", "direct")
    )
    found = [point.labels for point in points(config, Path("split.h5"))]
    assert len({str(point) for point in found}) == len(found)
    # three cutoffs, four batch sizes, two numbers of processes, less what they have in common, two clusters
    assert sum(point["mode"] == "direct" for point in found) == 3 + 4 + 2 - 2 + 2
    assert [point["n_molecules"] for point in found if point["mode"] == "surrogate"] == [0, 2, 4]
    base = found[0]
    for point in found:
        if point["mode"] == "direct":
            cutoff, size = point["radial_cutoff"] != base["radial_cutoff"], point["batch_size"] != 32
            assert cutoff + size + (point["processes"] != 1) + (point["n_molecules"] > 0) <= 1
    assert {p.n_molecules for p in points(config, None)} == {2, 4}


def test_the_batch_size_is_for_adamw_only():
    config = BenchmarkConfig(optimisers=("levenberg_marquardt",), modes=("direct",))
    assert {point.labels["batch_size"] for point in points(config, Path("split.h5"))} == {32}


def test_the_surrogate_of_all_modes_with_copies_is_measured_once():
    config = BenchmarkConfig(modes=("combined", "gpr", "direct"))
    found = [point.labels["mode"] for point in points(config, Path("split.h5"))]
    assert {mode: found.count(mode) for mode in found} == {
        "combined": 6, "gpr": 6, "direct": 6, "surrogate": 1
    }  # fmt: skip


def test_a_local_process_is_measured_beside_the_surrogate(tmp_path):
    keys = {"local_process": True, "modes": ["combined", "direct"], "batch_sizes": [3], "clock": "cpu"}
    config = build(
        BenchmarkConfig, SMALL | keys | {"clusters": {"molecules": [1], "n_structures": 3}}, "test"
    )
    found = points(config, None)
    processes = {p.labels["mode"]: p.fit_gpr.model for p in found if p.training is None}
    assert processes == {"surrogate": "full", "local": "local"}
    up_to = replace(config, clusters=ClusterConfig(molecules=(1, 2), surrogate_up_to=1))
    sizes = [(p.process, p.n_molecules) for p in points(up_to, None) if p.training is None]
    assert sizes == [("surrogate", 1), ("local", 1), ("local", 2)]
    benchmark.run(config, None, tmp_path / "b.h5", Context())
    with h5py.File(tmp_path / "b.h5") as file:
        combined, direct = json.loads(file.attrs["table"])
    assert (combined["mode"], combined["n_structures"]) == ("combined", 3 + 3 * 3)
    costs = [f"{start}{key}" for start in ("", "local_") for key in benchmark.PROCESS_KEYS]
    assert all(combined[key] > 0 for key in costs)
    assert all(direct[key] is None for key in costs)


def test_stopped_and_resumed(finished, tmp_path):
    config, output = build(BenchmarkConfig, SMALL | {"batch_sizes": [3]}, "test"), tmp_path / "benchmark.h5"
    seen = []

    def progress(done, total, message):
        seen.append(message)

    context = Context(progress=progress, stop=lambda: len(seen) == 2)
    with pytest.raises(InterruptedRun, match="finished before is kept"):
        benchmark.run(config, finished / "split.h5", output, context)
    kept = sorted((tmp_path / ".benchmark.h5.checkpoint").glob("finished_*.h5"))
    assert len(kept) == 1
    first = {}
    for path in kept:
        with h5py.File(path) as file:
            first |= json.loads(file.attrs["measured"])
    seen.clear()
    summary = benchmark.run(config, finished / "split.h5", output, Context(progress=progress))
    assert len(seen) == 2
    with h5py.File(output) as file:
        table = json.loads(file.attrs["table"])
    assert [row["mode"] for row in table] == ["gpr", "direct"]
    for row in table:
        name = "_".join(str(row[key]) for key in LABELS)
        if name in first:
            assert first[name].items() <= row.items()
        assert 0.0 < row["seconds_per_epoch"] < 60.0
        assert row["memory_before"] < row["peak_memory"]
        assert row["n_atoms"] == 2
        assert row["neighbours"] == 1.0
        assert row["n_structures"] == (28 if row["mode"] == "gpr" else 7)
        assert (row["fit_seconds"] is not None) == (row["mode"] == "gpr")
    with output.with_suffix(".csv").open() as file:
        assert [row["mode"] for row in csv.DictReader(file)] == [row["mode"] for row in table]
    assert output.with_suffix(".png").stat().st_size > 10_000
    assert len(summary.rows) == 2
    assert not (tmp_path / ".benchmark.h5.checkpoint").exists()
    assert "up to date" in benchmark.run(config, finished / "split.h5", output, Context()).title


@pytest.mark.parametrize("optimiser", ["adamw", "levenberg_marquardt"])
def test_clusters_are_measured_with_both_optimisers(optimiser):
    config = build(
        BenchmarkConfig, SMALL | {"clock": "cpu", "clusters": {"molecules": [2], "n_structures": 3}}, "test"
    )
    [point] = points(replace(config, modes=("direct",), optimisers=(optimiser,)), None)
    measured = measure(point, Processes())
    assert measured["n_atoms"] == 20
    assert measured["n_structures"] == 3
    assert measured["neighbours"] > 5
    assert measured["seconds_per_epoch"] > 0


def test_processes_share_a_training(tmp_path):
    config = build(BenchmarkConfig, SMALL | {"processes": [2], "clusters": {"molecules": [1]}}, "test")
    [point] = [point for point in points(config, None) if point.labels["mode"] == "gpr"]
    measured = benchmark._measure(point, 1, Context())
    alone = measure(point, Processes())
    assert measured["n_structures"] == alone["n_structures"] == 80
    assert (measured["processes"], alone["processes"]) == (2, 1)


def test_a_point_that_fails_is_named(tmp_path):
    config = build(BenchmarkConfig, SMALL, "test")
    point = points(replace(config, modes=("direct",)), tmp_path / "none.h5")[0]
    with pytest.raises(NumericalError, match=r"direct_adamw_3\.0_2\.0_3_1_0 failed: .*no such file"):
        benchmark._measure(point, 1, Context())


def test_something_to_measure_is_needed(tmp_path):
    with pytest.raises(ConfigError, match="expected a split, or sizes"):
        benchmark.run(BenchmarkConfig(), None, tmp_path / "b.h5", Context())


def row(mode, neighbours, atoms, seconds, data, **keys):
    standard = {"optimiser": "adamw", "radial_cutoff": 6.5, "angular_cutoff": 4.0, "batch_size": 32}
    standard |= {"processes": 1, "n_molecules": 0, "neighbours": neighbours, "n_atoms": atoms}
    return {"mode": mode, **standard, "memory_before": 100, "seconds_per_epoch": seconds} | {
        "peak_memory": 100 + data,
        **keys,
    }


def test_crossings_are_told():
    table = []
    for atoms in (20, 80):
        size = {"n_molecules": atoms // 10}
        table.append(row("gpr", 10, atoms, atoms / 40, atoms, **size))
        table.append(row("direct", 10, atoms, (atoms / 40) ** 2, 2 * atoms, **size))
    assert benchmark.crossings(table) == [
        "adamw: GPR-ANN needs less time per epoch than direct force training from 40 atoms",
        "adamw: GPR-ANN needs less data memory than direct force training everywhere between 20 and 80 atoms",
    ]
