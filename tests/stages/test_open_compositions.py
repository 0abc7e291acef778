"""Networks trained on one composition: the other stages say which energies that leaves open."""

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from aenet_gpr_cli.calculators.ann_calculator import ANNCalculator
from aenet_gpr_cli.config.stages.md_config import MdConfig
from aenet_gpr_cli.config.stages.prediction_config import EvaluateConfig, PredictConfig
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.structure_sets import write_structures
from aenet_gpr_cli.stages import predict_stage as predict
from aenet_gpr_cli.stages.evaluate import evaluate_stage as evaluate
from aenet_gpr_cli.stages.md import md_stage as md
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.train_ann import train_ann_stage as train_ann
from tests.ann.ann_helpers import molecules
from tests.stages.unfinished import small_training

SLAB, CLEAN = ("Cu",) * 5 + ("O",), ("Cu",) * 5
OPEN = "do not determine the energy of Cu5:"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An adsorbate on a little piece of copper to train on, also without it to test, and networks."""
    folder = tmp_path_factory.mktemp("open")
    with publish(folder / "split.h5", Job("split", {}, {})) as file:
        write_structures(file.create_group("train/Cu5O"), molecules(SLAB, 8, 1))
        write_structures(file.create_group("test/Cu5O"), molecules(SLAB, 3, 2))
        write_structures(file.create_group("test/Cu5"), molecules(CLEAN, 3, 3))
    config = small_training("levenberg_marquardt", "energy_only")
    train_ann.run(config, folder / "split.h5", None, folder / "ann.h5", Context())
    for name, species in (("slab", SLAB), ("clean", CLEAN)):
        frame = Atoms(species, molecules(species, 1, 4).positions[0])
        write(folder / f"{name}.xyz", frame, format="extxyz")
    twice = Atoms(SLAB * 2, np.concatenate([molecules(SLAB, 1, 4).positions[0] + [d, 0, 0] for d in (0, 20)]))
    write(folder / "twice.xyz", twice, format="extxyz")
    return folder


@pytest.mark.parametrize(("name", "is_open"), [("slab", False), ("twice", False), ("clean", True)])
def test_predictions_and_dynamics_name_energies_that_training_left_open(
    folder, tmp_path, caplog, name, is_open
):
    start = folder / f"{name}.xyz"
    summary = predict.run(PredictConfig(), folder / "ann.h5", [start], tmp_path / "p.h5", Context())
    assert any(OPEN in note and note.startswith("warning: ") for note in summary.notes) == is_open
    config = MdConfig(ensemble="nve", time_ps=0.002, temperature=10.0)
    caplog.clear()
    md.run(config, folder / "ann.h5", start, tmp_path / "md.h5", Context())
    assert (OPEN in caplog.text) == is_open
    caplog.clear()
    both = MdConfig(ensemble="nve", time_ps=0.002, temperature=10.0, replicas=2, workers=1)
    md.run(both, folder / "ann.h5", start, tmp_path / "two.h5", Context())
    assert caplog.text.count(OPEN) == is_open


def test_an_evaluation_names_test_structures_with_open_energies(folder, tmp_path):
    models = {"ann": folder / "ann.h5"}
    config = EvaluateConfig(plots=False)
    summary = evaluate.run(config, folder / "split.h5", models, tmp_path / "metrics.h5", Context())
    assert sum(OPEN in note for note in summary.notes) == 1


@pytest.mark.filterwarnings("ignore:.*outside the range")
def test_the_calculator_warns_once(folder, recwarn):
    calculator = ANNCalculator.from_file(folder / "ann.h5", warn_beyond=np.inf)
    atoms = [Atoms(s, molecules(s, 1, 4).positions[0]) for s in (SLAB, CLEAN, CLEAN[:4])]
    calculator.get_potential_energy(atoms[0])
    assert not recwarn.list
    for one in atoms[1:]:
        calculator.get_potential_energy(one)
    assert [OPEN in str(warning.message) for warning in recwarn.list] == [True]
