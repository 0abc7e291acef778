"""What outputs say of their calculations: the frames that did not converge are left out, and only those."""

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.formats.sources import read_data
from aenet_gpr_cli.io.frames.calculation import unconverged
from aenet_gpr_cli.subsystems.reading_rules import ReadingRules

from . import outputs

GOOD = [True, True, False, True]
WORDS = {
    "espresso.out": outputs.espresso,
    "aims.out": outputs.aims,
    "orca.out": outputs.orca,
    "gaussian.log": outputs.gaussian,
    "gpaw.txt": outputs.gpaw,
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


def test_an_outcar_of_version_5_says_reached_at_its_last_step_whether_it_is_or_not(tmp_path):
    """By the last change of energy then; a number that is none is not below EDIFF."""
    reached = ["because EDIFF is reached"] * 4
    change = [9.2e-6, 9.2e-6, 4e-7, float("nan")]
    found = read(tmp_path / "OUTCAR", outputs.outcar([10, 9, 10, 10], 10, reached, change=change))
    assert [s.name[-1] for s in found.structures] == ["1", "2"]


def test_dynamics_of_aims_have_the_cell_of_the_input_and_all_their_positions(tmp_path):
    """The last ones stand under another title."""
    path = tmp_path / "aims.out"
    found = read(path, outputs.aims([True] * 4, cell=6.0)).structures
    assert [s.pbc for s in found] == [(True, True, True)] * 4
    np.testing.assert_allclose([s.cell for s in found], [6.0 * np.eye(3)] * 4)
    np.testing.assert_allclose([s.positions[1, 0] for s in found], [0.74, 0.75, 0.76, 0.77])
    np.testing.assert_allclose([s.energy for s in found], [-31.0, -30.99, -30.98, -30.97])
    assert [s.pbc for s in read(path, outputs.aims([True] * 4)).structures] == [(False, False, False)] * 4


def test_an_energy_of_gpaw_that_did_not_converge_is_left_out(tmp_path):
    """GPAW gives one where a script catches its error and says that it converged."""
    text = outputs.gpaw(GOOD, goes_on=True)
    found = read(tmp_path / "gpaw.txt", text)
    assert [s.name[-1] for s in found.structures] == ["0", "1", "3"]
    assert len(read(tmp_path / "gpaw.txt", text, unconverged="keep").structures) == 4


def test_an_output_of_gpaw_that_was_cut_short_says_so(tmp_path):
    head, _, _ = outputs.gpaw([True, True]).rpartition("  1 H     1.00000")
    found = read(tmp_path / "gpaw.txt", head)
    assert [s.name[-1] for s in found.structures] == ["0"]
    assert [item.why for item in found.files[0].left_out] == ["cut short"]


def test_a_vasprun_is_judged_by_the_steps_of_its_calculation(tmp_path):
    """Response functions have one step of their own, which stands further down."""
    from tests.faults.test_reference_data import vasprun

    path = vasprun(tmp_path / "vasprun.xml", [3, 4, 3], nelm=4)
    response = "<separator name='response functions'><i type='int' name='NELM'>1</i></separator></parameters>"
    path.write_text(path.read_text().replace("</parameters>", response))
    found = read_data([path], ReadingRules())
    assert [s.name[-1] for s in found.structures] == ["0", "2"]


@pytest.mark.parametrize(
    ("file_format", "good", "bad"),
    [
        (
            "nwchem-out",
            "Total DFT energy = -7.5\n",
            "Calculation failed to converge\nTotal DFT energy = -7.5\n",
        ),
        ("gamess-us-out", "FINAL RHF ENERGY IS -1.0\n", "SCF IS UNCONVERGED, TOO\nFINAL RHF ENERGY IS 0.0\n"),
        (
            "abinit-out",
            "END DATASET(S)\n",
            "nstep= 20 was not enough SCF cycles to converge;\nEND DATASET(S)\n",
        ),
        (
            "castep-castep",
            "        Unit Cell\nFinal energy = -1\nFinal energy = -2\n",
            "        Unit Cell\nSCF cycles performed but system has not reached the groundstate.\n"
            "Final energy = -1\n",
        ),
    ],
)
def test_other_codes_say_it_in_their_words(tmp_path, file_format, good, bad):
    path = tmp_path / "out"
    for flags in ([True, False, True], [False], [True, True]):
        path.write_text("".join(good if yes else bad for yes in flags))
        assert unconverged(path, file_format, len(flags)) == {i for i, yes in enumerate(flags) if not yes}
    path.write_text(good + bad)
    assert unconverged(path, file_format, 3) == {0, 1, 2}  # not known which


def test_an_output_that_cannot_be_read_says_that_it_did_not_converge(tmp_path):
    text = outputs.espresso([False]).partition("ATOMIC_POSITIONS")[0]
    with pytest.raises(InputError, match=r"as ASE reads it, got .*; the electronic self-consistency was not"):
        read(tmp_path / "qe.out", text.replace("site n.", "").replace("a(1)", ""), incomplete="refuse")


def test_numbers_of_qbox_are_converted(tmp_path):
    """ASE leaves them in atomic units; the stress is not used."""
    found = read(tmp_path / "qbox.out", outputs.qbox(2)).structures
    np.testing.assert_allclose([s.positions[1, 0] for s in found], [0.74, 0.75])
    np.testing.assert_allclose([s.energy for s in found], outputs.HARTREE * np.array([-1.17, -1.169]))
    np.testing.assert_allclose(found[0].forces[1], [0.01 * outputs.HARTREE / outputs.BOHR, 0, 0])
    np.testing.assert_allclose(found[0].cell, 12 * outputs.BOHR * np.eye(3))
    assert found[0].stress is None


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
    assert (
        "left out 1 of 2 frames, the file is not complete, or ASE does not know its version"
        in found.warnings()[0]
    )
    assert "runs/failed.out" in found.warnings()[0]
    with pytest.raises(InputError, match=r"failed\.out: expected a complete file of format orca-output"):
        read_data([folder], ReadingRules(incomplete="refuse"))
