"""Water-like molecules with exact forces, as files; the command line here or in a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from aenet_gpr_cli.errors import AenetGprError
from aenet_gpr_cli.io.formats.xsf import write_xsf
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.workflow_steps import steps
from aenet_gpr_cli.structures import Structure
from tests.cli.conftest import run_cli
from tests.finished_runs import CASE, finished, small_workflow

__all__ = ["finished", "run_cli"]  # fixtures of other folders

# bonds of different lengths, so that no two atoms are alike
WATER = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.96], [1.3, 0.0, -0.33]])


def water(rng: np.random.Generator, name: str, species: str = "OHH") -> Structure:
    """Springs between all pairs of atoms, so that forces and energies belong together."""
    positions = WATER + 0.05 * rng.standard_normal(WATER.shape)
    d = positions[:, None] - positions
    r = np.linalg.norm(d, axis=-1) + np.eye(3)
    rest = np.linalg.norm(WATER[:, None] - WATER, axis=-1) + np.eye(3)
    stretch = np.where(np.eye(3) > 0, 0.0, r - rest)
    forces = -(20.0 * stretch / r)[..., None] * d
    return Structure(
        tuple(species), positions, energy=-2000.0 + 5.0 * float((stretch**2).sum()), forces=forces.sum(1),
        name=name,
    )  # fmt: skip


@pytest.fixture
def waters(tmp_path) -> Path:
    """A folder of twelve molecules."""
    folder, rng = tmp_path / "runs", np.random.default_rng(0)
    folder.mkdir()
    for i in range(12):
        write_xsf(water(rng, f"w{i}"), folder / f"w{i}.xsf")
    return folder


def aenet_gpr(*arguments, folder: Path, prefix: tuple[str, ...] = (), **environment: str):
    """Run the command line in a process of its own, for faults that end or limit a process."""
    command = [*prefix, sys.executable, "-m", "aenet_gpr_cli", *map(str, arguments)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **environment}
    env["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), env.get("PYTHONPATH", "")])
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300
    )


SECONDS_TO_HANG = 120


def in_child(work: Callable[[], object], seconds: int = SECONDS_TO_HANG) -> int:
    """Run something in a forked process that may be killed; return its exit code, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            signal.alarm(seconds)
            with threadpool_limits(1):  # the threads of the parent are not in this process
                work()
            code = 0
        except AenetGprError as error:
            code = error.exit_code
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def stages(request, tmp_path) -> Callable[[str], tuple[Path, Callable[[Context], object]]]:
    """A function: name of an artefact → its path in a copy of the finished folder, and the stage for it."""
    workdir = tmp_path / "work"
    shutil.copytree(request.getfixturevalue("finished"), workdir)

    def stage(name: str, folder: Path = workdir) -> tuple[Path, Callable[[Context], object]]:
        for step in steps(small_workflow(), CASE, folder):
            if step.args[-1].name == name:  # type: ignore[attr-defined]
                return folder / name, step
        raise AssertionError(f"no stage writes {name}")

    return stage


def outdated(path: Path) -> bytes:
    """Make an artefact one of another configuration; return its content."""
    with h5py.File(path, "a") as file:
        file.attrs["fingerprint"] = "other"
    return path.read_bytes()
