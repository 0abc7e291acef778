"""What a checkpoint refuses, drops and survives; signals as requests; stages that stop between units."""

import contextlib
import logging
import os
import signal
import sys
import time

import h5py
import numpy as np
import pytest
from pydantic_core import SchemaError

from aenet_gpr_cli.ann.execution.surroundings import Processes
from aenet_gpr_cli.errors import ConfigError, InputError, InterruptedRun, ResourceError
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.checkpoint import Checkpoint
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.shared.signals import SIGNALS, interrupted_by_signals, stop_on_signals
from aenet_gpr_cli.stages.workflow_steps import steps
from tests.finished_runs import CASE, small_workflow
from tests.stages.unfinished import left_behind

JOB = Job(
    "train-ann",
    {"lr": 1.0, "net": {"hidden": [3]}, "every": 9},
    {"split": "abc"},
    neutral=frozenset({"every"}),
)
STATE = {"weights": np.arange(3.0), "wait": np.array([1, 2]), "stalled": np.array([True])}


@pytest.fixture
def checkpoint(tmp_path):
    kept = Checkpoint(tmp_path / "ann.h5", JOB)
    kept.save_state(("0", "1"), STATE, 12.5)
    return kept


def changed(checkpoint, **config):
    job = Job(JOB.kind, JOB.config | config, JOB.inputs, neutral=JOB.neutral)
    return Checkpoint(checkpoint.output, job)


def test_the_state_comes_back_as_it_was(checkpoint):
    saved = checkpoint.load_state()
    assert (saved.part, saved.wall_time) == (("0", "1"), 12.5)
    assert saved.arrays.keys() == STATE.keys()
    for name, values in STATE.items():
        assert saved.arrays[name].dtype == values.dtype
        np.testing.assert_array_equal(saved.arrays[name], values)


@pytest.mark.parametrize("resume", [False, True])
def test_the_same_job_goes_on(checkpoint, resume):
    checkpoint.prepare(resume=resume, restart=False)
    changed(checkpoint, every=1).prepare(resume=resume, restart=False)  # a key without effect on the result
    assert checkpoint.load_state() is not None


@pytest.mark.parametrize("resume", [False, True])
def test_work_of_another_configuration_is_refused_by_name(checkpoint, resume):
    other = changed(checkpoint, lr=0.5, net={"hidden": [3, 3]})
    message = r"lr: 1.0 there, 0.5 here; net.hidden: \[3\] there, \[3, 3\] here.*--restart"
    with pytest.raises(ConfigError, match=message):
        other.prepare(resume=resume, restart=False)
    assert checkpoint.load_state() is not None  # not touched


def test_work_on_other_data_is_refused(checkpoint):
    other = Checkpoint(checkpoint.output, Job(JOB.kind, JOB.config, {"split": "xyz"}))
    with pytest.raises(ConfigError, match="split: not the same file"):
        other.prepare(resume=False, restart=False)


def test_restart_drops_it(checkpoint):
    changed(checkpoint, lr=0.5).prepare(resume=False, restart=True)
    assert not checkpoint.folder.exists()


def test_resume_and_restart_exclude_each_other(checkpoint):
    with pytest.raises(ConfigError, match="expected one of them"):
        checkpoint.prepare(resume=True, restart=True)


def test_resuming_without_a_checkpoint_starts(tmp_path):
    nothing = Checkpoint(tmp_path / "ann.h5", JOB)
    nothing.prepare(resume=True, restart=False)
    assert nothing.load_state() is None


@pytest.mark.parametrize("damage", ["truncated", "not HDF5", "foreign", "not complete"])
def test_a_damaged_one_is_dropped_with_a_line_or_refused(checkpoint, damage, caplog, monkeypatch):
    path = checkpoint.folder / "state.h5"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:1500])
    elif damage == "not HDF5":
        path.write_text("nonsense")
    elif damage == "foreign":
        path.unlink()
        with h5py.File(path, "w") as file:
            file["x"] = 1
    else:
        with h5py.File(path, "r+") as file:
            file.attrs["complete"] = False
    with pytest.raises(InputError, match="--restart starts over"):
        checkpoint.prepare(resume=True, restart=False)
    monkeypatch.setattr(logging.getLogger("aenet_gpr_cli"), "propagate", True)
    checkpoint.prepare(resume=False, restart=False)
    assert "damaged, not used" in caplog.text
    assert checkpoint.load_state() is None


def test_what_a_finished_run_left_is_dropped(checkpoint):
    """Killed between the output and the removal of the checkpoint."""
    with publish(checkpoint.output, JOB):
        pass
    changed(checkpoint, lr=0.5).prepare(resume=False, restart=False)  # no longer in the way
    assert not checkpoint.folder.exists()


