"""A training that goes on from a potential: near at once, resumed, by AdamW, from ænet, in workflows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aenet_gpr_cli.ann.training_settings import Network
from aenet_gpr_cli.config.reading import build, read_config
from aenet_gpr_cli.config.stages.active_config import ActiveConfig
from aenet_gpr_cli.errors import ConfigError, InputError, InterruptedRun
from aenet_gpr_cli.io.artefacts.stored_anns import load_ann
from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.stages import exchange_stage
from aenet_gpr_cli.stages.active import active_stage
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.split.input_paths import from_anywhere
from aenet_gpr_cli.stages.submit import submit_stage as submit
from aenet_gpr_cli.stages.train_ann import train_ann_stage as train_ann
from aenet_gpr_cli.stages.workflow_steps import steps
from tests.finished_runs import CASE, small_workflow
from tests.stages.unfinished import after, assert_same, energies, small_training, write_split

DRY = Context(dry_run=True)
CONFIG = small_training("levenberg_marquardt", "energy_only")
NEXT_TO_NOTHING = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-9, "weight_decay": 0.0}


def test_a_start_is_near_after_one_step(data, whole, tmp_path):
    """On fewer structures, so that scales differ; one step from there is near, one from anywhere is not."""
    fewer = write_split(tmp_path / "fewer.h5", n=6)
    output = tmp_path / "warm.h5"
    cold, one = tmp_path / "cold.h5", replace(CONFIG.levenberg_marquardt, iterations=1)
    config = replace(CONFIG, levenberg_marquardt=one)
    train_ann.run(config, fewer, None, output, Context(), start=whole)
    train_ann.run(config, fewer, None, cold, Context())
    reference = load_split(fewer, "train")["H3N"].energies
    errors = [np.abs(energies(path, fewer) - reference).mean() for path in (output, cold, whole)]
    assert errors[0] < 2.0 * errors[2]
    assert errors[0] < 0.5 * errors[1]
    assert load_ann(output).energy_scale != load_ann(whole).energy_scale


def test_another_start_is_another_training(data, whole, tmp_path):
    output, other = tmp_path / "ann.h5", tmp_path / "other.h5"
    train_ann.run(replace(CONFIG, seed=4), data, None, other, Context())
    train_ann.run(CONFIG, data, None, output, Context(), start=whole)
    assert "up to date" in train_ann.run(CONFIG, data, None, output, Context(), start=whole).title
    named = replace(CONFIG, start="whatever it is called")  # what counts is the file
    assert "up to date" in train_ann.run(named, data, None, output, Context(), start=whole).title
    assert "up to date" not in train_ann.run(CONFIG, data, None, output, Context(), start=other).title


def test_a_repulsion_that_the_start_has_is_not_lost_unsaid(data, whole, tmp_path, caplog):
    walled, after_it = tmp_path / "walled.h5", tmp_path / "after.h5"
    config = replace(CONFIG, baseline="zbl")
    train_ann.run(config, data, None, walled, Context(), start=whole)
    train_ann.run(config, data, None, after_it, Context(), start=walled)
    assert load_ann(after_it).repulsion == load_ann(walled).repulsion
    assert "repels nuclei" not in caplog.text
    train_ann.run(CONFIG, data, None, after_it, Context(), start=walled)
    assert load_ann(after_it).repulsion is None
    assert "repels nuclei at short distances (baseline: zbl), this potential will not" in caplog.text


def test_a_start_that_does_not_fit_is_refused_or_left_out_as_asked(data, whole, tmp_path, caplog):
    config = replace(CONFIG, network=replace(CONFIG.network, hidden=(3,)))
    with pytest.raises(InputError, match="start: expected a potential with the hidden"):
        train_ann.run(config, data, None, tmp_path / "ann.h5", Context(), start=whole)
    assert not (tmp_path / "ann.h5").exists()
    with caplog.at_level("INFO"):
        train_ann.run(config, data, None, tmp_path / "ann.h5", Context(), start=whole, must_fit=False)
    assert "begin anew" in caplog.text


@pytest.mark.parametrize("optimiser", ["adamw", "levenberg_marquardt"])
def test_interrupted_it_goes_on_from_where_it_was_and_not_from_the_start(data, whole, tmp_path, optimiser):
    config = small_training(optimiser, "energy_only", seed=5)
    undisturbed, output = tmp_path / "whole.h5", tmp_path / "ann.h5"
    train_ann.run(config, data, None, undisturbed, Context(), start=whole)
    with pytest.raises(InterruptedRun):
        train_ann.run(config, data, None, output, Context(stop=after(3)), start=whole)
    with pytest.raises(ConfigError, match="start"):  # without it, it is another training
        train_ann.run(config, data, None, output, Context())
    train_ann.run(config, data, None, output, Context(), start=whole)
    assert_same(output, undisturbed, "model")
    assert_same(output, undisturbed, "history")


def test_adamw_begins_with_the_energies_of_the_start(data, whole, tmp_path):
    fewer, output = write_split(tmp_path / "fewer.h5", n=6), tmp_path / "ann.h5"
    config = small_training("adamw", "energy_only", adamw=NEXT_TO_NOTHING)
    train_ann.run(config, fewer, None, output, Context(), start=whole)
    np.testing.assert_allclose(energies(output, data), energies(whole, data), atol=1e-6)
    assert np.ptp(energies(whole, data)) > 1e-3


def test_files_of_aenet_are_a_start(data, tmp_path):
    network = {"radial_cutoff": 8.0, "radial_order": 4, "angular_order": 0, "hidden": [4]}
    first, output = tmp_path / "first.h5", tmp_path / "ann.h5"
    train_ann.run(replace(CONFIG, network=build(Network, network, "test")), data, None, first, Context())
    exchange_stage.export(first, tmp_path / "aenet", "nn", 1, Context())
    exchange_stage.import_potential(
        sorted((tmp_path / "aenet").glob("*.nn")), tmp_path / "imported.h5", Context()
    )
    keys = {"network": network, "adamw": NEXT_TO_NOTHING, "n_members": 1}
    config = small_training("adamw", "energy_only", **keys)
    train_ann.run(config, data, None, output, Context(), start=tmp_path / "imported.h5")
    np.testing.assert_allclose(energies(output, data)[0], energies(first, data)[1], atol=1e-6)


def workflow_from(start):
    trainings = {"direct": {"mode": "direct", "start": start}, "anew": {"mode": "direct"}}
    return small_workflow(train_ann=trainings)


def test_a_variant_of_a_workflow_names_its_start_beside_the_workflow():
    trainings = trainings_of(workflow_from("old/ann.h5"))
    assert [step.keywords["start"] for step in trainings] == [CASE / "old/ann.h5", None]
    assert all(step.keywords["must_fit"] for step in trainings)


def trainings_of(workflow, **keys) -> list[Any]:
    found: list[Any] = list(steps(workflow, CASE, Path("run"), **keys))
    return [step for step in found if step.func is train_ann.run]


def test_a_start_that_is_not_there_is_refused_by_name(data, tmp_path):
    with pytest.raises(InputError, match=r"old.h5: no such file; it is the start that train-ann needs"):
        train_ann.run(CONFIG, data, None, tmp_path / "ann.h5", Context(), start=tmp_path / "old.h5")


def test_jobs_find_the_start_from_their_folder(tmp_path, whole):
    (tmp_path / "old").symlink_to(whole.parent)
    source = tmp_path / "case"
    source.mkdir()
    config = workflow_from("../old/ann.h5")
    submit.run(replace(config, split=from_anywhere(config.split, CASE)), source, tmp_path / "run", DRY)
    _, kept = read_config(None, tmp_path / "run/slurm/workflow.yaml")
    assert Path(kept.train_ann["direct"].start) == whole.resolve()
    assert kept.train_ann["anew"].start is None


def test_active_learning_begins_with_the_start_and_goes_on_with_the_round_before():
    keys = {
        "name": "h2",
        "pool": ["pool"],
        "split": {"inputs": ["train"]},
        "augment": {"mode": "along_bond"},
        "train_ann": {"start": "old.h5"},
        "label": {"calculator": {"name": "lj"}},
    }
    config = build(ActiveConfig, keys, "test")
    workflow = active_stage._workflow(config, [])

    def start(earlier):
        return trainings_of(workflow, earlier=earlier)[0].keywords["start"]

    assert start(None) == CASE / "old.h5"
    assert start(Path("round_00")) == Path("round_00/ann_gpr.h5")
