"""What outputs say of their calculations: the frames that did not converge are left out, and only those."""

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.formats.sources import read_data
from aenet_gpr_cli.subsystems.reading_rules import ReadingRules

from . import outputs

GOOD = [True, True, False, True]
WORDS = {
    "espresso.out": outputs.espresso,
    "aims.out": outputs.aims,
    "orca.out": outputs.orca,
    "gaussian.log": outputs.gaussian,
}


def read(path, text, **rules):
    path.write_text(text)
    return read_data([path], ReadingRules(**rules))


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("good", [GOOD, [False, True], [True, False], [True, True, True]])
def test_only_frames_that_did_not_converge_are_left_out(tmp_path, name, good):
    found = read(tmp_path / name, WORDS[name](good))
    assert [s.name for s in found.structures] == [f"{name}#{i}" for i, yes in enumerate(good) if yes]
    assert all(s.forces is not None and s.energy is not None for s in found.structures)
    assert len(found.files[0].left_out) == good.count(False)
    assert all("self-consistency was not reached" in item.why for item in found.files[0].left_out)
    x = [s.positions[1, 0] for s in found.structures]
    np.testing.assert_allclose(x, [0.74 + 0.01 * i for i, yes in enumerate(good) if yes], atol=1e-6)


@pytest.mark.parametrize("name", WORDS)
def test_a_rule_refuses_or_keeps_them(tmp_path, name):
    with pytest.raises(InputError, match=r"\(unconverged: refuse\), got 1 of 4"):
        read(tmp_path / name, WORDS[name](GOOD), unconverged="refuse")
    if name in ("aims.out", "gaussian.log"):  # the others have no energy then
        assert len(read(tmp_path / name, WORDS[name](GOOD), unconverged="keep").structures) == 4


def test_all_unconverged_is_a_message(tmp_path):
    with pytest.raises(InputError, match=r"at least one usable frame, got none: left out 2 of 2 frames"):
        read(tmp_path / "a.log", outputs.gaussian([False, False]))


def test_cycles_of_a_hybrid_functional_are_no_frames_of_their_own(tmp_path):
    found = read(tmp_path / "espresso.out", outputs.espresso(GOOD, cycles=5))
    assert [s.name[-1] for s in found.structures] == ["0", "1", "3"]


def test_a_geometry_that_is_calculated_again_is_one_frame(tmp_path):
    """As that of frequencies after an optimisation."""
    again = outputs.gaussian([True]).replace("0.740000", "0.760000").replace("-1.170", "-1.168")
    found = read(tmp_path / "a.log", outputs.gaussian([True, False, True]) + again)
    assert [s.name[-1] for s in found.structures] == ["0", "2"]


@pytest.mark.parametrize(
    ("steps", "nelm", "said", "used"),
    [
        ([9, 60, 9], 60, None, [0, 2]),  # older versions say nothing where the limit is reached
        (
            [9, 60, 60],
            60,
            ["because EDIFF is reached", "EDIFF was not reached (unconverged)", "because EDIFF is reached"],
            [0, 2],
        ),
        ([9, 9], 60, ["because EDIFF is reached", "because hard stop was set"], [0]),
        ([1, 1], 1, None, [0, 1]),
    ],
)
def test_an_outcar_is_judged_by_ediff_or_by_its_steps(tmp_path, steps, nelm, said, used):
    found = read(tmp_path / "OUTCAR", outputs.outcar(steps, nelm, said))
    assert [int(s.name[-1]) for s in found.structures] == used


def test_charge_and_multiplicity_are_those_of_the_output(tmp_path):
    good = [True, True]
    texts = {
        "g.log": outputs.gaussian(good, charge=-1, mult=2),
        "o.out": outputs.orca(good, charge=-1, mult=2),
        "a.out": outputs.aims(good, charge=-1),
        "OUTCAR": outputs.outcar([3, 3], 60, nelect=3.0),
    }
    for name, text in texts.items():
        state = dict(read(tmp_path / name, text).structures[0].state)
        assert state["charge"] == -1
        assert state.get("multiplicity", 2) == 2


def test_the_stress_of_outputs_is_positive_under_tension(tmp_path):
    """Both codes print the pressure-like sign; VASP in the order xx yy zz xy yz zx."""
    vasp = read(tmp_path / "OUTCAR", outputs.outcar([3], 60)).structures[0].stress
    kbar = 1 / 1602.1766
    expected = -kbar * np.array([[1, 0.1, 0.3], [0.1, 2, 0.2], [0.3, 0.2, 3]])
    np.testing.assert_allclose(vasp, expected, rtol=1e-5)
    qe = read(tmp_path / "qe.out", outputs.espresso([True])).structures[0].stress
    unit = outputs.HARTREE / 2 / outputs.BOHR**3
    np.testing.assert_allclose(qe, -unit * np.diag([2e-5, 1e-5, 0]), rtol=1e-4, atol=1e-12)


CUT = {
    "aims.out": outputs.aims([True] * 3)[:-400],
    "espresso.out": outputs.espresso([True] * 3)[:-900],
    "OUTCAR": outputs.outcar([3] * 3, 60)[:-350],
    "orca.out": outputs.orca([True] * 3)[:-150],
    "gaussian.log": outputs.gaussian([True] * 3)[:-600],
}


@pytest.mark.parametrize("name", CUT)
def test_an_output_that_ends_within_its_last_frame_gives_the_others(tmp_path, name):
    found = read(tmp_path / name, CUT[name])
    assert [s.name for s in found.structures] == [f"{name}#0", f"{name}#1"]
    (left_out,) = found.files[0].left_out
    assert left_out.name == f"{name}#2"
    assert left_out.why in ("cut short", "no energy", "no forces")


def test_an_output_of_a_calculation_that_failed_is_left_out_among_others(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "good.out").write_text(outputs.orca([True]))
    (folder / "failed.out").write_text(outputs.orca([True])[:300] + "ORCA finished by error termination\n")
    found = read_data([folder], ReadingRules())
    assert [s.name for s in found.structures] == ["runs/good.out#0"]
    assert "left out 1 of 2 frames, the file is not complete" in found.warnings()[0]
    assert "runs/failed.out" in found.warnings()[0]
    with pytest.raises(InputError, match=r"failed\.out: expected a complete file of format orca-output"):
        read_data([folder], ReadingRules(incomplete="refuse"))