def test_a_forced_run_that_was_stopped_goes_on(tmp_path):
    """The output of the same job is older than the checkpoint: it says nothing about it."""
    kept = Checkpoint(tmp_path / "ann.h5", JOB)
    with publish(kept.output, JOB):
        pass
    os.utime(kept.output, ns=(0, 0))
    kept.save_state(("0",), STATE, 1.0)
    kept.prepare(resume=False, restart=False)
    assert kept.load_state() is not None


def test_a_kill_while_a_state_is_written_leaves_the_one_before(checkpoint, monkeypatch):
    from aenet_gpr_cli.io import files

    class KilledError(BaseException):
        pass

    def die(temporary, path, durable):
        raise KilledError

    monkeypatch.setattr(files, "_take_name", die)
    with pytest.raises(KilledError):
        checkpoint.save_state(("0", "1"), {"weights": np.zeros(3)}, 99.0)
    assert checkpoint.load_state().wall_time == 12.5


def test_temporary_files_of_killed_processes_go(tmp_path):
    (tmp_path / ".ann.h5.4242.tmp").write_bytes(b"half")
    with publish(tmp_path / "ann.h5", JOB):
        pass
    assert left_behind(tmp_path) == set()


def test_no_space_for_a_checkpoint_does_not_end_the_training(checkpoint, monkeypatch, caplog):
    from aenet_gpr_cli.stages.train_ann.members import Work, _Keeper

    def full(*_):
        raise ResourceError("no space left")

    monkeypatch.setattr(Checkpoint, "save_state", full)
    work = Work(None, (0, 1), checkpoint, 0.0, "gpr", Processes())
    keeper = _Keeper(work, (0, 1), 0.0)
    monkeypatch.setattr(logging.getLogger("aenet_gpr_cli"), "propagate", True)
    keeper(lambda: STATE)
    assert "no checkpoint: no space left" in caplog.text
    with pytest.raises(ResourceError):  # but a run that is asked to stop must not pretend
        keeper.save(STATE)


# signals --------------------------------------------------------------------------------------------------


def test_a_signal_that_comes_twice_at_once_is_one_request():
    """A scheduler sends SIGTERM to the shell, which passes it on, and to its children."""
    with stop_on_signals() as stop:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.name == "SIGTERM"
        with pytest.raises(KeyboardInterrupt):  # from a terminal it is meant as it comes
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def heard():
    """No signal is ignored, whatever this process was started by."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_outside_the_stages_every_signal_is_an_interrupt(number, heard):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interrupted_by_signals():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupt_that_a_library_makes_an_error_of_is_one_still(number, heard):
    """As pydantic does while it builds the checks of a configuration: the error was called a bug."""

    def build(interrupted):
        try:
            if interrupted:
                signal.raise_signal(number)
            raise TypeError("unknown field")
        except BaseException as error:
            raise SchemaError(f"Field 'method': {type(error).__name__}: {error}") from None

    with pytest.raises(KeyboardInterrupt), interrupted_by_signals():
        build(True)
    with pytest.raises(SchemaError, match="unknown field"), interrupted_by_signals():
        build(False)


class Signalled:
    """A signal comes while its destructor runs, from which Python lets no exception out."""

    def __init__(self, number):
        self.number = number

    def __del__(self):
        signal.raise_signal(self.number)


def _signalled_in_a_destructor(number, asked):
    if asked:
        signal.raise_signal(signal.SIGTERM)
    Signalled(signal.SIGINT if asked else number)
    time.sleep(20)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("asked", [False, True])
def test_an_interrupt_in_a_destructor_is_not_lost(number, asked, heard, capsys):
    """Nor told as an exception that was ignored; before a stage listens, and as the second one within it."""
    hook = sys.unraisablehook
    with (
        pytest.raises(KeyboardInterrupt),
        interrupted_by_signals(),
        stop_on_signals() if asked else contextlib.nullcontext(),
    ):
        _signalled_in_a_destructor(number, asked)
    assert sys.unraisablehook is hook
    assert "ignored" not in capsys.readouterr().err


def test_the_end_of_a_terminal_stays_ignored_where_it_was(heard):
    """As nohup asks for."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interrupted_by_signals(), stop_on_signals() as stop:
        signal.raise_signal(signal.SIGHUP)
        assert not stop()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_a_request_and_the_second_one_an_order(number, heard, capsys, monkeypatch):
    monkeypatch.setattr("aenet_gpr_cli.stages.shared.signals.SECONDS_OF_ONE_REQUEST", 0.0)
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        assert f"{number.name}: stopping after the current step" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_every_stage_stops_between_units_of_work_and_leaves_nothing_half_written(finished, tmp_path):
    """Asked to stop from the beginning, each stage ends at its first unit."""
    for path in finished.glob("*.h5"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    stages = list(steps(small_workflow(), CASE, tmp_path))
    assert len(stages) == 9
    for step in stages:
        with pytest.raises(InterruptedRun, match="run the same command again"):
            step(Context(force=True, stop=lambda: True))
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
