"""`torchrun -m aenet_gpr_cli train-ann`: the same potential, one process writes, a lost one ends the job."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
import yaml
from torch import distributed

from aenet_gpr_cli.settings import as_json
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.train_ann import train_ann_stage as train_ann
from tests.stages.unfinished import left_behind, small_training

pytestmark = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()),
    reason="torch was built without gloo",
)

# The second process is killed in its n-th iteration.
DRIVER = """
import os, sys
from aenet_gpr_cli.ann.optimisers import levenberg_marquardt
from aenet_gpr_cli.cli.main import main

iterate, seen, last = levenberg_marquardt._iterate, [], int(sys.argv.pop(1))

def counted(*arguments):
    seen.append(0)
    if os.environ["RANK"] == "1" and len(seen) == last:
        os.kill(os.getpid(), 9)
    iterate(*arguments)

levenberg_marquardt._iterate = counted
main()
"""


def torchrun(*command):
    """Run a command in two processes."""
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        list(map(str, line)), capture_output=True, text=True, check=False, timeout=300, env=environment
    )


def potential(path):
    """All weights, and the learning curve."""
    with h5py.File(path) as file:
        names = []
        file["model"].visit(names.append)
        found = [file["model"][name][()].ravel() for name in names if name.endswith("/layer")]
        return np.concatenate(found), file["history/training_loss"][()]


@pytest.fixture(scope="module")
def case(tmp_path_factory, finished):
    """References and copies, a configuration, the command line, and the result of one process."""
    folder = tmp_path_factory.mktemp("processes")
    given = (finished / "split.h5", finished / "augmented_gpr.h5")
    keys = {"levenberg_marquardt": {"iterations": 5}, "loss": {"balance": "evidence"}}
    config = small_training("levenberg_marquardt", "combined", **keys)
    (folder / "ann.yaml").write_text(yaml.safe_dump(as_json(config)))
    train_ann.run(config, *given, folder / "one.h5", Context())
    return folder, ("train-ann", *given, "-c", folder / "ann.yaml", "-o")


@pytest.fixture(scope="module")
def killed(case):
    """A training in two processes, of which one was killed in the fourth iteration."""
    folder, command = case
    (folder / "driver.py").write_text(DRIVER)
    return torchrun(folder / "driver.py", 4, *command, folder / "killed.h5")


def test_a_killed_process_ends_the_job(case, killed):
    folder, _ = case
    assert killed.returncode != 0
    assert "exitcode  : -9" in killed.stderr, killed.stderr  # not for another reason
    assert "no checkpoint" not in killed.stderr  # there was space
    assert "Traceback" not in killed.stdout
    assert not (folder / "killed.h5").exists()
    with h5py.File(folder / ".killed.h5.checkpoint" / "state.h5") as file:
        assert file["state/iteration"][()].max() == 3


def test_it_goes_on_from_the_checkpoint_to_the_potential_of_one_and_one_process_reports(case, killed):
    folder, command = case
    done = torchrun("-m", "aenet_gpr_cli", *command, folder / "killed.h5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("killed.h5") == 1
    assert left_behind(folder) == set()
    for ours, one in zip(potential(folder / "killed.h5"), potential(folder / "one.h5"), strict=True):
        assert ours.size > 5
        np.testing.assert_allclose(ours, one, rtol=1e-5, atol=1e-7)  # sums in another order


def test_phases_of_combined_training_are_those_of_one_process(finished, tmp_path):
    """Also the phases that are trained on the references alone, of which each process holds a part."""
    given = (finished / "split.h5", finished / "augmented_gpr.h5")
    keys = {"levenberg_marquardt": {"iterations": 10}, "loss": {"balance": "evidence"}}
    config = small_training("levenberg_marquardt", "combined", **keys)
    (tmp_path / "ann.yaml").write_text(yaml.safe_dump(as_json(config)))
    train_ann.run(config, *given, tmp_path / "one.h5", Context())
    command = ("train-ann", *given, "-c", tmp_path / "ann.yaml", "-o", tmp_path / "two.h5")
    done = torchrun("-m", "aenet_gpr_cli", *command)
    assert done.returncode == 0, done.stderr
    (weights, losses), (_, one) = potential(tmp_path / "two.h5"), potential(tmp_path / "one.h5")
    assert weights.size > 5
    np.testing.assert_allclose(losses, one, rtol=1e-4)  # sums in another order
