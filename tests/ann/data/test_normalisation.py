import numpy as np
import pytest

from aenet_gpr_cli.ann.data.normalisation import energy_scaling, inverse_std, not_too_small
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.reference_energies import least_squares_energies
from aenet_gpr_cli.structures import StructureSet


def subset(species, energies):
    return StructureSet(species, np.zeros((len(energies), len(species), 3)), energies=np.array(energies))


def test_atomic_energies_are_recovered_from_several_compositions():
    exact = {"H": -13.6, "O": -2042.0, "Li": -203.8}
    compositions = [("H", "H", "O"), ("H", "O"), ("Li", "O", "H"), ("Li", "Li")]
    subsets = [subset(c, [sum(exact[s] for s in c)] * n) for n, c in enumerate(compositions, 1)]
    assert least_squares_energies(subsets, ("Li", "H", "O")) == pytest.approx(exact, abs=1e-8)


def test_one_composition_gives_the_solution_of_minimum_norm():
    found = least_squares_energies([subset(("H", "H", "O"), [-5.0, -5.0])], ("H", "O", "C"))
    assert found == pytest.approx({"H": -2.0, "O": -1.0, "C": 0.0}, abs=1e-12)


def test_range_maps_energies_per_atom_to_minus_one_and_one():
    energies = np.array([-10.0, -7.0, -4.0])
    scale, shift = energy_scaling([subset(("H", "O"), energies)], {"H": -1.0, "O": -2.0}, "range")
    scaled = ((energies + 3.0) / 2 - shift) / scale
    assert scaled.min() == pytest.approx(-1.0)
    assert scaled.max() == pytest.approx(1.0)


def test_equal_energies_leave_the_scale_at_one():
    assert energy_scaling([subset(("H",), [-1.0])], {"H": -1.0}, "std") == (1.0, 0.0)


def test_features_that_never_change_are_switched_off():
    assert inverse_std(np.array([2.0, 0.0, 1e-10])).tolist() == [0.5, 0.0, 0.0]


def test_features_that_hardly_change_are_not_blown_up_and_those_that_never_do_stay_off():
    std = np.array([0.0, 1e-12, 1e-9, 5e-4, 0.02, 2.0])
    np.testing.assert_array_equal(not_too_small(std), [0.0, 1e-12, 2e-3, 2e-3, 0.02, 2.0])
    np.testing.assert_array_equal(not_too_small(std[:1]), std[:1])


def test_missing_energies_are_an_error():
    with pytest.raises(InputError, match="expected energies for the structures H2"):
        least_squares_energies([StructureSet(("H", "H"), np.zeros((1, 2, 3)))], ("H",))


def test_known_atomic_energies_are_kept_and_the_others_fitted():
    exact = {"H": -13.0, "O": -430.0}
    sets = [subset(("H", "H", "O"), [-456.0, -456.0]), subset(("H", "O", "O"), [-873.0])]
    assert least_squares_energies(sets, ("H", "O"), {"H": -13.0, "Xe": 5.0}) == pytest.approx(exact)
    shifted = least_squares_energies(sets, ("H", "O"), {"H": -13.5})
    assert shifted["H"] == -13.5
    assert -431.0 < shifted["O"] < -429.0
