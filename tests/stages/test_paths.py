"""Nothing of the user's is overwritten or removed; what is up to date is decided by content."""

import hashlib
import json
import os
import shutil

import h5py
import pytest

from aenet_gpr_cli.io.artefacts import artefact
from aenet_gpr_cli.io.hdf5.checksums import seal
from tests.cli.conftest import run_cli
from tests.finished_runs import finished

__all__ = ["finished", "run_cli"]
XYZ = '2\nProperties=species:S:1:pos:R:3 pbc="F F F"\nH 0 0 0\nH 0 0 {}\n'


@pytest.fixture
def here(finished, tmp_path, monkeypatch):
    """Models, the split, a folder and a file of the user, in the working folder."""
    for name in ("split.h5", "gpr.h5"):
        shutil.copy(finished / name, tmp_path)
    (tmp_path / "dimers").mkdir()
    (tmp_path / "dimers/a.xyz").write_text(XYZ.format(1.1))
    (tmp_path / "water.extxyz").write_text(XYZ.format(1.2))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("augment split.h5 gpr.h5 -o split.h5", "split.h5, which augment would write, is its input split.h5"),
        ("predict gpr.h5 dimers -o gpr.h5", "is its input gpr.h5"),
        ("evaluate split.h5 gpr.h5 -o split.h5", "is its input split.h5"),
        ("fit-gpr split.h5 -o split.h5", "is its input split.h5"),
        ("predict gpr.h5 dimers -o dimers/p.h5", "lies in its input dimers"),
        ("predict gpr.h5 dimers -o link/p.h5", "lies in its input dimers"),
        ("predict link.h5 dimers -o gpr.h5", "is its input link.h5"),
        ("predict hard.h5 dimers -o gpr.h5", "is its input hard.h5"),
        (
            "predict gpr.h5 p_xsf -o p.h5 --set write=[xsf]",
            "p_xsf, which predict would write, is",
        ),
        ("predict gpr.h5 dimers -o split.h5", "split.h5 is there and is the output of split"),
        ("predict gpr.h5 water.extxyz -o notes.h5", "notes.h5 is there and is no artefact of predict"),
        ("predict gpr.h5 dimers -o mine.h5", "mine_predictions.extxyz is not a file that mine.h5 lists"),
    ],
)
def test_what_would_overwrite_is_refused_before_anything_is_touched(here, run_cli, command, said):
    os.symlink("dimers", "link")
    os.symlink("gpr.h5", "link.h5")
    os.link("gpr.h5", "hard.h5")
    shutil.copytree("dimers", "p_xsf")
    (here / "notes.h5").write_text("mine")
    (here / "mine_predictions.extxyz").write_text("mine")
    before = contents(here)
    code, _, error = run_cli(*command.split())
    assert code == 2
    assert said in " ".join(error.split())
    assert contents(here) == before


@pytest.mark.parametrize(
    "command",
    [
        "predict gpr.h5 dimers -o dimers.h5 --set write=[xsf]",
        "predict gpr.h5 water.extxyz -o water.h5",
        "select gpr.h5 dimers -o dimers.h5 --set n_select=1",
    ],
)
def test_names_of_the_user_are_not_those_of_an_artefact(here, run_cli, command):
    before = contents(here)
    code, _, error = run_cli(*command.split())
    assert code == 0, error
    assert before.items() <= contents(here).items()


def test_only_listed_files_that_have_not_changed_are_replaced(here, run_cli):
    command = ["predict", "gpr.h5", "dimers", "-o", "p.h5", "--set", "write=[xsf]"]
    assert run_cli(*command)[0] == 0
    (made,) = (here / "p_xsf").iterdir()
    (here / "p_xsf/mine.txt").write_text("mine")
    original = made.read_bytes()
    made.write_text("edited")
    code, _, error = run_cli(*command, "--set", "sigma=none")
    assert code == 2
    assert f"{made.name} was changed since it was written with p.h5" in " ".join(error.split())
    assert made.read_text() == "edited"
    made.write_bytes(original)
    assert run_cli(*command, "--set", "sigma=none", "--set", "write=[extxyz]")[0] == 0
    assert [path.name for path in (here / "p_xsf").iterdir()] == ["mine.txt"]


