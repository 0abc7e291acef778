"""Text, names and files of others cannot run commands, leave a folder, steer a terminal or hang a program."""

import hashlib
import os
import subprocess
from pathlib import Path

import h5py
import pytest

from aenet_gpr_cli.cli.main import cli
from aenet_gpr_cli.config.slurm_config import SlurmResources
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.io.artefacts.artefact import Job, is_current, open_artefact, publish
from aenet_gpr_cli.io.hdf5 import probing
from aenet_gpr_cli.io.hdf5.checksums import seal
from aenet_gpr_cli.io.slurm import SlurmJob, script_text

from .conftest import in_child

EVIL = "/../../../evil"
WORKFLOW = """\
name: {name}
split: {{inputs: [runs]}}
fit_gpr: {{}}
augment: {{{variant}: {{method: taylor}}}}
train_ann: {{energy_only: {{mode: energy_only, n_members: 1}}}}
slurm: {{{slurm}}}
"""


def files(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


def write(path: Path, name="case", variant="taylor", slurm="cpus: 1") -> Path:
    path.write_text(WORKFLOW.format(name=name, variant=variant, slurm=slurm))
    return path


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"slurm": r'partition: "a\ntouch X"'}, "slurm: partition: expected text without line breaks"),
        ({"slurm": r'account: "a\rtouch X"'}, "account: expected text without line breaks"),
        ({"slurm": r'extra: ["--qos=a\ntouch X"]'}, "extra: expected text without line breaks"),
        ({"slurm": r'stages: {augment: {partition: "a\ntouch X"}}'}, "partition: expected text without line"),
        ({"variant": f'"{EVIL}"'}, f"augment.{EVIL}: expected a name that can be part of a file name"),
        (
            {"variant": r'"a\ntouch X"'},
            r"augment.a\ntouch X: expected a name that can be part of a file name",
        ),
        ({"name": '".."'}, "name: "),
    ],
)
@pytest.mark.parametrize("command", [("submit", "--dry-run"), ("run", "--until", "split"), ("validate",)])
def test_names_and_options_of_a_workflow_cannot_leave_their_place(
    run_cli, tmp_path, waters, keys, named, command
):
    before = files(tmp_path)
    write(tmp_path / "w.yaml", **keys)
    before |= files(tmp_path)
    code, out, said = run_cli(command[0], "w.yaml", *command[1:])
    assert code == 2
    assert named in " ".join((out + said).split())
    assert files(tmp_path) == before


def test_a_subset_that_is_not_there_is_named(run_cli, tmp_path, waters):
    write(tmp_path / "w.yaml")
    code, _, said = run_cli(
        "submit", "w.yaml", "--dry-run", "--workdir", "work", "--set", f"fit_gpr.subsets=['{EVIL}']"
    )
    assert code == 2
    assert f"subsets: {EVIL} not in split.h5" in said.replace("work/", "")


HARMLESS = ["a'b", 'a"b', "$(touch X)", "`touch X`", "a; touch X", "a b # c", "|touch X", "{item}"]


