"""`fit_gpr.baseline: zbl` from the configuration to everything that a fitted process predicts."""

from dataclasses import replace
from typing import Any

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write

from aenet_gpr_cli.calculators.gpr_calculator import GPRCalculator
from aenet_gpr_cli.calculators.md_potential import load_md_potential
from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.prediction_config import PredictConfig
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.stored_gps import load_gps
from aenet_gpr_cli.io.artefacts.structure_sets import read_augmented, write_structures
from aenet_gpr_cli.stages import predict_stage as predict
from aenet_gpr_cli.stages.augment import augment_stage as augment
from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage as fit_gpr
from aenet_gpr_cli.stages.inspection import show
from aenet_gpr_cli.stages.shared.context import Context
from tests.gpr.small_molecule import make_set

N = 12
STRUCTURES = replace(make_set(N, 0), names=tuple(f"s{i}" for i in range(N)))
KEYS: dict[str, dict[str, Any]] = {
    "full": {"length_scale": 0.8, "power": 1.0, "noise_std_energy": 1e-3, "noise_std_force": 1e-3},
    "local": {
        "local": {
            "radial_cutoff": 4.0, "radial_order": 6, "angular_cutoffs": [3.5], "angular_order": 3,
            "length_scale": 8.0,
        }
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=list(KEYS))
def fitted(request, tmp_path_factory):
    """The split, and what is fitted to it without repulsion (gpr.h5) and with it (walled.h5)."""
    folder = tmp_path_factory.mktemp(request.param)
    with publish(folder / "split.h5", Job("split", {}, {})) as file:
        write_structures(file.create_group("train/a"), STRUCTURES)
        file.create_group("test")
    tables = {}
    for name, baseline in (("gpr", "none"), ("walled", "zbl")):
        keys = {"model": request.param, "baseline": baseline, **KEYS[request.param]}
        config = build(FitGprConfig, keys, "test")
        tables[name] = fit_gpr.run(config, folder / "split.h5", folder / f"{name}.h5", Context())
    return folder, tables


@pytest.fixture(scope="module")
def processes(fitted):
    """Both as they are read back."""
    (plain,), (walled,) = (load_gps(fitted[0] / f"{name}.h5").values() for name in ("gpr", "walled"))
    return plain, walled


def squeezed():
    """The first structure with its second atom two fifths of the way to the first."""
    one = STRUCTURES.select([0])
    close = one.moved_to(one.positions.copy())
    close.positions[0, 1] += 0.4 * (close.positions[0, 0] - close.positions[0, 1])
    return close


def test_the_fit_is_the_same_and_tells_what_is_added(fitted, processes):
    folder, tables = fitted
    plain, walled = processes
    for ours, theirs in zip(*(p.energies_and_forces(STRUCTURES) for p in processes), strict=True):
        assert np.array_equal(ours, theirs)
    assert plain.repulsion is None
    said = walled.repulsion.describe()
    assert [said in table.notes for table in tables.values()] == [False, True]
    shown = [
        {name.rpartition(": ")[2]: value for name, value in show(folder / f"{model}.h5")[0].rows}
        for model in ("gpr", "walled")
    ]
    assert "baseline" not in shown[0]
    assert shown[1]["baseline"] == said


def test_predictions_calculators_and_dynamics_meet_the_same_wall(fitted, processes, tmp_path):
    plain, walled = processes
    close, path = squeezed(), fitted[0] / "walled.h5"
    added = walled.repulsion.between(close)
    assert added.energies[0] > 1.0
    energies, forces = walled.energies_and_forces(close)
    np.testing.assert_allclose(energies - plain.energies(close), added.energies, rtol=1e-6)

    atoms = Atoms(close.species, close.positions[0])
    write(tmp_path / "close.xyz", atoms, format="extxyz")
    predict.run(PredictConfig(), path, [tmp_path / "close.xyz"], tmp_path / "p.h5", Context())
    frame = read(tmp_path / "p_predictions.extxyz")
    atoms.calc = GPRCalculator.from_file(path, sigma="none")
    dynamics = load_md_potential(path, close.structure(0), None, "none", 0, False)(
        close.positions[0], None, False, False
    )
    for energy in (frame.get_potential_energy(), atoms.get_potential_energy(), dynamics.energy):
        assert energy == pytest.approx(energies[0], abs=1e-6)
    for found in (frame.get_forces(), atoms.get_forces(), dynamics.forces):
        np.testing.assert_allclose(found, forces[0], atol=1e-5)


def test_a_step_towards_the_wall_is_turned_back(fitted):
    """Two atoms sent at each other keep their total energy and part again."""
    folder, _ = fitted
    one = STRUCTURES.structure(0)
    potential = load_md_potential(folder / "walled.h5", one, None, "none", 0, False)
    positions, mass, step = one.positions.copy(), 1.0, 0.002
    velocities = np.zeros_like(positions)
    away = positions[1] - positions[0]
    velocities[1] = -6.0 * away / np.linalg.norm(away)  # kinetic energy 18 eV
    now = potential(positions, None, False, False)
    totals, distances = [], []
    for _ in range(250):
        velocities += 0.5 * step * now.forces / mass
        positions = positions + step * velocities
        now = potential(positions, None, False, False)
        velocities += 0.5 * step * now.forces / mass
        totals.append(now.energy + 0.5 * mass * (velocities**2).sum())
        distances.append(np.linalg.norm(positions[1] - positions[0]))
    assert 0.2 < min(distances) < 0.7
    assert distances[-1] > 1.0
    assert np.ptp(totals) < 0.02 * 18.0


def test_labels_of_copies_closer_than_the_data_have_it(fitted, processes, tmp_path):
    folder, _ = fitted
    keys = {"mode": "gaussian", "displacement": 0.3, "n_copies": 20, "sigma": "none"}
    config = build(AugmentConfig, keys, "test")
    augment.run(config, folder / "split.h5", folder / "walled.h5", tmp_path / "a.h5", Context())
    with h5py.File(tmp_path / "a.h5") as file:
        copies = read_augmented(file["subsets/a"]).structures
    plain, walled = processes
    added = walled.repulsion.between(copies).energies
    assert 0 < np.count_nonzero(added > 0.1) < len(copies)
    assert (added == 0.0).any()
    np.testing.assert_allclose(copies.energies - plain.energies(copies), added, atol=1e-7)
