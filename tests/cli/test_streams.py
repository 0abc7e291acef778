"""Closed, full and ASCII streams; a pipe that nobody reads; notes of errors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aenet_gpr_cli.errors import InputError
from tests.cli.test_main import WATER

ROOT = Path(__file__).parents[2]
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def aenet_gpr(folder, shell, **environment):
    """Run a line of a shell in which $AENET is the command."""
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        **environment,
        "AENET": f"{sys.executable} -m aenet_gpr_cli",
    }
    return subprocess.run(["bash", "-c", shell], cwd=folder, env=env, capture_output=True, check=False)


def test_a_closed_pipe_ends_quietly(tmp_path):
    done = aenet_gpr(tmp_path, "$AENET schema | head -1; exit ${PIPESTATUS[0]}")
    assert done.returncode in (0, 141)
    assert done.stderr == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_standard_output_is_told_with_exit_code_4(tmp_path):
    done = aenet_gpr(tmp_path, "$AENET schema > /dev/full")
    assert done.returncode == 4
    assert done.stderr.startswith(b"error: an output, or standard output: No space left on device")
    assert done.stderr.count(b"\n") == 1


def test_a_closed_standard_output_is_no_error(tmp_path):
    done = aenet_gpr(tmp_path, "$AENET schema >&-")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("locale", [{"PYTHONIOENCODING": "ascii"}, C_LOCALE])
def test_an_encoding_without_greek_letters_is_no_error(tmp_path, locale):
    done = aenet_gpr(tmp_path, "$AENET split --help", **locale)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"forces in eV/" in done.stdout  # Å


def test_notes_of_an_error_are_printed(run_cli, monkeypatch):
    def fail(*args, **kwargs):
        error = InputError("x")
        error.add_note("in structure w3")
        raise error

    monkeypatch.setattr("aenet_gpr_cli.stages.split.split_stage.run", fail)
    code, _, said = run_cli("split", "x.xsf")
    assert (code, said) == (2, "error: x\nin structure w3\n")


def test_a_limit_of_the_size_of_files_gives_exit_code_4(tmp_path):
    names = ["a.xsf", "b.xsf", "c.xsf"]
    for name in names:
        (tmp_path / name).write_text(WATER)
    done = aenet_gpr(tmp_path, f"ulimit -f 0; $AENET init {' '.join(names)} -o w.yaml")
    assert done.returncode == 4
    assert b"File too large" in done.stderr
    assert sorted(os.listdir(tmp_path)) == names


def test_an_output_that_is_a_folder_is_told(run_cli, tmp_path):
    (tmp_path / "w.yaml").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.xsf").write_text(WATER)
    code, _, said = run_cli("init", "a.xsf", "b.xsf", "c.xsf", "-o", "w.yaml", "--force")
    assert code == 2
    assert "w.yaml" in said
    assert "folder" in said


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("fit_gpr", "fit-gpr"), ("train", "train-ann"), ("runn", "run"), ("Evaluate", "evaluate")],
)
def test_the_command_that_was_meant_is_named(run_cli, typed, meant):
    code, _, said = run_cli(typed, "x.h5")
    assert code == 2
    assert f"did you mean '{meant}'?" in said
