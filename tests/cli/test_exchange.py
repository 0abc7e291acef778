"""The commands that put a potential to use: import, predict, export."""

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
