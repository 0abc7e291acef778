"""The commands that put a potential to use: import, predict, export."""

import re
from pathlib import Path

import pytest

AENET = Path(__file__).parents[1] / "data" / "aenet_nn"


def test_from_aenet_and_back(run_cli, tmp_path):
    files = [AENET / f"{symbol}.nn" for symbol in "CHO"]
    code, said, _ = run_cli("import", *files, "-o", "ann.h5")
    assert code == 0
    assert "C H O" in said
    code, said, _ = run_cli("predict", "ann.h5", AENET / "file_0000.xsf", "-o", "predictions")
    assert code == 0
    assert "-18642.2674" in said
    assert Path("predictions.h5").is_file()
    assert Path("predictions_predictions.extxyz").is_file()
    code, _, _ = run_cli("export", "ann.h5", "-o", "out", "--format", "nn.ascii", "-q")
    assert code == 0
    code, _, _ = run_cli("import", *Path("out").glob("*.ascii"), "-o", "again.h5")
    assert code == 0


def test_a_folder_stands_for_its_files(run_cli, tmp_path):
    files = tmp_path / "potential"
    files.mkdir()
    for symbol in "CHO":
        (files / f"{symbol}.nn").write_bytes((AENET / f"{symbol}.nn").read_bytes())
    code, said, _ = run_cli("import", files, "-o", "ann.h5")
    assert code == 0
    assert "C H O" in said
    code, said, _ = run_cli("import", *(files / f"{s}.nn" for s in "CHO"), "-o", "ann.h5")
    assert "(up to date)" in said
    assert files.is_dir()


def test_a_folder_of_no_or_several_potentials_is_told(run_cli, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "several" / "member_00").mkdir(parents=True)
    for folder, message in (
        ("empty", "empty: expected .nn or .nn.ascii files of ænet, one per species, but the folder has none"),
        ("several", "it holds 1 members, give one of them: several/member_00"),
        (AENET, "got both kinds (C.nn and C.nn.ascii)"),
    ):
        code, _, errors = run_cli("import", folder, "-o", "ann.h5")
        assert code == 2
        assert message in errors
    assert not Path("ann.h5").exists()


STORED = Path(__file__).parents[1] / "data" / "artefacts_0.1.0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "ann_gpr.h5", "subset=nope"), "predict: subset: does nothing with networks"),
        (
            ("predict", "gpr.h5", "subset=nope"),
            "subset: expected that of a Gaussian process in .* got 'nope'",
        ),
        (("predict", "gpr.h5", "members=[0]"), "predict: members: does nothing with Gaussian processes"),
        (("md", "gpr.h5", "members=[0]"), "md: members: does nothing with Gaussian processes"),
        (("md", "ann_gpr.h5", "reference.name=stored"), "reference.name: expected an ASE calculator"),
        (("md", "ann_gpr.h5", "reference.name=nope"), "reference.name: expected a calculator of ASE"),
        (("properties", "gpr.h5", "members=[0]"), "properties: members: does nothing with Gaussian"),
    ],
)
def test_a_key_that_the_model_does_not_have_is_refused(run_cli, arguments, message):
    command, model, key = arguments
    code, _, errors = run_cli(command, STORED / model, STORED / "test_set.zip", "--set", key, "-o", "out.h5")
    assert code == 2
    assert re.search(message, errors)
    assert not Path("out.h5").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("import", AENET / "C.nn"), "one file for each of the species C, H, O, got C"),
        (("import", "none.nn"), "none.nn: expected a .nn file"),
        (("import", AENET / "file_0000.xsf"), "file_0000.xsf:1: n_layers: expected"),
        (("export", "none.h5"), "none.h5: no such file"),
        (("predict", "none.h5", AENET), "none.h5: no such file"),
    ],
)
def test_bad_input_is_named(run_cli, arguments, message):
    code, _, errors = run_cli(*arguments)
    assert code == 2
    assert message in errors


def test_a_member_that_is_not_there(run_cli):
    run_cli("import", *(AENET / f"{symbol}.nn" for symbol in "CHO"))
    code, _, errors = run_cli("export", "ann.h5", "--member", "1")
    assert code == 2
    assert "expected a member from 0 to 0, got 1" in errors
