"""Predictions of any structure files by either kind of model; potentials from and to ænet."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write

from aenet_gpr_cli.ann.potential.prediction import predict as predict_ann
from aenet_gpr_cli.calculators.ann_calculator import ANNCalculator
from aenet_gpr_cli.config.stages.prediction_config import PredictConfig
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.stored_anns import load_ann
from aenet_gpr_cli.io.formats.prediction_files import PredictedStructure
from aenet_gpr_cli.io.formats.sources import read_sources
from aenet_gpr_cli.io.formats.xsf import read_xsf
from aenet_gpr_cli.stages import exchange_stage as aenet_files
from aenet_gpr_cli.stages import predict_stage as predict
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.shared.predictors import Predictor
from aenet_gpr_cli.structures import Structure, StructureSet

AENET = Path(__file__).parents[1] / "data" / "aenet_nn"


@pytest.fixture
def files(tmp_path):
    """Three hydrogen molecules without labels in one file, one with an energy in another."""
    frames = [Atoms("H2", [[0, 0, 0], [0, 0, d]]) for d in (1.1, 1.4, 1.8)]
    write(tmp_path / "new.xyz", frames, format="extxyz")
    (tmp_path / "one.xsf").write_text("# total energy = -0.5 eV\n\nATOMS\nH 0 0 0\nH 0 0 1.25\n")
    return [tmp_path / "new.xyz", tmp_path / "one.xsf"]


def run(model, files, output, **keys):
    return predict.run(PredictConfig(**keys), model, files, output, Context())


def test_a_committee_with_its_spread(finished, files, tmp_path):
    output = tmp_path / "out.h5"
    summary = run(finished / "ann_gpr.h5", files, output, write=["extxyz", "xsf"])
    structures = read_sources(files)
    model = load_ann(finished / "ann_gpr.h5")
    energies, forces = predict_ann(model, StructureSet.from_structures(structures), True, 9)
    frames = read(tmp_path / "out_predictions.extxyz", ":")
    calculator = ANNCalculator.from_file(finished / "ann_gpr.h5")
    assert [f.info["name"] for f in frames] == [s.name for s in structures]
    for i, frame in enumerate(frames):
        assert frame.get_potential_energy() == pytest.approx(energies[:, i].mean(), abs=1e-9)
        np.testing.assert_allclose(frame.get_forces(), forces[:, i].mean(0), atol=1e-7)  # 8 decimals
        calculator.calculate(frame)
        assert frame.info["energy_std"] == pytest.approx(calculator.results["energy_std"], rel=1e-3)
        # that of the weights adds to the spread, and one factor multiplies both
        assert frame.info["energy_std"] > model.sigma.factor * energies[:, i].std(ddof=1)
        np.testing.assert_allclose(frame.arrays["forces_std"], forces[:, i].std(0, ddof=1), atol=1e-7)
    assert [f.info.get("reference_energy") for f in frames] == [None, None, None, -0.5]
    written = [read_xsf(path) for path in sorted((tmp_path / "out_xsf").glob("*.xsf"))]
    assert [s.energy for s in written] == pytest.approx(energies.mean(0), abs=1e-12)
    with h5py.File(output) as file:
        (group,) = file["subsets"].values()
        assert group["predicted_forces"].shape == (2, 4, 2, 3)
        assert group["predicted_energies"].attrs["unit"] == "eV"
    assert [row[0] for row in summary.rows] == [s.name for s in structures]


def test_structures_outside_the_training_data_are_named(finished, files, tmp_path):
    summary = run(finished / "ann_gpr.h5", files, tmp_path / "in.h5")  # trained from 1 to 2 Å
    assert not any("warning" in note for note in summary.notes)
    write(tmp_path / "far.xyz", Atoms("H2", [[0, 0, 0], [0, 0, 0.7]]), format="extxyz")
    output = tmp_path / "out.h5"
    summary = run(finished / "ann_gpr.h5", [*files, tmp_path / "far.xyz"], output)
    assert summary.notes[0].startswith(
        "warning: 1 of 5 structures are far outside the training data, far.xyz"
    )
    with h5py.File(output) as file:
        (group,) = file["subsets"].values()
        far = [name for name, b in zip(group["names"], group["beyond_training"]) if b.max() > 0.2]
    assert far == [b"far.xyz#0"]
    assert read(tmp_path / "out_predictions.extxyz", "-1").arrays["beyond_training"].min() > 0.2


def test_a_distance_just_outside_the_training_data_is_told_as_such():
    near = Structure(("H", "H"), np.eye(3)[:2], None, (False, False, False), name="near")
    said = predict._outside(
        [PredictedStructure(near, None, None, None, domain_distance=1.004)], Predictor(None)
    )
    assert "it is 0.4 % farther away" in said[0]


def test_one_member_has_the_sigma_of_its_weights(finished, files, tmp_path):
    summary = run(finished / "ann_gpr.h5", files, tmp_path / "out.h5", members=[1])
    assert all(float(row[3]) > 0.0 for row in summary.rows)
    with pytest.raises(InputError, match="numbers from 0 to 1, got"):
        run(finished / "ann_gpr.h5", files, tmp_path / "out2.h5", members=[2])


def test_a_gaussian_process_with_its_sigma(finished, files, tmp_path):
    bound = run(finished / "gpr.h5", files, tmp_path / "out.h5")
    exact = run(finished / "gpr.h5", files, tmp_path / "exact.h5", sigma="exact")
    for b, e in zip(bound.rows, exact.rows, strict=True):
        assert b[2] == e[2]
        assert float(b[3]) >= float(e[3]) >= 0.0
    # Lennard-Jones of the example: -1 eV at the minimum, 2^(1/6) Å
    write(tmp_path / "min.xyz", Atoms("H2", [[0, 0, 0], [0, 0, 2 ** (1 / 6)]]), format="extxyz")
    row = run(finished / "gpr.h5", [tmp_path / "min.xyz"], tmp_path / "min.h5").rows[0]
    assert float(row[2]) == pytest.approx(-0.99, abs=0.03)  # shifted to 0 at the cutoff


def test_other_atoms_are_refused(finished, tmp_path):
    write(tmp_path / "water.xyz", Atoms("OH2", np.eye(3)), format="extxyz")
    with pytest.raises(InputError, match="no Gaussian process fits; that of subset H2 was fitted to H2"):
        run(finished / "gpr.h5", [tmp_path / "water.xyz"], tmp_path / "out.h5")
    with pytest.raises(InputError, match="expected only H, which the model was made for, got O; give other"):
        run(finished / "ann_gpr.h5", [tmp_path / "water.xyz"], tmp_path / "out.h5")
    with pytest.raises(
        InputError, match="expected the output of fit-gpr, train-ann or import, got that of split"
    ):
        run(finished / "split.h5", [tmp_path / "water.xyz"], tmp_path / "out.h5")


def test_the_same_again_does_nothing(finished, files, tmp_path):
    run(finished / "gpr.h5", files, tmp_path / "out.h5")
    before = (tmp_path / "out.h5").stat().st_mtime_ns
    assert "up to date" in run(finished / "gpr.h5", files, tmp_path / "out.h5").title
    assert (tmp_path / "out.h5").stat().st_mtime_ns == before


def test_an_imported_potential_predicts_what_predict_x_does(tmp_path):
    ann = tmp_path / "ann.h5"
    aenet_files.import_potential([AENET / f"{s}.nn" for s in "OCH"], ann, Context())
    rows = run(ann, [AENET / "file_0749.xsf"], tmp_path / "out.h5").rows
    reference = dict(
        line.split() for line in (AENET / "predict_x.txt").read_text().splitlines() if "xsf" in line
    )
    assert float(rows[0][2]) == pytest.approx(float(reference["file_0749.xsf"]), abs=6e-5)  # 4 decimals


def test_all_members_are_exported(finished, tmp_path):
    ann, folder = finished / "ann_gpr.h5", tmp_path / "aenet"
    aenet_files.export(ann, folder, "nn", None, Context())
    assert sorted(p.name for p in folder.glob("[!.]*")) == ["member_00", "member_01"]
    aenet_files.import_potential([folder / "member_01" / "H.nn"], tmp_path / "again.h5", Context())
    model, again = load_ann(ann), load_ann(tmp_path / "again.h5")
    h2 = StructureSet(("H", "H"), np.array([[[0, 0, 0], [0, 0, 1.3]]], float))
    np.testing.assert_allclose(
        predict_ann(again, h2, False, 1)[0][0], predict_ann(model, h2, False, 1)[0][1], rtol=1e-12
    )
    aenet_files.export(ann, tmp_path / "one", "nn.ascii", 1, Context())
    assert (tmp_path / "one" / "H.nn.ascii").is_file()


def test_a_dry_run_writes_nothing(finished, files, tmp_path):
    ann, context = finished / "ann_gpr.h5", Context(dry_run=True)
    predict.run(PredictConfig(), ann, files, tmp_path / "out.h5", context)
    aenet_files.export(ann, tmp_path / "aenet", "nn", None, context)
    aenet_files.import_potential([AENET / f"{s}.nn" for s in "CHO"], tmp_path / "ann.h5", context)
    assert not any((tmp_path / name).exists() for name in ("out.h5", "aenet", "ann.h5"))
