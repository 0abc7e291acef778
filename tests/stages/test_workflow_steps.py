"""The whole way on H2: fixed names, skipping, reproducibility, and that the method does what it promises."""

import csv
import json
import shutil
from dataclasses import replace

import ase.io
import h5py
import numpy as np
import pytest

from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.stages.augment import augment_stage as augment
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.train_ann import train_ann_stage as train_ann
from aenet_gpr_cli.stages.workflow_steps import steps
from tests.finished_runs import CASE, run_all, small_workflow
from tests.stages.copies import load_augmented

METRICS = {
    "energy_mae", "energy_rmse", "energy_msd", "force_component_mae", "force_norm_mae", "force_norm_msd",
    "force_direction_mae", "force_direction_msd", "n_structures", "n_members",
}  # fmt: skip
MODELS = {"gpr", "ann_energy_only", "ann_taylor", "ann_gpr", "ann_direct"}


@pytest.fixture(scope="module")
def metrics(finished):
    return json.loads((finished / "metrics.json").read_text())


def test_the_names_of_the_artefacts_are_fixed(finished):
    names = {path.name for path in finished.iterdir()}
    assert {"split.h5", "gpr.h5", "augmented_gpr.h5", "augmented_taylor.h5", "metrics.h5"} <= names
    assert {"metrics.json", "metrics.csv", "metrics_parity.png", "metrics_summary.png"} <= names
    assert {f"{model}.h5" for model in MODELS} <= names
    assert not [name for name in names if name.startswith(".")]  # no locks, no temporary files


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("metrics.h5", "is there and is no artefact of evaluate; move it away"),
        ("metrics_ann_gpr.extxyz", "is not a file that metrics.h5 lists as its own; move it away"),
        ("ann_direct.h5", "is there and is no artefact of train-ann; move it away"),
        ("benchmark.csv", "is not a file that benchmark.h5 lists as its own"),
    ],
)
def test_what_is_in_the_way_of_a_later_stage_is_told_before_the_first(tmp_path, name, message, dry_run):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=f"{name} {message}"):
        run_all(small_workflow(benchmark={}), tmp_path, dry_run=dry_run)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_is_in_the_way_of_a_stage_that_is_not_to_run_does_not_count(tmp_path):
    (tmp_path / "metrics.h5").write_text("mine")
    list(steps(small_workflow(), CASE, tmp_path, until="train-ann"))


def test_no_stage_writes_over_the_inputs(tmp_path):
    split = {"inputs": [str(tmp_path / "metrics_gpr.extxyz")]}
    with pytest.raises(InputError, match="which evaluate would write, is its input"):
        run_all(small_workflow(split=split), tmp_path)


def test_every_model_has_every_metric_by_subset_and_in_total(metrics):
    assert set(metrics) == MODELS
    for result in metrics.values():
        assert set(result) - {"verdict"} == {"total", "subsets", "species", "members", "best"}
        assert set(result["subsets"]) == {"H2"}
        assert set(result["species"]) == {"H"}
        n_members = result["total"]["n_members"]
        assert len(result["members"]) == (n_members if n_members > 1 else 0)
        for row in (result["total"], *result["subsets"].values(), *result["members"]):
            assert set(row) >= METRICS
            assert row["n_structures"] == 200
    assert metrics["ann_gpr"]["total"]["n_members"] == 2
    assert metrics["gpr"]["total"]["n_members"] == 1


def test_the_csv_says_the_same_as_the_json(finished, metrics):
    rows = list(csv.DictReader((finished / "metrics.csv").open()))
    assert len(rows) == sum(3 + len(result["members"]) for result in metrics.values())
    for row in rows:
        result = metrics[row["model"]]
        if row["part"] == "all":
            assert float(row["energy_mae"]) == result["total"]["energy_mae"]
        elif row["part"] == "species":
            assert float(row["force_norm_mae"]) == result["species"][row["of"]]["force_norm_mae"]
        elif row["part"] == "member":
            assert float(row["energy_mae"]) == result["members"][int(row["of"])]["energy_mae"]


def test_the_extended_xyz_files_hold_the_predictions_and_the_reference(finished, metrics):
    frames = ase.io.read(finished / "metrics_ann_gpr.extxyz", ":")
    errors = [abs(frame.get_potential_energy() - frame.info["reference_energy"]) for frame in frames]
    assert np.mean(errors) == pytest.approx(metrics["ann_gpr"]["total"]["energy_mae"], rel=1e-6)
    components = [np.abs(frame.get_forces() - frame.arrays["reference_forces"]).mean() for frame in frames]
    expected = metrics["ann_gpr"]["total"]["force_component_mae"]
    assert np.mean(components) == pytest.approx(expected, rel=1e-5)


def test_metrics_are_those_of_the_stored_predictions(finished, metrics):
    with h5py.File(finished / "metrics.h5") as file:
        predicted = file["models/ann_gpr/H2/predicted_energies"][()]
        reference = file["reference/H2/reference_energies"][()]
    mae = np.abs(predicted.mean(0) - reference).mean()
    assert metrics["ann_gpr"]["total"]["energy_mae"] == pytest.approx(mae, rel=1e-12)


def test_forces_are_learned_indirectly(metrics):
    """The point of the method: augmented energies give better forces than energies alone."""
    energy_only = metrics["ann_energy_only"]["total"]["force_norm_mae"]
    assert metrics["ann_gpr"]["total"]["force_norm_mae"] < 0.5 * energy_only
    assert metrics["ann_taylor"]["total"]["force_norm_mae"] < energy_only


