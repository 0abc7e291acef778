"""Gates: what is rejected and why; choosing the copies that lie farthest apart."""

import numpy as np
import pytest

from aenet_gpr_cli.augmentation.gates import Gates, apply_gates, most_informative
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import AugmentedSet, StructureSet


def candidates() -> AugmentedSet:
    lengths = np.array([1.0, 0.3, 1.2, 0.9, 0.2])
    positions = np.zeros((5, 2, 3))
    positions[:, 1, 2] = lengths
    return AugmentedSet(
        StructureSet(
            species=("H", "H"),
            positions=positions,
            energies=np.array([-10.0, -9.0, -3.0, -11.0, 5.0]),
            names=tuple("abcde"),
        ),
        parents=("p", "p", "p", "q", "q"),
        copies=np.array([0, 1, 2, 0, 1]),
        sigma=np.array([0.01, 0.02, 0.03, np.nan, 0.5]),
        label="gpr",
    )


def test_without_limits_everything_passes():
    result = apply_gates(candidates(), Gates(minimum_distance=0.0), -10.0)
    assert len(result.accepted) == 5
    assert result.rejected == {"total": 0}


def test_rejections_are_counted_by_reason_and_once_in_total():
    gates = Gates(max_sigma=0.1, minimum_distance=0.5, energy_window=(-0.5, 6.0))
    result = apply_gates(candidates(), gates, lowest_energy=-10.0)
    assert result.rejected == {"sigma": 2, "minimum_distance": 2, "energy_window": 3, "total": 4}
    assert result.keep.tolist() == [True, False, False, False, False]
    assert result.accepted.structures.names == ("a",)


def test_a_sigma_that_is_not_a_number_is_not_trusted():
    result = apply_gates(candidates(), Gates(max_sigma=1.0, minimum_distance=0.0), 0.0)
    assert result.keep.tolist() == [True, True, True, False, True]


def test_accepted_copies_keep_their_origin():
    accepted = apply_gates(candidates(), Gates(minimum_distance=0.5), 0.0).accepted
    assert accepted.parents == ("p", "p", "q")
    assert accepted.copies.tolist() == [0, 2, 0]
    assert accepted.structures.energies.tolist() == [-10.0, -3.0, -11.0]
    assert np.array_equal(accepted.sigma, [0.01, 0.03, np.nan], equal_nan=True)


def test_limits_are_inclusive():
    gates = Gates(max_sigma=0.02, minimum_distance=0.3, energy_window=(0.0, 1.0))
    assert apply_gates(candidates(), gates, -10.0).keep.tolist() == [True, True, False, False, False]


def test_sigma_gate_needs_labels_with_sigma():
    taylor = AugmentedSet(candidates().structures, ("p",) * 5, np.arange(5), None, "taylor")
    with pytest.raises(InputError, match="'taylor' labels without"):
        apply_gates(taylor, Gates(max_sigma=0.1), 0.0)


def test_every_parent_keeps_its_number_and_near_repetitions_go_first():
    values = np.array([[0.1, 0], [1.0, 0], [1.01, 0], [-1.2, 0], [7.0, 0], [7.1, 0], [9.0, 0]])
    parents = np.array([0, 0, 0, 0, 1, 1, 1])
    chosen = most_informative(values, parents, np.array([[0.0, 0], [7.0, 0]]), 2)
    assert chosen.tolist() == [False, False, True, True, False, True, True]


def test_too_few_candidates_are_all_taken():
    values = np.arange(3.0)[:, None]
    assert most_informative(values, np.array([0, 0, 2]), np.zeros((3, 1)), 5).all()
