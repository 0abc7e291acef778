"""The verdict of an evaluation: printed last, stored, and the same wherever it is read."""

import json

import h5py
import numpy as np
import pytest

from aenet_gpr_cli.config.stages.prediction_config import PredictConfig
from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.stages import predict_stage
from aenet_gpr_cli.stages.shared.context import Context


def test_it_is_stored_with_the_metrics(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    with h5py.File(finished / "metrics.h5") as file:
        verdict, summary = (json.loads(file.attrs[key]) for key in ("verdict", "summary"))
        forces = np.concatenate([g["reference_forces"][()].ravel() for g in file["reference"].values()])
    assert [name for name, result in metrics.items() if result["best"]] == [verdict["best"]]
    assert metrics[verdict["best"]]["verdict"] == verdict
    assert summary["closing"][0] == verdict["headline"]
    assert len(summary["closing"]) == 1 + len(verdict["statements"])
    size = metrics[verdict["best"]]["total"]["force_component_rms_reference"]
    assert size == pytest.approx(np.sqrt((forces**2).mean()))


def test_predictions_of_labelled_structures_end_with_their_errors(finished, tmp_path):
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    subset = load_split(finished / "split.h5", "test")["H2"]
    frames = []
    for i in range(len(subset)):
        atoms = Atoms(subset.species, subset.positions[i])
        atoms.calc = SinglePointCalculator(atoms, energy=subset.energies[i], forces=subset.forces[i])
        frames.append(atoms)
    write(tmp_path / "labelled.xyz", frames, format="extxyz")
    output = tmp_path / "p.h5"
    summary = predict_stage.run(
        PredictConfig(), finished / "ann_gpr.h5", [tmp_path / "labelled.xyz"], output, Context()
    )
    metrics = json.loads((finished / "metrics.json").read_text())["ann_gpr"]["total"]
    assert summary.closing[0] == f"Errors against the {len(subset)} structures with labels:"
    assert f"MAE {metrics['energy_mae_per_atom'] * 1000:.3g} meV per atom" in summary.closing[1]
    assert f"MAE {metrics['force_component_mae']:.3g} eV/Å per component" in summary.closing[2]
