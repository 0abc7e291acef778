"""Killed or told to stop in every stage: earlier results intact, the next run gives the same (16, 18, 19)."""

import os
import signal

import pytest

from aenet_gpr_cli.io import files
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.shared.signals import stop_on_signals
from tests.stages.unfinished import assert_same, left_behind

from .conftest import in_child, outdated

OUTPUTS = [
    "split.h5", "gpr.h5", "augmented_gpr.h5", "augmented_taylor.h5", "ann_energy_only.h5", "ann_gpr.h5",
    "metrics.h5",
]  # fmt: skip
BESIDE = {"metrics.h5": ["metrics.json", "metrics.csv"]}


def killing(name, moment):
    """Publish as always, but end by SIGKILL before or after the file gets its name."""
    take_name = files._take_name

    def publish(temporary, path, durable):
        if path.name == name and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        take_name(temporary, path, durable)
        if path.name == name:
            os.kill(os.getpid(), signal.SIGKILL)

    return publish


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", OUTPUTS)
def test_killed_when_its_result_is_written(stages, finished, monkeypatch, name, moment):
    output, stage = stages(name)
    earlier = outdated(output)
    others = {p: p.read_bytes() for p in output.parent.glob("*.h5") if p != output}
    with monkeypatch.context() as patch:
        patch.setattr(files, "_take_name", killing(name, moment))
        assert in_child(lambda: stage(Context())) == -signal.SIGKILL
    if moment == "before":
        assert output.read_bytes() == earlier
        assert left_behind(output.parent)  # the lock, the temporary file
    table = stage(Context())
    assert ("up to date" in table.title) == (moment == "after")
    assert_same(output, finished / name, "/")
    for beside in BESIDE.get(name, ()):
        assert (output.parent / beside).read_bytes() == (finished / beside).read_bytes()
    assert all(path.read_bytes() == content for path, content in others.items())
    stage(Context(force=True))  # takes over the lock, and what else was left
    assert left_behind(output.parent) == set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("name", OUTPUTS)
def test_told_to_stop_in_the_middle(stages, finished, name, number):
    output, stage = stages(name)
    earlier = outdated(output)

    def told():
        sent = []

        def progress(*_):
            if not sent:
                os.kill(os.getpid(), number)
            sent.append(0)

        with stop_on_signals() as stop:
            stage(Context(progress, stop=stop))

    assert in_child(told) == 75
    assert output.read_bytes() == earlier
    assert {path for path in left_behind(output.parent) if not path.endswith(".checkpoint")} == set()
    stage(Context())
    assert_same(output, finished / name, "/")
    assert left_behind(output.parent) == set()
