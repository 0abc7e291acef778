"""A training that is stopped, by a request, a signal or a kill, goes on to the same result."""

import signal

import h5py
import pytest
import yaml

from aenet_gpr_cli.errors import InterruptedRun
from aenet_gpr_cli.settings import as_json
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.split import split_stage as split
from aenet_gpr_cli.stages.train_ann import train_ann_stage as train_ann
from tests.finished_runs import CASE, small_workflow
from tests.stages.unfinished import after, assert_same, left_behind, signalled, small_training

slow = pytest.mark.slow
WAYS = [("adamw", "energy_only"), ("adamw", "direct"), ("levenberg_marquardt", "energy_only"),
        ("levenberg_marquardt", "direct")]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The training structures of H2."""
    path = tmp_path_factory.mktemp("data") / "split.h5"
    split.run(small_workflow().split, CASE, path, Context())
    return path


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """Results of uninterrupted runs, by optimiser and mode."""
    folder, done = tmp_path_factory.mktemp("whole"), {}

    def result(optimiser, mode):
        if (optimiser, mode) not in done:
            done[optimiser, mode] = folder / f"{optimiser}_{mode}.h5"
            train_ann.run(small_training(optimiser, mode), data, None, done[optimiser, mode], Context())
        return done[optimiser, mode]

    return result


def assert_same_potential(ours, theirs):
    assert_same(ours, theirs, "model")
    assert_same(ours, theirs, "history")


@pytest.mark.parametrize(("optimiser", "mode"), WAYS)
def test_stopped_after_some_steps_again_and_again(data, whole, tmp_path, optimiser, mode):
    output, pieces, seconds = tmp_path / "ann.h5", 0, []
    while not output.exists():
        pieces += 1
        try:
            train_ann.run(small_training(optimiser, mode), data, None, output, Context(stop=after(5)))
        except InterruptedRun:
            assert left_behind(tmp_path) == {".ann.h5.checkpoint"}
            with h5py.File(tmp_path / ".ann.h5.checkpoint" / "state.h5") as file:
                seconds.append(float(file.attrs["so_far_s"]))
    assert pieces > 2
    assert_same_potential(output, whole(optimiser, mode))
    assert left_behind(tmp_path) == set()
    with h5py.File(output) as file:
        assert file.attrs["wall_time_s"] > seconds[-1]
    assert seconds == sorted(seconds)  # the time of all pieces adds up


@pytest.mark.parametrize(
    ("optimiser", "mode", "number"),
    [
        ("adamw", "direct", signal.SIGTERM),
        ("levenberg_marquardt", "energy_only", signal.SIGUSR1),
        pytest.param("adamw", "energy_only", signal.SIGINT, marks=slow),
        pytest.param("levenberg_marquardt", "direct", signal.SIGTERM, marks=slow),
    ],
)
def test_a_signal_ends_a_run_with_code_75_and_it_goes_on(data, whole, tmp_path, optimiser, mode, number):
    config, output = small_training(optimiser, mode), tmp_path / "ann.h5"
    (tmp_path / "ann.yaml").write_text(yaml.safe_dump(as_json(config)))
    command = ["train-ann", data, "-c", tmp_path / "ann.yaml", "-o", output]
    stopped = signalled(number, "state.h5", 3, "after", *command)
    assert stopped.returncode == 75, stopped.stderr
    assert stopped.stderr.splitlines()[-1].startswith("stopped: ")
    assert not output.exists()
    with h5py.File(tmp_path / ".ann.h5.checkpoint" / "state.h5") as file:
        steps = file["state/epoch" if optimiser == "adamw" else "state/iteration"][()].max()
    assert steps == 3  # the step that was under way is finished, no other is begun
    train_ann.run(config, data, None, output, Context(resume=True))
    assert_same_potential(output, whole(optimiser, mode))


@pytest.mark.parametrize(
    ("optimiser", "name", "count", "moment"),
    [
        ("adamw", "state.h5", 3, "before"),
        pytest.param("adamw", "state.h5", 3, "after", marks=slow),
        pytest.param("levenberg_marquardt", "state.h5", 1, "before", marks=slow),
        pytest.param("levenberg_marquardt", "ann.h5", 1, "before", marks=slow),
        pytest.param("adamw", "ann.h5", 1, "after", marks=slow),
    ],
)
def test_killed_at_any_moment(data, whole, tmp_path, optimiser, name, count, moment):
    """SIGKILL while a checkpoint or the result is written, or right after."""
    config, output = small_training(optimiser, "energy_only"), tmp_path / "ann.h5"
    (tmp_path / "ann.yaml").write_text(yaml.safe_dump(as_json(config)))
    earlier = whole("adamw", "direct").read_bytes()
    output.write_bytes(earlier)
    command = ["train-ann", data, "-c", tmp_path / "ann.yaml", "-o", output]
    killed = signalled(signal.SIGKILL, name, count, moment, *command)
    assert killed.returncode == -signal.SIGKILL
    if (name, moment) != ("ann.h5", "after"):
        assert output.read_bytes() == earlier
    train_ann.run(config, data, None, output, Context())
    assert_same_potential(output, whole(optimiser, "energy_only"))
    if (name, moment) != ("ann.h5", "after"):  # then it was up to date and nothing was run
        assert left_behind(tmp_path) == set()
