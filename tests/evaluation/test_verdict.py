"""The verdict follows from the errors: better errors never make it worse, and every weakness is named."""

import json
from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.evaluation.verdict import GRADES, Judged, judge, relative_error_of_rmse

TOTAL = {
    "energy_rmse_per_atom": 0.001,
    "force_component_rmse": 0.05,
    "force_component_rms_reference": 1.0,
    "force_outliers": 0,
    "n_atoms": 2000,
    "n_structures": 100,
    "n_members": 4,
    "coverage_95": 0.95,
    "z_rms": 1.0,
    "n_outside_domain": 0,
    "n_beyond_training": None,
}


def model(name="ann", mode="combined", parts=None, **changed):
    return Judged(name, mode, TOTAL | changed, parts or {})


def about(verdict, what):
    return [s for s in verdict.statements if s.about == what]


def test_the_error_of_an_rmse_is_that_of_errors_with_long_tails():
    rng, n = np.random.default_rng(0), 25
    draws = {"long": rng.laplace, "normal": rng.normal}
    spread = {name: np.sqrt((draw(size=(20_000, n)) ** 2).mean(axis=1)) for name, draw in draws.items()}
    long, normal = (found.std() / found.mean() for found in spread.values())
    assert long == pytest.approx(relative_error_of_rmse(n), rel=0.15)
    assert normal < 0.7 * relative_error_of_rmse(n)
    told = about(judge([model(n_structures=n)], 300.0), "test set")[0].text
    assert "±22 %" in told


def test_a_good_model_is_called_good_with_nothing_held_back():
    verdict = judge([model()], 300.0, "drawn by chance")
    assert verdict.grade == "good"
    assert verdict.headline == "Verdict: use ann; good enough for dynamics at 300 K."
    assert {s.about for s in verdict.statements} >= {"energies", "forces", "outliers", "sigma", "test set"}
    assert "drawn by chance" in about(verdict, "test set")[0].text
    json.dumps(verdict.as_dict())


def test_frames_of_a_trajectory_count_as_the_blocks_that_they_are():
    short = judge([model(n_structures=12)], 300.0, "in blocks of 6 frames", 6)
    assert short.headline.endswith(
        "good enough for dynamics at 300 K, as far as 2 blocks of a trajectory can tell."
    )
    told = about(short, "test set")[0].text
    assert "2 blocks of a trajectory, which give errors to about ±79 %" in told
    assert "later in time" in told
    many = judge([model(n_structures=600)], 300.0, "in blocks of 6 frames", 6)
    assert many.headline.endswith("at 300 K.")
    assert "±" not in about(many, "test set")[0].text


@pytest.mark.parametrize(
    ("number", "told"), [(1, "1 test structure can"), (3, "3 test structures can"), (5, "")]
)
def test_the_headline_says_on_how_little_it_rests(number, told):
    headline = judge([model(n_structures=number)], 300.0).headline
    assert ("as far as" in headline) == bool(told)
    assert told in headline


def test_energies_that_do_not_belong_to_the_forces_are_no_want_of_data():
    off = model(energy_rmse_per_atom=0.063, force_component_rmse=0.0022)
    (told,) = about(judge([off, model("gpr", "gp", energy_rmse_per_atom=0.07)], 300.0), "next")
    assert told.text.startswith("look at the labels: forces are right to 0.22 %, but energies err by 63 meV")
    wrong_both = model(energy_rmse_per_atom=0.4, force_component_rmse=0.3)
    fitting = model(energy_rmse_per_atom=0.02, force_component_rmse=0.06)
    for other in (wrong_both, fitting):
        assert "labels" not in about(judge([other], 300.0), "next")[0].text


def test_energies_count_against_the_temperature():
    """5 meV per atom is 19 % of kT at 300 K, 58 % at 100 K and 6 % at 1000 K."""
    found = {t: judge([model(energy_rmse_per_atom=0.005)], t).grade for t in (100.0, 300.0, 1000.0)}
    assert found == {100.0: "poor", 300.0: "fair", 1000.0: "good"}


def test_forces_count_against_their_size():
    grades = [judge([model(force_component_rms_reference=f)], 300.0).grade for f in (1.0, 0.3, 0.1)]
    assert grades == ["good", "fair", "poor"]


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("energy_rmse_per_atom", "energies"),
        ("force_component_rmse", "forces"),
        ("force_outliers", "outliers"),
    ],
)
def test_the_verdict_is_no_better_where_an_error_is_larger(key, named):
    start = TOTAL[key] or 1
    grades = [GRADES.index(judge([model(**{key: start * 3**n})], 300.0).grade) for n in range(6)]
    assert grades == sorted(grades)
    assert grades[-1] == 2
    worst = judge([model(**{key: start * 3**5})], 300.0)
    assert worst.headline.endswith(f"({named}).")


