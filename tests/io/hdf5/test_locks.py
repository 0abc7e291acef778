"""Locks that killed processes have left, in every state; temporary files of theirs; folders in the way."""

import json
import os
import socket
import time

import pytest

from aenet_gpr_cli.errors import InputError, ResourceError
from aenet_gpr_cli.io.files import write_text
from aenet_gpr_cli.io.hdf5.locks import lock

OLD = 1e9  # a time before this machine was started


def left(tmp_path, content, written=OLD):
    path = tmp_path / ".a.h5.lock"
    path.write_bytes(content)
    os.utime(path, (written, written))
    return tmp_path / "a.h5"


def holder(pid, host=None):
    return json.dumps({"host": host or socket.gethostname(), "pid": pid, "since": "?"}).encode()


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\x00{", b"[]", b"{}", holder(2**22 + 1), holder(os.getppid()), holder(-1), holder(10**30)],
    ids=["empty", "garbage", "a list", "incomplete", "dead", "reused number", "negative", "huge"],
)  # fmt: skip
def test_a_lock_of_a_dead_process_is_taken_over(tmp_path, content):
    with lock(left(tmp_path, content)):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "written"),
    [(b"", None), (holder(os.getppid()), None), (holder(1, "elsewhere"), OLD)],
    ids=["just made", "alive", "of another host"],
)
def test_a_lock_that_may_be_held_is_left(tmp_path, content, written):
    output = left(tmp_path, content, written or time.time())
    with pytest.raises(ResourceError, match=r"being written by .*; wait for it, or remove"), lock(output):
        pass
    assert (tmp_path / ".a.h5.lock").read_bytes() == content


def test_a_folder_in_the_place_of_an_output_or_its_lock_is_told(tmp_path):
    (tmp_path / "a.h5").mkdir()
    with (
        pytest.raises(InputError, match=r"a\.h5: expected a file to write, got a folder"),
        lock(tmp_path / "a.h5"),
    ):
        pass
    (tmp_path / ".b.h5.lock").mkdir()
    with (
        pytest.raises(InputError, match="expected a lock file or nothing, got a folder"),
        lock(tmp_path / "b.h5"),
    ):
        pass


def test_temporary_files_of_killed_processes_are_removed(tmp_path):
    orphan, others = tmp_path / f".a.txt.{2**22 + 1}.tmp", tmp_path / f".a.txt.{os.getppid()}.tmp"
    orphan.touch()
    others.touch()
    write_text(tmp_path / "a.txt", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([others.name, "a.txt"])
