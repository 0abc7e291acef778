"""Atoms inside the range of training are not reported, atoms outside are."""

import numpy as np
import pytest

from aenet_gpr_cli.ann.potential.extrapolation import beyond_range, describe_beyond
from aenet_gpr_cli.errors import InputError

SPECIES = ("H", "O")
LOW = {"H": np.array([0.0, -1.0]), "O": np.array([5.0, 2.0])}
HIGH = {"H": np.array([2.0, 1.0]), "O": np.array([6.0, 2.0])}


def beyond(kinds, raw):
    return beyond_range(SPECIES, np.array(kinds), np.array(raw, float), LOW, HIGH)


def test_inside_and_on_the_border_is_zero():
    assert not beyond([0, 0, 1], [[1.0, 0.5], [2.0 + 1e-12, -1.0], [5.5, 2.0]]).any()


def test_outside_in_units_of_the_range():
    np.testing.assert_allclose(beyond([0, 0, 1], [[3.0, 0.0], [0.5, -1.2], [4.9, 2.0]]), [0.5, 0.1, 0.1])


def test_a_feature_that_never_changed():
    assert beyond([1], [[5.5, 2.1]]) == pytest.approx(0.1 / (0.01 * 0.5))
    alone = {"H": HIGH["H"], "O": LOW["O"]}
    assert beyond_range(SPECIES, np.array([1]), np.array([[5.5, 2.0]]), LOW, alone) == np.inf


def test_a_feature_of_tails_beyond_all_training_distances_does_not_count_in_its_own_width():
    low, high = {"H": np.zeros(3)}, {"H": np.array([1e-21, 1.0, 3.0])}
    found = beyond_range(
        ("H",), np.zeros(3, int), np.array([[1e-6, 0, 0], [0, 1.5, 0], [1e-3, 0, 0]]), low, high
    )
    np.testing.assert_allclose(found, [1e-4, 0.5, 0.1], rtol=1e-6)


def test_the_sentence_names_the_worst_atom():
    found = beyond([0, 0, 1], [[3.0, 0.0], [0.5, 0.0], [4.9, 2.0]])
    sentence = describe_beyond(found, "HHO")
    assert sentence.startswith("2 of 3 atoms are outside the range of the training data")
    assert "H (atom 1) by 50% of the range" in sentence
    assert describe_beyond(np.zeros(3), "HHO") is None


def test_another_length_is_refused():
    with pytest.raises(InputError, match="expected 3 features"):
        beyond([0], [[0.0, 0.0, 0.0]])
