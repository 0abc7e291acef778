"""Artefacts of version 0.1.0 are read by every command, with the numbers that 0.1.0 gave."""

import json
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase import Atoms

from aenet_gpr_cli.calculators.ann_calculator import ANNCalculator
from aenet_gpr_cli.calculators.gpr_calculator import GPRCalculator
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.formats.xsf import read_xsf
from tests.cli.conftest import run_cli

__all__ = ["run_cli"]  # fixture of another folder

OLD = Path(__file__).parents[1] / "data/artefacts_0.1.0"
MODELS = ("gpr", "gpr_soap", "ann_gpr")
SAME = {"rtol": 1e-7, "atol": 1e-7}  # large weights of a process without noise carry roundings on


@pytest.fixture
def old(tmp_path) -> Path:
    """A copy of the folder: nothing may change the files of the repository."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


@pytest.fixture(scope="module")
def expected() -> dict:
    return json.loads((OLD / "predictions.json").read_text())


def read(path: Path, name: str) -> np.ndarray:
    with h5py.File(path) as file:
        return file[name][()]


@pytest.mark.parametrize("model", MODELS)
def test_predictions_are_those_of_the_old_version(run_cli, old, expected, model):
    code, _, said = run_cli("predict", old / f"{model}.h5", old / "test_set.zip", "-o", "p.h5")
    assert code == 0, said
    for name in ("predicted_energies", "predicted_forces", "sigma"):
        np.testing.assert_allclose(read(Path("p.h5"), f"subsets/H2/{name}"), expected[model][name], **SAME)


def test_errors_are_those_of_the_old_version(run_cli, old):
    command = ["evaluate", old / "split.h5", *(old / f"{model}.h5" for model in MODELS)]
    code, _, said = run_cli(*command, "-o", "metrics.h5", "--set", "plots=false")
    assert code == 0, said
    found, stored = (
        json.loads(Path("metrics.json").read_text()),
        json.loads((OLD / "metrics.json").read_text()),
    )
    for model in MODELS:
        total = stored[model]["total"]
        if (std := total.pop("z_std")) is not None:  # about the mean; now about zero
            total["z_rms"] = (std**2 + total["z_mean"] ** 2) ** 0.5
        for key, value in total.items():
            # σ of nearly noiseless data is a small difference of large numbers
            rel = 1e-4 if key.startswith("z_") else 1e-6
            same = value if value is None else pytest.approx(value, rel=rel, abs=1e-8)
            assert found[model]["total"][key] == same, f"{model}: {key}"


def test_copies_are_those_of_the_old_version(run_cli, old):
    keys = [
        "mode=along_bond",
        "displacement=0.055",
        "n_copies=2",
        "seed=2025",
        "sigma=bound",
    ]
    command = ["augment", old / "split.h5", old / "gpr.h5", *(f"--set={key}" for key in keys)]
    code, _, said = run_cli(*command, "-o", "augmented.h5")
    assert code == 0, said
    for name in ("positions", "energies", "sigma"):
        ours, theirs = (
            read(p, f"subsets/H2/{name}") for p in (Path("augmented.h5"), old / "augmented_gpr.h5")
        )
        np.testing.assert_allclose(ours, theirs, **(SAME | {"rtol": 1e-3} if name == "sigma" else SAME))


def test_a_training_on_old_copies_gives_a_potential_as_good_as_the_old_one(run_cli, old):
    config = ["-c", old / "workflow.yaml", "--variant", "gpr"]
    code, _, said = run_cli("train-ann", old / "split.h5", old / "augmented_gpr.h5", *config, "-o", "ann.h5")
    assert code == 0, said
    code, _, said = run_cli(
        "evaluate", old / "split.h5", "ann.h5", "-o", "metrics.h5", "--set", "plots=false"
    )
    assert code == 0, said
    found, stored = (json.loads((place / "metrics.json").read_text()) for place in (Path(), OLD))
    for error in ("energy_mae", "force_norm_mae"):
        # the optimiser takes other steps since, and eight structures are a small test
        assert found["ann"]["total"][error] < 2.0 * stored["ann_gpr"]["total"][error]


@pytest.mark.parametrize("path", sorted(OLD.glob("*.h5")), ids=lambda path: path.stem)
def test_an_old_artefact_is_shown(run_cli, path):
    code, said, _ = run_cli("show", path)
    assert code == 0
    assert "aenet-gpr-cli 0.1.0" in said.replace("\n", " ")
    assert "unit" in said


def test_a_folder_of_old_artefacts_has_a_status_and_a_report(run_cli, old):
    code, said, _ = run_cli("status", old)
    assert code == 0
    assert said.count("finished") == len(list(old.glob("*.h5")))
    code, _, said = run_cli("report", old, "-o", "report.html")
    assert code == 0, said
    page = Path("report.html").read_text()
    assert all(model in page for model in MODELS)


def test_an_old_potential_is_exported_and_old_models_rank_a_pool(run_cli, old):
    code, _, said = run_cli("export", old / "ann_gpr.h5", "-o", "aenet", "--member", "0")
    assert code == 0, said
    assert Path("aenet/H.nn").stat().st_size > 1000
    for model in ("gpr", "ann_gpr"):
        command = [
            "select",
            old / f"{model}.h5",
            old / "test_set.zip",
            "--set",
            "n_select=2",
            "-o",
            f"selected_{model}.h5",
        ]
        code, _, said = run_cli(*command)
        assert code == 0, said


def test_calculators_read_old_models(old, expected, tmp_path):
    with zipfile.ZipFile(old / "test_set.zip") as archive:
        archive.extractall(tmp_path / "xsf")
    for number, name in enumerate(expected["gpr"]["names"]):
        structure = read_xsf(tmp_path / "xsf" / name.split("/")[-1])
        for model, calculator in (("gpr", GPRCalculator), ("ann_gpr", ANNCalculator)):
            atoms = Atoms(structure.species, structure.positions)
            atoms.calc = calculator.from_file(old / f"{model}.h5")
            energy = np.mean(expected[model]["predicted_energies"], axis=0)[number]
            forces = np.mean(expected[model]["predicted_forces"], axis=0)[number]
            np.testing.assert_allclose(atoms.get_potential_energy(), energy, **SAME)
            np.testing.assert_allclose(atoms.get_forces(), forces, **SAME)


def test_another_format_version_is_refused_with_what_to_run(old):
    with h5py.File(old / "gpr.h5", "a") as file:
        file.attrs["format_version"] = 99
    said = r"expected format version 1, got 99; .*run fit-gpr again"
    with pytest.raises(InputError, match=said), open_artefact(old / "gpr.h5"):
        pass
