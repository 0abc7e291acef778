"""Too little disk or memory, two writers, files of an earlier run (cases 13, 14, 16, 17, 20, 22)."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from aenet_gpr_cli.errors import ResourceError
from aenet_gpr_cli.io.hdf5.full_disk import RESERVE_BYTES
from aenet_gpr_cli.stages.shared.context import Context
from tests.stages.unfinished import assert_same, left_behind, write_split

from .conftest import aenet_gpr, in_child, outdated

ROOT = Path(__file__).parents[2]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"needs mount: {error}")
    if done.returncode:
        pytest.skip(f"needs the right to mount a small disk: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(folder, leave):
    """Fill the disk up to some bytes."""
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    (folder / "filler").write_bytes(bytes(free - leave))
    return folder / "filler"


@pytest.mark.parametrize("leave", [0, RESERVE_BYTES + 8192])
@pytest.mark.parametrize(
    "name", ["split.h5", "gpr.h5", "augmented_gpr.h5", "ann_energy_only.h5", "metrics.h5"]
)
def test_a_full_disk_leaves_the_earlier_result(stages, finished, small_disk, name, leave):
    """In a process of its own: HDF5 ends a process that cannot write by a segmentation fault."""
    for path in finished.iterdir():
        (small_disk / path.name).write_bytes(path.read_bytes())
    output, stage = stages(name, small_disk)
    earlier = outdated(output)
    filler = fill(small_disk, leave)
    assert in_child(lambda: stage(Context())) == ResourceError.exit_code
    assert output.read_bytes() == earlier
    assert {path for path in left_behind(small_disk) if path.endswith(".tmp")} == set()
    filler.unlink()
    stage(Context())
    assert_same(output, finished / name, "/")
    assert left_behind(small_disk) == set()


def test_a_full_disk_is_told_with_exit_code_4(waters, small_disk, tmp_path):
    fill(small_disk, 0)
    done = aenet_gpr("split", "runs", "-o", small_disk / "split.h5", "--set", "train=8", folder=tmp_path)
    assert done.returncode == 4, done.stderr
    assert "free some space" in done.stderr
    assert "Traceback" not in done.stderr


LIMITED = """
import resource, sys
import aenet_gpr_cli.stages.fit_gpr.fit_gpr_stage, scipy.linalg, scipy.optimize, psutil
from aenet_gpr_cli.cli.main import main
limit = psutil.Process().memory_info().vms + int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.argv = ["aenet-gpr", *sys.argv[2:]]
main()
"""


def test_a_memory_limit_ends_a_fit_with_exit_code_4(tmp_path):
    """The forecast says 16 GiB are allowed, but the process may take 400 MiB more than it has."""
    write_split(tmp_path / "split.h5", n=1000)
    keys = ["model=full", "length_scale=1.0", "power=1.0", "solver=cholesky", "subsets=[H3N]"]
    command = ["fit-gpr", "split.h5", *(f"--set={key}" for key in keys)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "400", *command], cwd=tmp_path, env=env, capture_output=True,
        text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert "memory" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"split.h5"}


HOLDER = """
import sys, time
from pathlib import Path
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
with publish(Path(sys.argv[1]), Job("split", {}, {})) as file:
    print("writing", flush=True)
    time.sleep(600)
"""


def test_a_second_writer_is_told_who_writes_and_takes_over_from_a_dead_one(run_cli, waters, tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "split.h5")]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "writing\n"
            code, _, said = run_cli("split", "runs", "--set", "train=8")
            assert code == 4
            assert f"being written by process {holder.pid} on {socket.gethostname()}" in said
            assert not (tmp_path / "split.h5").exists()
        finally:
            holder.send_signal(signal.SIGKILL)
    code, _, said = run_cli("split", "runs", "--set", "train=8")
    assert code == 0, said
    assert left_behind(tmp_path) == set()


def test_files_of_an_earlier_larger_run_are_not_taken_for_results(run_cli, waters, tmp_path):
    run_cli("split", "runs", "--set", "train=8")
    keys = ["method=taylor", "displacement=0.005", "write=[xsf]", "minimum_distance=0"]
    for copies in (5, 2):
        settings = [*keys, f"n_copies={copies}"]
        code, _, said = run_cli("augment", "split.h5", *(f"--set={key}" for key in settings))
        assert code == 0, said
        assert len(list((tmp_path / "augmented_xsf").rglob("*.xsf"))) == 8 * copies
    (tmp_path / "augmented_xsf/H2O/left_over.xsf").write_text("nonsense")
    settings = ["mode=taylor", "levenberg_marquardt.iterations=2"]
    code, _, said = run_cli("train-ann", "split.h5", "augmented.h5", *(f"--set={key}" for key in settings))
    assert code == 0, said


@pytest.mark.parametrize("count", [1, 2])
def test_a_handful_of_structures_is_enough_and_a_batch_may_be_larger(run_cli, waters, count):
    code, _, said = run_cli("split", "runs", "--set", f"train={count}")
    assert code == 0, said
    code, _, said = run_cli("fit-gpr", "split.h5", "--set", "length_scale=1.0", "--set", "power=1.0")
    assert code == 0, said
    settings = ["mode=energy_only", "optimiser=adamw", "adamw.epochs=2", "adamw.batch_size=500"]
    settings += ["validation_fraction=0.5"]
    code, _, said = run_cli("train-ann", "split.h5", *(f"--set={key}" for key in settings))
    assert code == 0, said
    code, _, said = run_cli("evaluate", "split.h5", "gpr.h5", "ann.h5")
    assert code == 0, said