def test_lost_and_altered_files_are_written_again(here, run_cli):
    command = ["evaluate", "split.h5", "gpr.h5", "--set", "plots=false"]
    assert run_cli(*command)[0] == 0
    before = contents(here)
    (here / "metrics.csv").unlink()
    (here / "metrics.json").write_text("{}")
    code, out, error = run_cli(*command)
    assert code == 0, error
    assert "metrics.json was changed since it was written; it is kept as metrics.json.changed" in " ".join(
        (out + error).split()
    )
    after = contents(here)
    for name in ("metrics.csv", "metrics.json"):
        assert after[here.__class__(name)] == before[here.__class__(name)]
    assert json.loads((here / "metrics.json.changed").read_text()) == {}


def test_altered_numbers_are_no_input_and_are_not_replaced(here, run_cli):
    with h5py.File("split.h5", "a") as file:
        next(iter(file["train"].values()))["energies"][0] += 1.0
    before = contents(here)
    for command in (["fit-gpr", "split.h5"], ["split", "dimers", "-o", "split.h5"]):
        code, _, error = run_cli(*command)
        assert code == 2
        assert "split.h5: its numbers do not agree with its checksum" in " ".join(error.split())
    assert contents(here) == before


def test_places_and_resources_do_not_count_and_numerics_do(here, run_cli, monkeypatch):
    def predict(path, *more):
        code, out, error = run_cli("predict", "gpr.h5", path, "-o", "p.h5", *more)
        assert code == 0, error
        return "up to date" in out

    assert not predict("dimers")
    (here / "else").mkdir()
    shutil.move("dimers", "else/dimers")
    assert predict("else/dimers")
    assert predict(str(here / "else/dimers"), "--set", "max_memory_gib=3", "--set", "block_size=7")
    with h5py.File("p.h5", "a") as file:
        file.attrs["versions"] = json.dumps({"aenet-gpr-cli": "0.0.9"})
        seal(file)
    _, out, _ = run_cli("predict", "gpr.h5", "else/dimers", "-o", "p.h5")
    assert "written with aenet-gpr-cli 0.0.9 (now" in " ".join(out.split())
    monkeypatch.setattr(artefact, "NUMERICS", artefact.NUMERICS + 1)
    assert not predict("else/dimers")


def test_export_replaces_only_what_it_has_written(finished, here, run_cli):
    """The user's own H.nn, and one of an earlier export that was edited, are refused; so is the input."""
    shutil.copy(finished / "ann_gpr.h5", here / "ann.h5")
    export = ["export", "ann.h5", "-o", "aenet", "--member", "0"]
    (here / "aenet").mkdir()
    (here / "aenet/H.nn").write_text("mine")
    before = contents(here)
    code, _, error = run_cli(*export)
    assert code == 2
    assert "aenet/H.nn is there, and was not written by an earlier call" in " ".join(error.split())
    assert contents(here) == before
    (here / "aenet/H.nn").unlink()
    assert run_cli(*export)[0] == 0
    first = contents(here / "aenet")
    assert run_cli(*export[:-1], "1")[0] == 0  # of the same names: these are its own
    assert contents(here / "aenet") != first
    with open(here / "aenet/H.stp", "a") as file:
        file.write("! mine\n")
    before = contents(here)
    assert run_cli(*export)[0] == 2
    assert contents(here) == before
    shutil.copy("ann.h5", "ann.pt")
    before = contents(here)
    assert run_cli("export", "ann.pt", "-o", "ann.pt", "--format", "metatomic")[0] == 2
    assert contents(here) == before
