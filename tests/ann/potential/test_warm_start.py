"""A training that goes on from a potential begins with its energies and forces, whatever the new scales."""

from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.ann.network.architecture import Architecture, initial_weights, to_layers
from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.ann.potential.warm_start import check_start, warm_weights
from aenet_gpr_cli.errors import InputError
from tests.ann.ann_helpers import molecules

SPECIES = ("O", "H", "H", "O")


def a_model(basis, seed: int, n_members: int) -> ANNModel:
    """A committee with scales drawn at random."""
    architecture, rng = (
        Architecture(basis.species, basis.n_features, (5, 4), "tanh"),
        np.random.default_rng(seed),
    )
    return ANNModel(
        basis=basis,
        hidden=(5, 4),
        activation="tanh",
        weights=to_layers(architecture, 2.0 * initial_weights(architecture, seed, range(n_members))),
        feature_mean={s: rng.random(basis.n_features) for s in basis.species},
        feature_std={s: 0.1 + rng.random(basis.n_features) for s in basis.species},
        energy_scale=0.3 + rng.random(),
        energy_shift=rng.random(),
        atomic_energies={s: 100.0 * rng.normal() for s in basis.species},
    )


@pytest.fixture
def old(basis):
    return a_model(basis, 1, 2)


@pytest.fixture
def new(basis):
    """Another one, whose scales are those of the new data."""
    return a_model(basis, 2, 3)


def begun(old: ANNModel, new: ANNModel, members) -> ANNModel:
    """Return the potential that a training in the scales of ``new`` begins with."""
    flat = warm_weights(new.architecture, old, new.normalisation, 7, members)
    return replace(new, weights=to_layers(new.architecture, flat))


def test_energies_and_forces_are_those_of_the_start_in_any_scales(old, new):
    structures = molecules(SPECIES, 3, 0)
    expected = predict(old, structures, True, 64)
    found = predict(begun(old, new, (0, 1)), structures, True, 64)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-10)


def test_a_feature_that_never_changes_in_the_new_data_keeps_what_it_adds(old, new):
    constant = {s: std.copy() for s, std in new.feature_std.items()}
    mean = {s: m.copy() for s, m in new.feature_mean.items()}
    for s in constant:
        constant[s][3] = 0.0
    still = replace(new, feature_std=constant, feature_mean=mean)
    flat = warm_weights(new.architecture, old, still.normalisation, 7, (0,))
    for number, symbol in enumerate(new.basis.species):
        first = new.architecture.layers(flat[0], number)[0]
        assert not first[:, 3].any()
        added = old.weights[symbol][0][0][:, 3] * (mean[symbol][3] - old.feature_mean[symbol][3])
        without = warm_weights(
            new.architecture,
            replace(old, weights=without_feature(old, 3)),
            still.normalisation,
            7,
            (0,),
        )
        bare = new.architecture.layers(without[0], number)[0]
        np.testing.assert_allclose(
            first[:, -1] - bare[:, -1], added / old.feature_std[symbol][3], rtol=1e-10, atol=1e-12
        )


def without_feature(model: ANNModel, feature: int):
    """Return weights to which a feature adds nothing."""
    out = {}
    for symbol, (first, *rest) in model.weights.items():
        first = first.copy()
        first[:, :, feature] = 0.0
        out[symbol] = (first, *rest)
    return out


def test_members_stay_different_and_further_ones_begin_anew(old, new):
    flat = warm_weights(new.architecture, old, new.normalisation, 7, (0, 1, 2))
    assert np.linalg.norm(flat[0] - flat[1]) > 0.1
    assert np.array_equal(flat[2], initial_weights(new.architecture, 7, (2,))[0])


@pytest.mark.parametrize(
    ("change", "what"),
    [({"hidden": (6,)}, "hidden"), ({"activation": "twist"}, "activation")],
    ids=["layers", "activation"],
)
def test_other_networks_are_refused(old, basis, change, what):
    given = {"hidden": (5, 4), "activation": "tanh"} | change
    with pytest.raises(InputError, match=f"start: expected a potential with the {what}"):
        check_start(old, basis, given["hidden"], given["activation"])


def test_another_descriptor_is_refused(old, basis):
    with pytest.raises(InputError, match=r"descriptor .*resolve_species: false.*got radial_cutoff"):
        check_start(old, replace(basis, radial_cutoff=basis.radial_cutoff + 1), (5, 4), "tanh")
