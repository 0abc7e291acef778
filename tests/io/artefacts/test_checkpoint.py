"""Unfinished work beside an output: what a killed run leaves goes, what another run needs stays."""

import json
import os
import socket

import pytest

from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.checkpoint import Checkpoint
from aenet_gpr_cli.io.hdf5.locks import lock_of

JOB = Job("augment", {"seed": 1}, {"split": "0"})
OTHER = Job("augment", {"seed": 2}, {"split": "0"})


@pytest.fixture
def output(tmp_path):
    """An output, with finished parts of the same job beside it: killed between publishing and removing."""
    path = tmp_path / "out.h5"
    keep_part(path, JOB)
    with publish(path, JOB):
        pass
    return path


def keep_part(path, job):
    unfinished = Checkpoint(path, job)
    with publish(unfinished.path_of(("a",)), unfinished.job_of(("a",))):
        pass


def test_remains_of_the_same_job_go(output):
    (output.parent / ".out.h5.1.tmp").write_text("half")
    lock_of(output).write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
    Checkpoint(output, JOB).discard_remains()
    assert [path.name for path in output.parent.iterdir()] == ["out.h5"]


def test_an_emptied_folder_goes(output):
    for path in Checkpoint(output, JOB).folder.iterdir():
        path.unlink()
    Checkpoint(output, JOB).discard_remains()
    assert not Checkpoint(output, JOB).folder.exists()


def test_unfinished_work_of_another_job_stays(output):
    Checkpoint(output, JOB).discard()
    keep_part(output, OTHER)
    Checkpoint(output, JOB).discard_remains()
    assert len(Checkpoint(output, OTHER).finished()) == 1


def test_nothing_goes_while_another_process_writes(output):
    lock_of(output).write_text(json.dumps({"host": "elsewhere", "pid": 1, "since": ""}))
    Checkpoint(output, JOB).discard_remains()
    assert Checkpoint(output, JOB).finished()
    assert lock_of(output).exists()
