"""The slope of energies against a model that knows some differences, and says which it does not."""

import numpy as np
import pytest

from aenet_gpr_cli.subsystems.label_checks.energy_slope import EnergySlope, energy_slope
from aenet_gpr_cli.subsystems.label_checks.force_units import what_is_wrong

N = 40


def of_a_model(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Energies, a model that knows nothing about three directions, its covariance, and compositions."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(2, 12, (N, 2)).astype(float)
    unknown = rng.normal(size=(N, 3))
    covariance = 4.0 * unknown @ unknown.T + 1e-4 * np.eye(N)
    model = rng.normal(0.0, 0.5, N)
    energies = model + rng.multivariate_normal(np.zeros(N), covariance)
    return energies, model, covariance, counts


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.0367493, 25.711, 1.8897])
def test_the_slope_is_that_of_what_the_model_knows(factor):
    energies, model, covariance, counts = of_a_model()
    found = energy_slope(factor * energies + counts @ [-300.0, 20.0], model, covariance, counts)
    assert found is not None
    assert found.value == pytest.approx(factor, rel=0.02)
    assert found.is_plain
    assert abs(found.correlation) > 0.99
    assert abs(np.corrcoef(energies, model)[0, 1]) < 0.5  # most of the energies is what it does not know
    assert found.is_one == (factor == 1.0)
    assert (found.what_is_wrong() is None) == (factor == 1.0)


def test_structures_far_off_are_left_out():
    energies, model, covariance, counts = of_a_model()
    energies[[3, 20]] += [50.0, -1000.0]
    found = energy_slope(energies, model, covariance, counts)
    assert found is not None
    assert found.n_structures == N - 2
    assert found.is_one


def test_energies_that_have_nothing_to_do_with_the_model_say_nothing():
    for seed in range(5):
        energies, model, covariance, counts = of_a_model(seed)
        other = np.random.default_rng(seed + 100).permutation(model)
        found = energy_slope(energies, other, covariance, counts)
        assert found is not None
        assert not found.is_clear
        assert found.what_is_wrong() is None


@pytest.mark.parametrize("n", [0, 1, 8])
def test_few_structures_say_nothing(n):
    energies, model, covariance, counts = of_a_model()
    assert energy_slope(energies[:n], model[:n], covariance[:n, :n], counts[:n]) is None


def test_a_model_without_differences_says_nothing():
    energies, model, covariance, counts = of_a_model()
    assert energy_slope(energies, 0.0 * model, covariance, counts) is None
    assert energy_slope(energies, model, 0.0 * covariance, counts) is None


@pytest.mark.parametrize(
    ("value", "error", "correlation", "verdict"),
    [
        (0.9, 0.01, 0.999, None),  # a model is not exact
        (0.5, 0.01, 0.999, "unit"),
        (0.5, 0.04, 0.999, None),
        (0.5, 0.02, 0.92, None),  # a model that knows too little
        (0.25, 0.001, 0.999, None),  # no unit, and smaller than one
        (7.0, 0.1, 0.999, "inconsistent"),
        (-1.0, 0.08, 0.92, "sign"),
        (-0.6, 0.05, 0.92, None),
        (25.7, 0.5, 0.99, "unit"),
    ],
)
def test_a_claim_needs_a_plain_slope(value, error, correlation, verdict):
    found = EnergySlope(value, error, correlation, 0.0, N).what_is_wrong()
    assert (None if found is None else found[0]) == verdict


def test_energies_per_atom_are_told_by_the_number_of_atoms():
    assert what_is_wrong(1 / 13, 13) == ("per atom", "energies are per atom, expected total energies in eV")
    assert what_is_wrong(1 / 13) == (
        "inconsistent",
        "they differ from -dE/dR in eV/Å by an unknown factor",
    )
    assert what_is_wrong(1.0, 1) is None
    verdict, meaning = what_is_wrong(1 / 27, 27) or ("", "")
    assert verdict == "unit"
    assert "energies in Hartree" in meaning
    assert "or energies are per atom" in meaning


@pytest.mark.parametrize(
    ("value", "error", "correlation", "words"),
    [
        (-0.851, 0.038, -0.97, "the sign is reversed"),  # alloys of four elements, two length scales
        (-0.803, 0.049, -0.94, "the sign is reversed"),
        (1.61, 0.07, 0.96, "eV/Bohr"),
        (43.8, 2.0, 0.96, "Hartree/Bohr"),
        (1.2, 0.01, 0.99, None),
        (0.8, 0.049, 0.94, None),
    ],
)
def test_what_a_model_that_knows_less_finds_is_told_with_the_nearest_explanation(
    value, error, correlation, words
):
    found = EnergySlope(value, error, correlation, 0.0, N).what_is_wrong()
    if words is None:
        assert found is None
    else:
        assert found is not None
        assert found[0] == "inconsistent"
        assert "they do not belong together, right ones have a slope of 1; nearest explanation: " in found[1]
        assert words in found[1].split("nearest explanation")[1]


def test_energies_of_other_structures_do_not_follow_a_model_that_knows_them():
    energies, model, covariance, counts = of_a_model()
    right = energy_slope(energies, model, covariance, counts)
    assert right is not None
    assert not right.is_of_others
    told = 0
    for seed in range(10):
        of_others = counts @ [-3.0, -4.0] + np.random.default_rng(seed).permutation(model)
        found = energy_slope(of_others, model, 1e-4 * np.eye(N), counts)
        assert found is not None
        told += found.is_of_others
        assert not found.is_clear
    assert told >= 8  # by chance a slope of 0.2 to 0.3 comes out, less than five standard errors from one
    noise = np.random.default_rng(0).normal(0.0, 10.0, N)  # too much of it to say anything
    unknown = energy_slope(model + noise, model, 1e-4 * np.eye(N), counts)
    assert unknown is not None
    assert not unknown.is_of_others


def test_energies_per_atom_need_a_slope_of_one_that_is_the_better_one():
    hartree = EnergySlope(0.0368, 0.00004, 1.0, 0.0, N)  # in cells of 27 to 32 atoms
    assert not any(EnergySlope(1.13, 0.0071, 0.999, 0.0, N).tells_per_atom(hartree))
    per_atom = EnergySlope(0.0336, 0.0003, 0.99, 0.0, N)
    assert EnergySlope(0.999, 0.0011, 1.0, 0.0, N).tells_per_atom(per_atom) == (True, True)
    assert EnergySlope(1.001, 0.01, 0.99, 0.0, N).tells_per_atom(per_atom) == (True, False)


def test_units_that_cannot_be_told_apart_are_both_named():
    between = EnergySlope(0.0399, 0.0004, 0.999, 0.0, N).what_is_wrong()
    assert between is not None
    assert "kcal/mol/Å" in between[1]
    assert "energies in Hartree" in between[1]
    sure = EnergySlope(0.0368, 0.0002, 0.999, 0.0, N).what_is_wrong()
    assert sure is not None
    assert "kcal" not in sure[1]
