"""The table of trainings beside the metrics: mode, optimiser, time, and what the members are worth alone."""

import csv
import json

import h5py
import numpy as np
import pytest


def test_a_row_for_each_network_with_the_errors_of_its_members(finished):
    with (finished / "metrics_training.csv").open() as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    metrics = json.loads((finished / "metrics.json").read_text())
    assert set(rows) == {name for name in metrics if name.startswith("ann_")}
    assert len(rows) > 2
    for name, row in rows.items():
        with h5py.File(finished / f"{name}.h5") as artefact, h5py.File(finished / "metrics.h5") as results:
            assert row["mode"] == artefact.attrs["mode"]
            assert float(row["training_s"]) == artefact.attrs["wall_time_s"] > 0
            predicted = results[f"models/{name}/H2/predicted_energies"][()]
            reference = results["reference/H2/reference_energies"][()]
        assert row["optimiser"] == "levenberg_marquardt"
        assert float(row["energy_mae"]) == metrics[name]["total"]["energy_mae"]
        each = np.abs(predicted - reference).mean(1)
        assert len(each) == 2
        assert float(row["member_energy_mae"]) == pytest.approx(each.mean())
        assert float(row["energy_mae"]) <= float(row["member_energy_mae"]) * (1 + 1e-12)  # convexity
