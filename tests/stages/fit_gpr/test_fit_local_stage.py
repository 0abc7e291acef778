"""The local process in the stages: data of changing cells and compositions, from split to networks."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from aenet_gpr_cli.calculators.gpr_calculator import GPRCalculator
from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.workflow_config import WorkflowConfig
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.gpr.local.local_model import LocalModel
from aenet_gpr_cli.io.artefacts.stored_gps import load_gps
from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage as fit_gpr
from aenet_gpr_cli.stages.fit_gpr.fit_local_stage import full_subsets
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.workflow_steps import steps
from aenet_gpr_cli.structures import StructureSet
from tests.gpr.local.test_local_process import alloy

LOCAL = {"radial_cutoff": 4.5, "radial_order": 6, "angular_cutoff": 3.5, "angular_order": 3, "n_inducing": 60}


def as_atoms(one: StructureSet) -> Atoms:
    """With energy and forces as extxyz holds them."""
    atoms = Atoms(one.species, one.positions[0], cell=one.cells[0], pbc=True)
    atoms.info["energy"], atoms.arrays["forces"] = one.energies[0], one.forces[0]
    return atoms


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """No two structures share a cell; `auto` finds that out by itself."""
    folder = tmp_path_factory.mktemp("alloy")
    for name, n, seed in (("train", 24, 3), ("test", 8, 4)):
        write(folder / f"{name}.extxyz", [as_atoms(s) for s in alloy(n, seed)])
    network = {
        "radial_cutoff": 4.5,
        "radial_order": 6,
        "angular_cutoff": 3.5,
        "angular_order": 3,
        "hidden": [5],
    }
    workflow = {
        "name": "alloy",
        "seed": 1,
        "split": {"inputs": ["train.extxyz"], "test_inputs": ["test.extxyz"]},
        "fit_gpr": {"local": LOCAL},
        "augment": {"gpr": {"displacement": 0.05, "n_copies": 4}},
        "train_ann": {
            "gpr": {"mode": "gpr", "network": network, "levenberg_marquardt": {"iterations": 10}},
            "energy_only": {
                "mode": "energy_only", "network": network, "levenberg_marquardt": {"iterations": 10}
            },
        },
        "evaluate": {"plots": False},
    }  # fmt: skip
    config = build(WorkflowConfig, workflow, "alloy")
    for step in steps(config, folder, folder / "run"):
        step(Context())
    return folder / "run"


def test_one_process_serves_all_cells_and_networks_learn_forces_from_its_labels(finished):
    (name,) = load_gps(finished / "gpr.h5")
    assert name == "local"
    metrics = json.loads((finished / "metrics.json").read_text())
    test = load_split(finished / "split.h5", "test").values()
    spread = np.mean([np.abs(s.forces).mean() for s in test])
    errors = {model: found["total"]["force_component_mae"] for model, found in metrics.items()}
    assert errors["gpr"] < 0.2 * spread
    assert errors["ann_gpr"] < 0.6 * errors["ann_energy_only"]


def test_what_is_stored_is_what_was_fitted(finished):
    model = load_gps(finished / "gpr.h5")["local"]
    assert isinstance(model, LocalModel)
    again = load_gps(finished / "gpr.h5")["local"]
    one = alloy(1, seed=9)[0]
    np.testing.assert_array_equal(model.energies(one), again.energies(one))
    assert 0.3 < model.sigma_factor < 3.0
    assert 0.0 < model.left_out_error < 0.2


def test_the_calculator_gives_the_stress_of_any_cell(finished):
    one = alloy(1, seed=11)[0]
    twice = as_atoms(one) * (2, 1, 1)
    calculator = GPRCalculator.from_file(finished / "gpr.h5")
    single = as_atoms(one)
    single.calc, twice.calc = calculator, GPRCalculator.from_file(finished / "gpr.h5")
    assert twice.get_potential_energy() == pytest.approx(2 * single.get_potential_energy(), rel=1e-10)
    np.testing.assert_allclose(twice.get_stress(), single.get_stress(), atol=1e-10)
    assert np.abs(single.get_stress()).max() > 1e-4
    assert single.calc.get_property("energy_std", single) > 0.0


def test_parts_of_one_process_are_refused(finished, tmp_path):
    names = list(load_split(finished / "split.h5", "train"))
    with pytest.raises(ConfigError, match="one for all subsets"):
        fit_gpr.run(
            FitGprConfig(model="local"), finished / "split.h5", tmp_path / "g.h5", Context(), names[:1]
        )


def test_auto_takes_the_full_process_where_it_suits():
    def cell(size: float, n: int) -> StructureSet:
        rng = np.random.default_rng(0)
        cells = np.tile(size * np.eye(3), (n, 1, 1))
        return StructureSet(
            ("Cu", "Cu"), rng.random((n, 2, 3)), cells, (True,) * 3, np.zeros(n), np.zeros((n, 2, 3))
        )

    large, small, few = cell(9.0, 6), cell(4.0, 6), cell(9.0, 2)
    molecule = replace(large, cells=None, pbc=(False,) * 3)
    config = FitGprConfig()
    assert list(full_subsets(config, {"a": large, "b": small})) == ["a"]
    assert list(full_subsets(config, {"a": molecule, "b": few})) == ["a"]
    assert full_subsets(config, {"a": large, "b": small, "c": few}) == {}
    assert list(full_subsets(FitGprConfig(descriptor="soap"), {"a": small})) == ["a"]
    assert list(full_subsets(FitGprConfig(model="full"), {"a": small, "b": few})) == ["a", "b"]
    assert full_subsets(FitGprConfig(model="local"), {"a": large}) == {}