def test_the_surrogate_of_the_dimer_is_accurate_within_the_training_range(finished):
    with h5py.File(finished / "metrics.h5") as file:
        predicted = file["models/gpr/H2/predicted_energies"][()][0]
        reference = file["reference/H2/reference_energies"][()]
        names = [name.decode() for name in file["reference/H2/names"][()]]
    split = load_split(finished / "split.h5", "test")["H2"]
    assert list(split.names) == names
    length = np.linalg.norm(split.positions[:, 1] - split.positions[:, 0], axis=1)
    inside = (length > 1.0) & (length < 2.0)
    # 7 points, energies from 0 to 1 eV: interpolation to a few meV
    assert np.abs(predicted - reference)[inside].max() < 5e-3


def test_a_second_run_does_nothing(finished):
    before = {path.name: path.stat().st_mtime_ns for path in finished.iterdir()}
    tables = run_all(small_workflow(), finished)
    assert all("up to date" in table.title for table in tables)
    assert {path.name: path.stat().st_mtime_ns for path in finished.iterdir()} == before


def test_a_changed_key_reruns_only_what_depends_on_it(finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    config = small_workflow()
    taylor = config.augment["taylor"]
    # copies along the bond do not depend on the seed: made again, they are the same, and nothing follows
    for change, count in (({"seed": 7}, 1), ({"displacement": 0.9 * taylor.displacement}, 3)):
        changed = replace(config, augment=config.augment | {"taylor": replace(taylor, **change)})
        again = [table.title for table in run_all(changed, tmp_path) if "up to date" not in table.title]
        assert len(again) == count  # augment taylor, train-ann taylor, evaluate


def test_the_same_seed_gives_the_same_numbers(tmp_path, finished):
    run_all(small_workflow(), tmp_path)
    ours, theirs = (json.loads((folder / "metrics.json").read_text()) for folder in (tmp_path, finished))
    assert ours == theirs


def test_a_dry_run_of_a_workflow_writes_nothing(tmp_path):
    tables = run_all(small_workflow(), tmp_path / "new", dry_run=True)
    assert len(tables) == 9
    assert not (tmp_path / "new").exists()


def test_copies_know_their_parents(finished):
    copies = load_augmented(finished / "augmented_gpr.h5")["H2"]
    references = load_split(finished / "split.h5", "train")["H2"]
    assert set(copies.parents) == set(references.names)
    assert len(copies) == 2 * len(references)
    assert copies.sigma is None  # nothing in this workflow asks for it


def test_copies_of_test_structures_are_refused(finished, tmp_path):
    """Test structures of another split must not slip into training."""
    given = small_workflow().split
    data = replace(given, inputs=given.test_inputs, test_inputs=(), train=7)
    from aenet_gpr_cli.stages.split import split_stage as split
    from tests.finished_runs import CASE

    split.run(data, CASE, tmp_path / "split.h5", Context())
    with pytest.raises(InputError, match="parents of the copies are not training structures"):
        train_ann.run(
            TrainAnnConfig(mode="gpr"),
            tmp_path / "split.h5",
            finished / "augmented_gpr.h5",
            tmp_path / "ann.h5",
            Context(),
        )


def test_the_label_must_fit_the_mode(finished, tmp_path):
    with pytest.raises(ConfigError, match="expected copies labelled taylor, got gpr"):
        train_ann.run(
            TrainAnnConfig(mode="taylor"),
            finished / "split.h5",
            finished / "augmented_gpr.h5",
            tmp_path / "ann.h5",
            Context(),
        )


def test_augmentation_can_be_written_as_xsf(finished, tmp_path):
    from aenet_gpr_cli.io.formats.xsf import read_xsf

    config = AugmentConfig(method="gpr", mode="along_bond", n_copies=2, displacement=0.02, write=["xsf"])
    augment.run(config, finished / "split.h5", finished / "gpr.h5", tmp_path / "copies.h5", Context())
    copies = load_augmented(tmp_path / "copies.h5")["H2"]
    files = sorted((tmp_path / "copies_xsf" / "H2").glob("*.xsf"))
    assert len(files) == len(copies)
    first = read_xsf(files[0])
    np.testing.assert_array_equal(first.positions, copies.structures.positions[0])
    assert first.energy == copies.structures.energies[0]


def test_rejected_copies_are_counted(finished, tmp_path):
    config = AugmentConfig(method="gpr", mode="along_bond", n_copies=2, displacement=0.05, max_sigma=1e-12)
    table = augment.run(config, finished / "split.h5", finished / "gpr.h5", tmp_path / "c.h5", Context())
    assert list(table.rows[0][2:4]) == ["0", "14"]


def test_a_workflow_without_test_structures_ends_before_anything_is_trained(tmp_path):
    (tmp_path / "one.xyz").write_text(
        "2\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-1.0\nH 0 0 0 0 0 1\nH 0 0 0.8 0 0 -1\n"
    )
    split = {"inputs": [str(tmp_path / "one.xyz")], "train": 0.8}
    config, work = small_workflow(split=split), tmp_path / "work"
    message = "expected test structures, on which evaluate measures errors, got none; give more structures"
    for dry_run in (True, False):
        with pytest.raises(InputError, match=message):
            run_all(config, work, dry_run=dry_run)
    assert not list(work.glob("*.h5"))
    first = next(steps(config, CASE, work, until="train-ann"))(Context())
    assert any("cannot say anything about errors" in note for note in first.notes) or first.rows
    with pytest.raises(InputError, match=message):  # also of a division that is up to date
        run_all(config, work)
    assert [path.name for path in work.glob("*.h5")] == ["split.h5"]
