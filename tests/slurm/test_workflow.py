"""A whole workflow on a real SLURM: arrays, dependencies, and members that are stopped and queue again."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.workflow_config import WorkflowConfig
from aenet_gpr_cli.io.formats.xsf import write_xsf
from aenet_gpr_cli.io.slurm import read_record
from aenet_gpr_cli.settings import as_json
from aenet_gpr_cli.stages import inspection
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.workflow_steps import steps
from tests.faults.conftest import aenet_gpr, water
from tests.stages.unfinished import assert_same

WORKFLOW = {
    "name": "waters",
    "seed": 3,
    "split": {"inputs": ["runs"], "train": 8},
    "fit_gpr": {"model": "full", "length_scale": 1.0, "power": 1.0},
    "augment": {"gpr": {"displacement": 0.03, "n_copies": 4, "sigma": "none"}},
    "train_ann": {
        "gpr": {
            "n_members": 3,
            "optimiser": "adamw",
            "adamw": {"epochs": 300, "patience": 300, "batch_size": 8},
            "network": {"radial_order": 4, "angular_order": 2, "hidden": [4]},
            "checkpoint_seconds": 0.2,
        }
    },
    "slurm": {"cpus": 1, "memory_gib": 1.0, "time": "30", "stages": {"collect": {"time": "5"}}},
}


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Path:
    """Structures of two compositions, and the workflow."""
    folder, rng = tmp_path_factory.mktemp("case"), np.random.default_rng(0)
    (folder / "runs").mkdir()
    for i in range(12):
        for name, species in (("water", "OHH"), ("sulphide", "SHH")):
            write_xsf(water(rng, name, species), folder / "runs" / f"{name}{i}.xsf")
    (folder / "workflow.yaml").write_text(yaml.safe_dump(WORKFLOW))
    return folder


@pytest.fixture(scope="module")
def undisturbed(case, tmp_path_factory) -> Path:
    """The same workflow by `run`, and each member by itself, without a scheduler."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    config = build(WorkflowConfig, WORKFLOW, "workflow")
    for step in steps(config, case, workdir, until="augment"):
        step(Context())
    (workdir / "w.yaml").write_text(yaml.safe_dump(as_json(config)))
    for member in range(3):
        files = ["split.h5", "augmented_gpr.h5", "-o", f"member_{member}.h5"]
        done = aenet_gpr("train-ann", *files, "-c", "w.yaml", "--member", member, folder=workdir)
        assert done.returncode == 0, done.stderr
    return workdir


def test_stopped_members_queue_again_and_give_the_undisturbed_potential(cluster, case, undisturbed, tmp_path):
    workdir, name = tmp_path / "run", "train-ann_gpr"
    done = aenet_gpr("submit", "workflow.yaml", "--workdir", workdir, folder=case)
    assert done.returncode == 0, done.stderr
    jobs = {job.name: job for job in read_record(workdir)}
    assert jobs["fit-gpr"].items == ("H2O", "H2S")
    assert jobs[name].items == ("0", "1", "2")

    def writes_states(member):
        return lambda: (workdir / f"parts/.ann_gpr.member_{member}.h5.checkpoint/state.h5").exists()

    # what --signal=B:USR1@120 does before the wall time ends: a signal to the batch script only
    cluster.wait_until(writes_states(0))
    cluster.command("scancel", "--batch", "--signal=USR1", cluster.identifier(name, "0"))
    # what a preemption does: SIGTERM to all processes, later SIGKILL, and back into the queue
    cluster.wait_until(writes_states(1))
    cluster.command("scontrol", "requeue", cluster.identifier(name, "1"))
    table = {row[2]: row[1] for row in inspection.status(workdir).rows if row[0].startswith("job ")}
    assert "pending" in table["evaluate"]
    cluster.wait_until(lambda: not cluster.states())

    logs = {path.name: path.read_text() for path in (workdir / "slurm").glob("*.log")}
    everything = "\n".join(f"--- {key}\n{text}" for key, text in sorted(logs.items()))
    print(everything)
    assert (workdir / "metrics.h5").exists(), everything
    first, second, third = (
        next(text for key, text in logs.items() if key.startswith(name) and key.endswith(f"_{member}.log"))
        for member in range(3)
    )
    assert "SIGUSR1: stopping after the current step" in first
    assert "interrupted with code 75: queues again" in first
    assert "SIGTERM: stopping after the current step" in second
    assert "stopping" not in third
    for text in (first, second, third):
        assert text.count("Neural-network potential") == 1  # the table of a finished training
    for member in range(3):
        part = workdir / f"parts/ann_gpr.member_{member}.h5"
        assert_same(part, undisturbed / f"member_{member}.h5", "model")
        assert_same(part, undisturbed / f"member_{member}.h5", "history")

    found = {row[0]: row[1] for row in inspection.status(workdir).rows}
    assert all(found[key] == "finished" for key in ("gpr.h5", "augmented_gpr.h5", "ann_gpr.h5", "metrics.h5"))
    config = build(WorkflowConfig, WORKFLOW, "workflow")
    assert all("up to date" in step(Context()).title for step in steps(config, case, workdir))
    assert json.loads((workdir / "metrics.json").read_text())["ann_gpr"]["total"]["n_members"] == 3


def test_a_job_that_fails_keeps_those_after_it_from_starting(cluster, case, tmp_path):
    workdir = tmp_path / "run"
    settings = ["--set", "slurm.prologue=[exit 3]", "--set", "train_ann.gpr.n_members=1"]
    done = aenet_gpr("submit", "workflow.yaml", "--workdir", workdir, *settings, folder=case)
    assert done.returncode == 0, done.stderr
    cluster.wait_until(lambda: not cluster.states())
    assert {path.name for path in workdir.glob("*.h5")} == {"split.h5"}
    logs = list((workdir / "slurm").glob("*.log"))
    assert {path.name.partition(".")[0] for path in logs} == {"fit-gpr"}


def test_a_refused_script_is_told(cluster, case, tmp_path):
    settings = ["--set", "slurm.partition=nowhere"]
    done = aenet_gpr("submit", "workflow.yaml", "--workdir", tmp_path / "run", *settings, folder=case)
    assert done.returncode == 2
    assert "sbatch refuses" in done.stderr
    assert "partition" in done.stderr
