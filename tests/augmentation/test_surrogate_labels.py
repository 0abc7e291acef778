"""Labels from a surrogate model: block by block, with the model's own uncertainty."""

import numpy as np
import pytest

from aenet_gpr_cli.augmentation.displacements import displace
from aenet_gpr_cli.augmentation.surrogate_labels import label_with_gp
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.structures import StructureSet


@pytest.fixture
def copies():
    structures = StructureSet(
        species=("O", "H"), positions=np.random.default_rng(0).normal(size=(3, 2, 3)), names=("a", "b", "c")
    )
    return structures, *displace(structures, 0.1, 7, seed=1)


def energy(positions):
    return np.einsum("cax,cax->c", positions, positions)


def spread(positions):
    return np.linalg.norm(positions[:, 1] - positions[:, 0], axis=1)


def reach(positions):
    return np.abs(positions).max(axis=(1, 2))


def test_labels_are_those_of_the_model_for_any_block_size(copies):
    structures, positions, parents, numbers = copies
    for block_size in (1, 4, 21, 1000):
        augmented = label_with_gp(
            structures, positions, parents, numbers, energy, spread, block_size, domain=reach
        )
        assert np.array_equal(augmented.structures.energies, energy(positions))
        assert np.array_equal(augmented.sigma, spread(positions))
        assert np.array_equal(augmented.domain_distance, reach(positions))
        assert augmented.label == "gpr"


def test_no_block_is_larger_than_asked_and_progress_reaches_the_end(copies):
    structures, positions, parents, numbers = copies
    sizes, reports = [], []

    def counting(block):
        sizes.append(len(block))
        return energy(block)

    label_with_gp(
        structures, positions, parents, numbers, counting, None, 8, lambda *report: reports.append(report)
    )
    assert sizes == [8, 8, 5]
    assert [report[:2] for report in reports] == [(8, 21), (16, 21), (21, 21)]


def test_sigma_is_not_asked_for_unless_wanted(copies):
    augmented = label_with_gp(*copies, energy, None)
    assert augmented.sigma is None


@pytest.mark.parametrize("which", ["energies", "standard deviations"])
def test_labels_that_are_not_finite_are_an_error(copies, which):
    def broken(positions):
        return np.where(np.arange(len(positions)) == 2, np.nan, 1.0)

    functions = (broken, spread) if which == "energies" else (energy, broken)
    with pytest.raises(NumericalError, match=f"1 of 21 predicted {which}"):
        label_with_gp(*copies, *functions)