def test_the_best_model_has_the_smallest_errors_and_the_order_does_not_count():
    models = [model("a"), model("b", energy_rmse_per_atom=0.0005), model("c", force_component_rmse=0.2)]
    assert {judge(order, 300.0).best for order in (models, models[::-1])} == {"b"}
    verdict = judge([model("a"), model("b", energy_rmse_per_atom=0.0002, force_component_rmse=0.1)], 300.0)
    assert (verdict.best, about(verdict, "models")[0].text) == ("b", "a has the better forces (RMSE)")


def test_without_forces_the_model_is_at_most_usable():
    nothing = dict.fromkeys(("force_component_rmse", "force_component_rms_reference", "force_outliers"))
    verdict = judge([model(n_atoms=0, **nothing)], 300.0)
    assert verdict.grade == "fair"
    assert "not tested" in about(verdict, "forces")[0].text


def test_weak_kinds_and_lacking_sigma_are_named_as_what_to_do_next():
    parts = {
        "bulk": TOTAL,
        "slab": TOTAL | {"force_component_rmse": 0.2},
        "rare": TOTAL | {"n_structures": 1},
    }
    weak = replace(model(parts=parts, n_members=1, coverage_95=None, z_rms=None), n_training={"slab": 7})
    told = "; ".join(s.text for s in about(judge([weak], 300.0), "next"))
    assert "more structures like slab (errors 4.0 times those of all; 7 of them train now)" in told
    assert "bulk" not in told
    assert "rare" not in told
    assert "n_members: 4" in told


def test_copies_are_asked_for_only_while_a_network_lags_behind_its_gaussian_process():
    def told(error):
        models = [model("gpr", "gp"), model("ann", "combined", force_component_rmse=error)]
        return "; ".join(s.text for s in about(judge(models, 300.0), "next"))

    assert "more copies (n_copies)" in told(0.2)
    assert "more structures rather than more copies" in told(0.05)
    assert "mode combined" in "".join(s.text for s in about(judge([model(mode="gpr")], 300.0), "next"))


def test_sigma_is_told_in_plain_words():
    text = about(judge([model(coverage_95=0.5, z_rms=3.0)], 300.0), "sigma")[0].text
    advice = "σ is too small, take 3 times as much"
    assert text == f"poor: 50 of 100 errors lie within ±2σ, where 95 should; {advice}"
    few = about(judge([model(coverage_95=10 / 12, z_rms=0.8, n_structures=12)], 300.0), "sigma")[0].text
    assert few == "good: 10 of 12 errors lie within ±2σ, where 11 should"  # by chance, if 95 % of many do


def test_a_stress_is_told_with_what_it_does_to_volumes_and_decides_nothing():
    plain = judge([model()], 300.0)
    told = judge([model(stress_rmse_gpa=0.3, pressure_rmse_gpa=2.0)], 300.0)
    (said,) = about(told, "stress")
    assert said.text.startswith("0.3 GPa per component, pressure 2 GPa (RMSE): volumes to 2 % where")
    assert (told.grade, told.headline) == (plain.grade, plain.headline)
    assert all(s.about != "stress" for s in plain.statements)


def test_no_model_is_refused():
    with pytest.raises(InputError, match="at least one model"):
        judge([], 300.0)


@pytest.mark.parametrize(
    ("measures", "said"),
    [
        ({"n_outside_domain": 0}, "good: 0 of 100 test structures lie outside the training data"),
        ({"n_outside_domain": 10}, "fair: 10 of 100 test structures, 10 %, lie outside the training data"),
        (
            {"n_outside_domain": None, "n_beyond_training": 3},
            "good: 3 of 100 test structures, 3 %, have an atom far outside the training data",
        ),
    ],
)
def test_the_domain_is_told_by_the_measure_of_the_model(measures, said):
    """Of a process structures are counted, of a network atoms: both may hold of the same test set."""
    (statement,) = about(judge([model(**measures)], 300.0), "domain")
    assert statement.text == said


def test_kinds_without_forces_are_not_compared_with_the_forces_of_others():
    """Those of one atom each: their errors are in eV, those of all in eV/Å."""
    lone = TOTAL | {"energy_rmse_per_atom": 1.0, "force_component_rmse": None, "n_lone": 100}
    assert not any(
        "structures like" in s.text for s in judge([model(parts={"lone": lone})], 300.0).statements
    )
    (forces,) = about(judge([Judged("ann", "combined", lone)], 300.0), "forces")
    assert forces.grade == "fair"
    assert "100 of one atom, on which forces are zero by symmetry" in forces.text