@pytest.mark.parametrize("text", HARMLESS)
def test_a_script_runs_nothing_but_its_command(tmp_path, text):
    """Partition, account, name, item, argument and folder are quoted; the script is run to see."""
    folder = tmp_path / text
    folder.mkdir()
    (folder / "slurm").mkdir()
    job = SlurmJob(
        text, "augment", ("printf", "%s|", text.replace("{item}", "item"), "{item}"), ("x", text), (), 1.0
    )
    resources = SlurmResources(partition=text, account=text)
    script = tmp_path / "job.sh"
    script.write_text(script_text(job, resources, folder))
    lines = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH")]
    assert sum("partition=" in line for line in lines) == 1
    done = subprocess.run(
        ["bash", script], cwd=folder, capture_output=True, text=True, check=False, timeout=20,
        env={**os.environ, "SLURM_ARRAY_TASK_ID": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{text.replace('{item}', 'item')}|{text}|"
    assert not (folder / "X").exists()


@pytest.mark.parametrize("where", ["name", "folder"])
def test_no_line_of_a_script_comes_from_a_name(tmp_path, where):
    text = "a\ntouch X"
    job = SlurmJob(text if where == "name" else "a", "augment", ("true",), (), (), 1.0)
    with pytest.raises(ConfigError, match="expected text without line breaks and control characters"):
        script_text(job, SlurmResources(), tmp_path / text if where == "folder" else tmp_path)


def test_names_cannot_steer_a_terminal(run_cli, tmp_path, waters):
    """Escapes are written out, brackets are no markup: in tables, notes, warnings and errors."""
    (waters / "w0.xsf").rename(waters / "w\x1b]0;title\x07[red]0.xsf")
    (waters / "w1.xsf").write_bytes((waters / "w2.xsf").read_bytes())
    (waters / "w2.xsf").rename(waters / "w\x1b[2J2.xsf")
    code, out, said = run_cli("split", "runs")
    assert code == 0
    assert "\\x1b[2J2.xsf" in (out + said).replace("\n", "")
    with h5py.File("split.h5", "r+") as file:
        file.attrs["summary"] = (
            r'{"title": "\u001b[1m[bold]", "columns": ["[red]\u001b"], "rows": [["[/nothing]\u001b[2J"]],'
            r' "notes": ["[blue]\u001b]0;x\u0007"]}'
        )
        file["train/H2O/positions"].attrs["meaning"] = "[link=x]\x1b[2J"
        seal(file)
    code, shown, more = run_cli("show", "split.h5")
    assert code == 0
    for text in ("[/nothing]\\x1b[2J", "[bold]", "[red]\\x1b", "[blue]\\x1b]0;x\\x07", "[link=x]\\x1b[2J"):
        assert text in shown
    code, _, error = run_cli("split", "no\x1b[2Jthing")
    assert code == 2
    code, listed, _ = run_cli("status", ".")
    assert code == 0
    assert not {"\x1b", "\x07"} & set(out + said + shown + more + error + listed)


@pytest.mark.parametrize(
    "name", ["evil.module.Class", "os.path.join", "evil", "evil..x", "ase.calculators..evil.X"]
)
def test_only_calculators_that_are_known_are_imported(run_cli, tmp_path, waters, name, monkeypatch):
    (tmp_path / "evil").mkdir()
    for module in ("__init__", "module"):
        (tmp_path / f"evil/{module}.py").write_text(f"open({str(tmp_path / 'X')!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    code, _, said = run_cli("label", "runs", "-o", "labelled.h5", "--set", f"calculator.name={name}")
    assert code == 2
    assert "calculator.name" in said
    assert not (tmp_path / "X").exists()
    assert not (tmp_path / "labelled.h5").exists()


def test_a_calculator_that_the_user_lists_is_imported(run_cli, tmp_path, waters, monkeypatch):
    (tmp_path / "mine_for_label.py").write_text(
        "from ase.calculators.lj import LennardJones\n\n\nclass Mine(LennardJones):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    call = ("label", "runs", "-o", "labelled.h5", "--set", "calculator.name=mine_for_label.Mine")
    code, _, said = run_cli(*call)
    assert code == 2
    assert "list it in the environment variable AENET_GPR_CALCULATORS" in said
    monkeypatch.setenv("AENET_GPR_CALCULATORS", "other.Class,mine_for_label.Mine")
    assert run_cli(*call)[0] == 0


CALLS = [
    ("split", "odd.xyz"), ("split", "odd.out"), ("split", "odd.zip"), ("split", "odd.xsf"), ("split", "odd"),
    ("fit-gpr", "odd.h5"), ("show", "odd.h5"), ("run", "odd.yaml"), ("validate", "odd.yaml"),
    ("import", "odd.nn", "-o", "ann.h5"), ("label", "odd.h5", "-o", "l.h5"), ("status", "."),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["pipe", "device", "loop"])
@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_pipes_devices_and_loops_of_links_are_refused_at_once(tmp_path, monkeypatch, kind, call):
    """Each in a process of its own, because a pipe would wait for ever."""
    monkeypatch.chdir(tmp_path)
    odd = tmp_path / (call[1] if call[1] != "." else "odd.h5")
    if kind == "pipe":
        os.mkfifo(odd)
    else:
        odd.symlink_to("/dev/zero" if kind == "device" else odd.name)
    code = in_child(lambda: cli.main(list(call), standalone_mode=False), seconds=20)
    assert code == (0 if call[0] == "status" else 2)


def test_odd_files_in_a_folder_of_structures(run_cli, waters):
    os.mkfifo(waters / "log.out")  # nothing that would be read
    (waters / "around").symlink_to(".")
    assert run_cli("split", "runs")[0] == 0
    (waters / "w99.xsf").symlink_to("w99.xsf")
    code, _, said = run_cli("split", "runs", "-o", "other.h5")
    assert code == 2
    assert "w99.xsf: expected a file, got a link that leads nowhere" in said


@pytest.fixture
def artefact(tmp_path):
    path = tmp_path / "a.h5"
    job = Job("split", {}, {})
    with publish(path, job) as file:
        file["numbers"] = range(1000)
    return path, job


def test_a_block_of_zeros_cannot_make_hdf5_loop_for_ever(artefact, monkeypatch):
    monkeypatch.setattr(probing, "CPU_SECONDS", 1)
    path, job = artefact
    assert is_current(path, job)
    good, looping = path.read_bytes(), 0
    for start in range(0, min(len(good), 2048), 256):
        path.write_bytes(good[:start] + bytes(64) + good[start + 64 :])
        try:
            with open_artefact(path, "split") as file:
                file["numbers"][()]
        except InputError as error:
            looping += "the HDF5 library never ends on it" in str(error)
    assert looping > 0
    path.write_bytes(good)
    assert is_current(path, job)


def test_a_file_is_looked_at_once_and_not_after_it_was_written_here(artefact, monkeypatch):
    path, _ = artefact
    forks = []
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: forks.append(1) or fork())
    for _ in range(3):
        with open_artefact(path):
            pass
    assert not forks
    os.utime(path, ns=(1, 1))
    for _ in range(3):
        with open_artefact(path):
            pass
    assert len(forks) == 1
