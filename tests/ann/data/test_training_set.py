import numpy as np
import pytest

from aenet_gpr_cli.ann.data.training_set import TrainingSet, bootstrap_weights, validation_split
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import AugmentedSet, StructureSet
from tests.ann.ann_helpers import molecules


def augmented(parents, sigma=None):
    species = ("H", "H", "H")
    n = len(parents)
    copies = StructureSet(species, np.random.default_rng(0).random((n, 3, 3)), energies=np.zeros(n))
    return AugmentedSet(copies, tuple(parents), np.zeros(n, int), sigma, "gpr")


def test_a_validation_split_never_separates_copies_from_their_parent():
    parents = [f"p{i % 10}" for i in range(70)]
    for seed in range(5):
        inside, outside = validation_split(parents, 0.3, seed)
        assert sorted([*inside, *outside]) == list(range(70))
        assert len(outside) == 21
        assert not {parents[i] for i in inside} & {parents[i] for i in outside}
    assert not np.array_equal(validation_split(parents, 0.3, 0)[1], validation_split(parents, 0.3, 1)[1])


@pytest.mark.parametrize("fraction", [0.0, 0.9])
def test_one_parent_is_always_trained_on(fraction):
    inside, outside = validation_split(["a"], fraction, 0)
    assert inside.tolist() == [0]
    assert outside.size == 0


def test_copies_carry_their_parent_and_a_weight_from_sigma():
    reference = molecules(("H", "H", "H"), 2, 0)
    names = reference.names
    copies = augmented([names[0], names[1], names[1]], np.array([0.0, 0.1, 0.2]))
    data = TrainingSet.collect([reference], [copies], 0.1)
    assert data.parents == (*names, names[0], names[1], names[1])
    assert data.weights == pytest.approx([1, 1, 1, 0.5, 0.2])
    assert TrainingSet.collect([reference], [copies], None).weights.tolist() == [1.0] * 5
    with pytest.raises(InputError, match="augment them with sigma: bound"):
        TrainingSet.collect([reference], [augmented([names[0]])], 0.1)


def test_an_empty_set_is_an_error():
    with pytest.raises(InputError, match="at least one structure"):
        TrainingSet.collect([], [], None)


def test_bootstrap_draws_as_many_parents_as_there_are_with_their_copies():
    reference = molecules(("H", "H", "H"), 20, 0)
    copies = augmented([reference.names[i % 20] for i in range(40)], np.full(40, 0.1))
    data = TrainingSet.collect([reference], [copies], 0.1)  # copies have the weight 0.5
    inside = np.r_[:18, 20:38, 40:58]
    weights = bootstrap_weights(data, inside, 3, (0, 1, 2))
    drawn = weights[:, :18]
    assert (drawn.sum(1) == 18).all()
    assert ((drawn == 0).any(1) & (drawn >= 2).any(1)).all()
    assert np.array_equal(weights[:, 20:38], 0.5 * drawn)
    assert np.array_equal(weights[:, 40:58], 0.5 * drawn)
    assert (weights[:, 18:20] == 1.0).all()  # what is held out counts for everybody
    assert not np.array_equal(weights[0], weights[1])
    assert np.array_equal(bootstrap_weights(data, inside, 3, (2,))[0], weights[2])


def test_some_structures_of_a_training_set(data):
    part = data.select(np.array([3, 1, 9, 8]))
    assert [len(s) for s in part.subsets] == [2, 2]
    assert part.parents == tuple(data.parents[i] for i in (3, 1, 9, 8))
    assert np.array_equal(part.subsets[1].positions[0], data.subsets[1].positions[1])
