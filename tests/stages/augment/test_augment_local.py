"""Copies labelled by the local process, each in the cell of its parent."""

from __future__ import annotations

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from ase.io import read

from aenet_gpr_cli.augmentation.copy_labels import missed_by, taylor_energies
from aenet_gpr_cli.augmentation.strains import displacements_of, strain_of
from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis, features
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.gpr.local.local_model import LocalModel
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.stored_gps import load_gps
from aenet_gpr_cli.io.artefacts.streaming import open_augmented
from aenet_gpr_cli.io.artefacts.structure_sets import read_augmented, write_structures
from aenet_gpr_cli.stages.augment import augment_stage as augment
from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage as fit_gpr
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.structures import StructureSet
from tests.gpr.local.test_local_process import alloy

LOCAL = {
    "radial_cutoff": 4.5,
    "radial_order": 6,
    "angular_cutoffs": [3.5],
    "angular_order": 3,
    "n_inducing": 40,
}
MODES = {
    "gaussian": {"mode": "gaussian", "displacement": 0.05},
    "adaptive": {"mode": "adaptive"},
    "most informative": {"mode": "gaussian", "displacement": 0.05, "candidates": 3},
    "taylor, most informative": {
        "method": "taylor", "mode": "gaussian", "displacement": 0.02, "candidates": 3, "sigma": "none"
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Cells of their own for structures of the same atoms, and their local process."""
    folder = tmp_path_factory.mktemp("local")
    cells = alloy(40, seed=2)
    kind = cells[0].species
    same = [s.structure(0) for s in cells if sorted(s.species) == sorted(kind)]
    ordered = [replace(s, name=f"s{i}", species=kind) for i, s in enumerate(same)]
    structures = StructureSet.from_structures(ordered)
    with publish(folder / "split.h5", Job("split", {}, {})) as file:
        write_structures(file.create_group("train/a"), structures)
        file.create_group("test")
    config = build(FitGprConfig, {"model": "local", "local": LOCAL}, "fit")
    fit_gpr.run(config, folder / "split.h5", folder / "gpr.h5", Context())
    return folder, structures


def copies(fitted, tmp_path, **keys):
    folder, _ = fitted
    config = build(AugmentConfig, {"n_copies": 4, **keys}, "augment")
    augment.run(config, folder / "split.h5", folder / "gpr.h5", tmp_path / "a.h5", Context())
    with h5py.File(tmp_path / "a.h5") as file:
        return read_augmented(file["subsets/a"])


def assert_labelled(made, folder, structures, parents, anchored):
    """Compare labels with the mean of the process, and what it misses of the parents, to first order."""
    model = load_gps(folder / "gpr.h5")["local"]
    assert isinstance(model, LocalModel)
    expected = model.energies(made.structures)
    if anchored:
        missed = missed_by(structures, *model.energies_and_forces(structures), model.stresses(structures))
        beyond = taylor_energies(missed, made.structures.positions, parents, made.structures.cells)
        assert np.abs(beyond).max() > 1e-6
        expected = expected + beyond
    np.testing.assert_allclose(made.structures.energies, expected, atol=1e-9)


@pytest.mark.parametrize(("mode", "anchored"), [*((mode, False) for mode in MODES), ("gaussian", True)])
def test_copies_lie_in_the_cells_of_their_parents(fitted, tmp_path, mode, anchored):
    _, structures = fitted
    made = copies(fitted, tmp_path, **MODES[mode], **({"anchored": True} if anchored else {}))
    parents = [structures.names.index(name) for name in made.parents]
    assert len(made) == 4 * len(structures)
    np.testing.assert_array_equal(made.structures.cells, structures.cells[parents])
    off = made.structures.positions - structures.positions[parents]
    assert 0.005 < np.sqrt((off**2).mean()) < 0.3
    if made.label == "gpr":
        assert_labelled(made, fitted[0], structures, parents, anchored)


def test_the_gate_drops_what_the_process_is_unsure_of(fitted, tmp_path):
    (tmp_path / "all").mkdir()
    every = copies(fitted, tmp_path / "all", mode="gaussian", displacement=0.2, sigma="bound")
    limit = float(np.median(every.sigma))
    sure = copies(fitted, tmp_path, mode="gaussian", displacement=0.2, max_sigma=limit)
    assert 0.0 < sure.sigma.max() <= limit
    assert len(sure) == int((every.sigma <= limit).sum())


def test_adaptive_copies_are_of_another_size_in_each_cell(fitted, tmp_path):
    made = copies(fitted, tmp_path, mode="adaptive")
    _, structures = fitted
    parents = np.array([structures.names.index(name) for name in made.parents])
    # close to the σ that is aimed at, whatever the cell
    assert made.sigma.max() < 4.0 * np.median(made.sigma)
    off = made.structures.positions - structures.positions[parents]
    sizes = np.array([np.sqrt((off[parents == i] ** 2).mean()) for i in range(len(structures))])
    assert sizes.std() > 0.02 * sizes.mean()


@pytest.mark.parametrize(
    ("mode", "strain", "anchored"),
    [
        *(("gaussian", strain, strain == "auto") for strain in (0.01, "auto")),
        *(("adaptive", strain, False) for strain in (0.01, "auto")),
        ("taylor, most informative", 0.01, False),
    ],
)
def test_strained_copies_carry_their_cells_and_the_labels_of_these(fitted, tmp_path, mode, strain, anchored):
    folder, structures = fitted
    keys = {"anchored": True} if anchored else {}
    made = copies(fitted, tmp_path, strain=strain, **MODES[mode], **keys)
    parents = np.array([structures.names.index(name) for name in made.parents])
    strains = strain_of(structures, parents, made.structures.cells)
    np.testing.assert_allclose(strains, strains.swapaxes(1, 2), atol=1e-12)
    rms = np.sqrt((strains**2).mean())
    assert 0.0009 < rms < 0.031
    if strain == 0.01:
        # the most informative ones are strained more
        assert rms == pytest.approx(0.01, rel=0.4 if "informative" in mode else 0.15)
    if made.label == "gpr":
        assert_labelled(made, folder, structures, parents, anchored)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["subsets/a"].attrs["rms_strain"] == pytest.approx(rms, rel=1e-10)
        told = file["subsets/a"].attrs["rms_displacement"]
        table = json.loads(file.attrs["summary"])
    off = displacements_of(structures, parents, made.structures.positions, made.structures.cells)
    assert told == pytest.approx(np.sqrt((off**2).mean()), rel=1e-10)
    column = table["columns"].index("rms ε / %")
    assert float(table["rows"][0][column]) == pytest.approx(100 * rms, abs=1e-3)


def test_strained_copies_are_the_same_in_small_blocks_and_as_files(fitted, tmp_path):
    whole = copies(fitted, tmp_path, strain=0.02, write=["extxyz"])
    (tmp_path / "b").mkdir()
    again = copies(fitted, tmp_path / "b", strain=0.02, block_size=3)
    np.testing.assert_array_equal(whole.structures.cells, again.structures.cells)
    np.testing.assert_allclose(whole.structures.energies, again.structures.energies, atol=1e-8)
    written = read(tmp_path / "a_copies.extxyz", ":")
    np.testing.assert_allclose([a.cell.array for a in written], whole.structures.cells, atol=1e-7)


def test_networks_see_each_copy_in_its_own_cell(fitted, tmp_path):
    made = copies(fitted, tmp_path, strain=0.02).structures
    basis = ChebyshevBasis(tuple(sorted(set(made.species))), 4.5, 4, 3.5, 3)
    with open_augmented(tmp_path / "a.h5") as sets:
        seen = features(basis, sets["a"].structures.select(np.array([7, 5])).in_memory(), 64)
    alone = made.structure(5)
    supercell = StructureSet(
        alone.species * 2,
        np.concatenate([alone.positions, alone.positions + alone.cell[0]])[None],
        (alone.cell * np.array([[2.0], [1.0], [1.0]]))[None],
        alone.pbc,
    )
    np.testing.assert_allclose(seen[1], features(basis, supercell, 1)[0, : len(alone.species)], atol=1e-10)


def test_strain_is_refused_where_the_label_would_be_wrong(fitted, tmp_path):
    folder, structures = fitted
    config = build(AugmentConfig, {"n_copies": 2, "strain": 0.01}, "augment")
    with publish(tmp_path / "gpr.h5", Job("fit-gpr", {}, {})) as file:
        file.create_group("subsets/a")
    with pytest.raises(ConfigError, match=r"full process of a knows one cell.*model: local.*strain: 0"):
        augment.run(config, folder / "split.h5", tmp_path / "gpr.h5", tmp_path / "a.h5", Context())
    isolated = replace(structures, cells=None, pbc=(False, False, False), stress=None)
    with publish(tmp_path / "split.h5", Job("split", {}, {})) as file:
        write_structures(file.create_group("train/a"), isolated)
        file.create_group("test")
    with pytest.raises(ConfigError, match=r"expected crystals or slabs"):
        augment.run(config, tmp_path / "split.h5", folder / "gpr.h5", tmp_path / "a.h5", Context())
    with pytest.raises(ConfigError, match="strain auto"):
        build(AugmentConfig, {"strain": "auto", "method": "taylor"}, "augment")
