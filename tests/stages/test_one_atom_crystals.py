"""Primitive cells of one atom: they teach energies and stresses, and have strained copies."""

import h5py
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.prediction_config import EvaluateConfig
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.local.local_model import LocalModel
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.stored_gps import load_gps
from aenet_gpr_cli.io.artefacts.structure_sets import read_augmented, write_structures
from aenet_gpr_cli.stages import inspection
from aenet_gpr_cli.stages.augment import augment_stage
from aenet_gpr_cli.stages.evaluate import evaluate_stage
from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.units import GPA_PER_EV_PER_CUBIC_ANGSTROM as GPA
from tests.labelled_crystals import labelled


def crystals(n: int, seed: int) -> StructureSet:
    """Strained primitive cells of copper, with energy, forces (zero) and stress."""
    rng, frames = np.random.default_rng(seed), []
    for _ in range(n):
        atoms = bulk("Cu", a=3.65)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3))), scale_atoms=True)
        atoms.calc = EMT()
        frames.append(atoms)
    return labelled(frames)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """The default process of 24 such cells."""
    folder = tmp_path_factory.mktemp("one")
    with publish(folder / "split.h5", Job("split", {}, {})) as file:
        write_structures(file.create_group("train/Cu"), crystals(24, 0))
        file.create_group("test")
    fit_gpr_stage.run(FitGprConfig(), folder / "split.h5", folder / "gpr.h5", Context())
    return folder


def test_their_energies_and_stresses_are_learnt(fitted):
    """Forces that are zero whatever the energy do not make its noise small."""
    model, new = load_gps(fitted / "gpr.h5")["local"], crystals(10, 1)
    assert isinstance(model, LocalModel)
    assert np.isnan(model.left_out_force_error)  # none was predicted
    assert "nan" not in str(inspection.show(fitted / "gpr.h5")[0].rows)
    assert np.abs(model.energies(new) - new.energies).mean() < 2e-3
    assert np.abs(model.stresses(new) - new.stress).mean() * GPA < 0.3


def test_copies_are_strained_and_no_copy_is_only_shifted(fitted, tmp_path):
    def copies(**keys):
        config = build(AugmentConfig, {"n_copies": 3, **keys}, "augment")
        augment_stage.run(config, fitted / "split.h5", fitted / "gpr.h5", tmp_path / "a.h5", Context())
        with h5py.File(tmp_path / "a.h5") as file:
            return read_augmented(file["subsets/Cu"]).structures

    for keys in ({"strain": 0.01}, {"strain": "auto", "mode": "adaptive"}):
        made = copies(**keys)
        assert len(np.unique(np.linalg.det(made.cells).round(6))) == len(made) == 72
    with pytest.raises(InputError, match="single atoms only"):
        copies()


def test_full_processes_leave_them_out(fitted, tmp_path):
    with pytest.raises(InputError, match="single atoms only"):
        fit_gpr_stage.run(FitGprConfig(model="full"), fitted / "split.h5", tmp_path / "gpr.h5", Context())


def test_their_forces_are_no_merit_of_a_model(fitted, tmp_path):
    with publish(tmp_path / "split.h5", Job("split", {}, {})) as file:
        write_structures(file.create_group("train/Cu"), crystals(24, 0))
        write_structures(file.create_group("test/Cu"), crystals(6, 1))
    models = {"gpr": fitted / "gpr.h5"}
    summary = evaluate_stage.run(
        EvaluateConfig(), tmp_path / "split.h5", models, tmp_path / "m.h5", Context()
    )
    told = "\n".join([*summary.notes, *summary.closing])
    assert "forces: those of 6 of 6 structures, of one atom each, are left out" in told
    assert "not tested by the test structures: 6 of one atom" in told
    assert "0.0000" not in str(summary.rows)
    assert (tmp_path / "m_parity.png").is_file()
