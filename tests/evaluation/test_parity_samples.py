"""Samples of parity plots: the committee mean against the reference, from a common zero of energy."""

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.evaluation.parity_samples import ATOMS, LOWEST, join_samples, parity_samples, zeros_of


def test_energies_are_relative_to_the_lowest_reference():
    samples = parity_samples(
        np.array([-100.0, -98.0]), np.array([[-99.0, -98.0], [-101.0, -97.0]]), None, None
    )
    assert samples.reference_energies.tolist() == [0.0, 2.0]
    assert samples.predicted_energies.tolist() == [0.0, 2.5]
    assert len(samples.reference_norms) == len(samples.direction_errors) == 0


def test_forces_are_compared_by_norm_and_direction_of_the_mean():
    reference = np.array([[[3.0, 0, 0], [0, 0, 0]]])
    forces = np.array([[[[0, 2.0, 2.0], [1.0, 0, 0]]], [[[0, 2.0, -2.0], [1.0, 0, 0]]]])
    samples = parity_samples(np.zeros(1), np.zeros((2, 1)), reference, forces)
    assert samples.reference_norms.tolist() == [3.0, 0.0]
    assert samples.predicted_norms.tolist() == [2.0, 1.0]
    assert samples.direction_errors[0] == pytest.approx(90.0)
    assert np.isnan(samples.direction_errors[1])  # no reference force, no direction


def test_subsets_join_in_order():
    rng = np.random.default_rng(0)
    parts = [
        parity_samples(
            rng.normal(size=n),
            rng.normal(size=(2, n)),
            rng.normal(size=(n, a, 3)),
            rng.normal(size=(2, n, a, 3)),
        )
        for n, a in ((3, 2), (4, 5))
    ]
    joined = join_samples(iter(parts))
    assert len(joined.reference_energies) == 7
    assert len(joined.reference_norms) == 26
    assert np.array_equal(joined.direction_errors[6:], parts[1].direction_errors)
    with pytest.raises(InputError, match="at least one subset"):
        join_samples([])


def test_compositions_of_one_structure_each_count_from_the_energies_of_their_atoms():
    rng = np.random.default_rng(0)
    numbers = range(4, 16)
    species = [["Ag"] * n + ["Pd"] * (20 - n) for n in numbers]
    above = rng.normal(0.0, 0.5, 12)
    energies = [np.array([-300.0 * n - 500.0 * (20 - n) + e]) for n, e in zip(numbers, above, strict=True)]
    zeros, called = zeros_of(species, energies)
    assert called == ATOMS
    left = np.array([e[0] for e in energies]) - zeros
    slope = np.polyfit(numbers, above, 1)
    np.testing.assert_allclose(left, above - np.polyval(slope, numbers), atol=1e-8)
    part = parity_samples(energies[0], energies[0][None] + 0.1, None, None, zero=(zeros[0], called))
    assert part.predicted_energies[0] - part.reference_energies[0] == pytest.approx(0.1)
    assert join_samples([part, part]).zero == ATOMS


def test_subsets_of_several_structures_count_from_their_lowest():
    energies = [np.array([1.0, -2.0, 0.0]), np.array([7.0, 9.0, 8.0])]
    assert zeros_of([["H", "H"], ["O"]], energies) == ([-2.0, 7.0], LOWEST)
    assert zeros_of([["H", "H"]], [np.array([3.0])]) == ([3.0], LOWEST)  # one structure determines no atom
