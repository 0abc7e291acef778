"""The table of trainings beside the metrics: mode, optimiser, time, and what the members are worth alone."""

import csv
import json

import h5py
import numpy as np
import pytest

from aenet_gpr_cli.evaluation.parity_samples import parity_samples
from aenet_gpr_cli.stages.evaluate.model_errors import errors_of, group_notes, joined_errors, lone_notes
from aenet_gpr_cli.stages.evaluate.sigma_coverage import Uncertainty
from aenet_gpr_cli.stages.shared.predictors import Prediction
from aenet_gpr_cli.structures import StructureSet


def test_a_row_for_each_network_with_the_errors_of_its_members(finished):
    with (finished / "metrics_training.csv").open() as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    metrics = json.loads((finished / "metrics.json").read_text())
    assert set(rows) == set(metrics)  # a model of one table is in the other
    assert rows.pop("gpr")["mode"] == "gp"
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


def test_errors_by_kind_of_structure_add_up_to_those_of_all():
    rng = np.random.default_rng(0)
    n = 12
    kinds = tuple(["bulk", "slab", ""][i % 3] for i in range(n))
    subset = StructureSet(
        ("Cu", "Cu"),
        rng.random((n, 2, 3)),
        energies=rng.random(n),
        forces=rng.random((n, 2, 3)),
        names=tuple(map(str, range(n))),
        groups=kinds,
    )
    prediction = Prediction(rng.random((2, n)), rng.random((2, n, 2, 3)), None)
    both = joined_errors([errors_of(subset, prediction, 0.0)] * 2)
    assert list(both.groups) == ["(none)", "bulk", "slab"]
    total, parts = both.metrics(), both.group_metrics().values()
    for key in ("energy_mae", "force_component_mae", "force_norm_mae"):
        assert total[key] == pytest.approx(np.mean([part[key] for part in parts]))
    chosen = subset.select([i for i in range(n) if kinds[i] == "slab"])
    assert both.group_metrics()["slab"]["n_structures"] == 2 * len(chosen) == 8
    (note,) = group_notes({"gpr": {"groups": both.group_metrics()}})
    assert note.startswith("gpr by kind, meV per atom and force component: (none) (8) ")


def test_forces_on_lone_atoms_do_not_flatter_the_errors_of_others():
    """They are zero by symmetry: any model has them right."""
    rng, n = np.random.default_rng(0), 6

    def compared(n_atoms: int):
        subset = StructureSet(
            ("Cu",) * n_atoms,
            rng.random((n, n_atoms, 3)),
            energies=rng.random(n),
            forces=rng.random((n, n_atoms, 3)) * (n_atoms > 1),
            names=tuple(map(str, range(n))),
            groups=("bulk",) * n,
        )
        forces = rng.random((2, n, n_atoms, 3)) * (n_atoms > 1)
        prediction = Prediction(rng.random((2, n)), forces, None, force_sigma=np.ones((n, n_atoms, 3)))
        samples = parity_samples(subset.energies, prediction.energies, subset.forces, forces)
        uncertainty = Uncertainty.of(prediction, subset)
        return errors_of(subset, prediction, 0.0), len(samples.reference_norms), len(uncertainty.force_z)

    (pair, *_), (lone, *shown) = compared(2), compared(1)
    assert shown == [0, 0]
    both, alone = joined_errors([pair, lone]), pair.metrics()
    for found in (both.metrics(), both.group_metrics()["bulk"], both.species_metrics()["Cu"]):
        for key in ("force_component_mae", "force_norm_rmse", "force_norm_spread", "n_atoms"):
            assert found[key] == alone[key]
    assert both.metrics()["n_structures"] == 2 * n
    (note,) = lone_notes({"gpr": {"total": both.metrics()}})
    assert note.startswith(f"forces: those of {n} of {2 * n} structures, of one atom each, are left out")
    assert lone.metrics()["force_component_mae"] is None
    assert not lone_notes({"gpr": {"total": alone}})
