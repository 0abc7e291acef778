import re

import numpy as np
import pytest

from aenet_gpr_cli.ann import training
from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.execution.surroundings import Surroundings
from aenet_gpr_cli.ann.potential.ann_model import join
from aenet_gpr_cli.ann.potential.extrapolation import beyond_range
from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.ann.training import FailedMembers, train
from aenet_gpr_cli.ann.training_settings import Loss, Training
from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import features
from aenet_gpr_cli.errors import ConfigError, InputError
from tests.ann.ann_helpers import Forces, changed, molecules

FORCES = Forces(0.5, "components", 2**30)


@pytest.fixture(params=["adamw", "lm", "lm by evidence"])
def optimizer(request, adamw_settings, lm_settings):
    by_evidence = changed(lm_settings, regularisation="evidence", iterations=12)
    return {
        "adamw": adamw_settings,
        "lm": lm_settings,
        "lm by evidence": by_evidence,
    }[request.param]


def test_a_training_that_fails_advises_keys_of_its_optimiser(data, basis, settings, optimizer, monkeypatch):
    settings = changed(settings, optimizer=optimizer)
    weights = training.initial_weights
    monkeypatch.setattr(training, "initial_weights", lambda *a: np.full_like(weights(*a), np.nan))
    with pytest.raises(FailedMembers, match=r"member 0, 1, 2 was never finite") as failed:
        train(data, basis, settings, 1)
    named = re.findall(r"(\w+)\.(\w+)", str(failed.value))
    assert named
    for group, key in named:
        assert group == settings.optimiser
        assert hasattr(getattr(settings, group), key)


@pytest.mark.parametrize("forces", [None, FORCES])
def test_a_resumed_run_equals_an_uninterrupted_one(data, basis, settings, optimizer, forces):
    settings = changed(settings, optimizer=optimizer, forces=forces)
    whole = train(data, basis, settings, 1)
    state, pieces = None, 0
    while True:
        budget = iter([False, False, True])
        part = train(data, basis, settings, 1, state=state, around=Surroundings(stop=budget.__next__))
        state, pieces = part.state, pieces + 1
        if part.finished:
            break
    assert pieces > 1
    assert np.array_equal(part.training_loss, whole.training_loss, equal_nan=True)
    for symbol in basis.species:
        for ours, theirs in zip(part.model.weights[symbol], whole.model.weights[symbol], strict=True):
            assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("forces", [None, FORCES])
@pytest.mark.parametrize("bootstrap", [False, True])
def test_a_committee_equals_its_members_trained_alone(data, basis, settings, optimizer, forces, bootstrap):
    settings = changed(settings, optimizer=optimizer, forces=forces, bootstrap=bootstrap)
    whole = train(data, basis, settings, 1).model
    alone = join([train(data, basis, settings, 1, members=(k,)).model for k in range(3)])
    structures = data.subsets[0]
    # products of other shapes round differently, which a few steps amplify
    assert predict(alone, structures, False, 8)[0] == pytest.approx(
        predict(whole, structures, False, 8)[0], abs=1e-8
    )


def test_energy_only_training_recovers_a_known_network(basis, settings, lm_settings):
    structures = molecules(("O", "H", "H", "O"), 60, 4)
    teacher_settings = changed(settings, n_members=1, validation_fraction=0.0)
    teacher = train(TrainingSet.collect([structures], [], None), basis, teacher_settings, 9).model
    energies = predict(teacher, structures, False, 64)[0][0]
    data = TrainingSet.collect([changed(structures, energies=energies, forces=None)], [], None)
    pupil = changed(teacher_settings, optimizer=changed(lm_settings, iterations=60))
    found = predict(train(data, basis, pupil, 10, members=(1,)).model, structures, False, 64)[0][0]
    assert np.abs(found - energies).max() < 1e-3 * np.ptp(energies)


def test_forces_of_a_directly_trained_potential_are_those_of_the_data(basis, settings, lm_settings):
    train_set, test_set = molecules(("O", "H", "H"), 40, 5), molecules(("O", "H", "H"), 20, 6)
    settings = changed(
        settings,
        forces=Forces(1.0, "structures", 2**30),
        optimizer=changed(lm_settings, iterations=40),
    )
    model = train(TrainingSet.collect([train_set], [], None), basis, settings, 1).model
    forces = predict(model, test_set, True, 64)[1].mean(0)
    assert np.abs(forces - test_set.forces).mean() < 0.05 * np.abs(test_set.forces).mean()


def test_float32_training_is_as_good_as_float64(data, basis, settings, adamw_settings):
    losses = []
    for dtype in ("float64", "float32"):
        chosen = changed(settings, dtype=dtype, optimizer=changed(adamw_settings, epochs=40), forces=FORCES)
        losses.append(train(data, basis, chosen, 1).training_loss[-1])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_early_stopping_keeps_the_best_weights(data, basis, settings, adamw_settings):
    fast = changed(adamw_settings, learning_rate=0.3, epochs=60, patience=5, schedule="constant")
    result = train(data, basis, changed(settings, optimizer=fast), 1)
    curve = result.validation_loss
    for member in range(3):
        ran = curve[~np.isnan(curve[:, member]), member]
        assert len(ran) - 1 - ran.argmin() in (5, 60 - 1 - ran.argmin())
    assert len(curve) < 60


def test_atomic_energies_can_be_given(data, basis, settings):
    given = {"H": -10.0, "O": -10.5}
    assert train(data, basis, changed(settings, atomic_energies=given), 1).model.atomic_energies == given


def test_wrong_settings_are_errors(data, basis, settings, lm_settings):
    with pytest.raises(ConfigError, match="activation"):
        build(Training, {"network": {"activation": "relu"}}, "test")
    with pytest.raises(ValueError, match="float64"):
        changed(settings, optimizer=lm_settings, dtype="float32")
    rmse = Loss(form="rmse", per="atom", alpha=0.3)
    with pytest.raises(ValueError, match="mse"):
        changed(settings, optimizer=lm_settings, loss=rmse)
    with pytest.raises(ConfigError, match=r"atomic_energies: .*'O'"):
        train(data, basis, changed(settings, atomic_energies={"H": -1.0}), 1)
    bare = TrainingSet.collect([changed(s, forces=None) for s in data.subsets], [], None)
    with pytest.raises(InputError, match="expected forces"):
        train(bare, basis, changed(settings, forces=FORCES), 1)


def test_the_model_knows_the_range_of_the_training_data(data, basis, settings):
    model = train(data, basis, settings, 1).model

    def beyond(structures):
        kinds = np.tile(basis.species_index(structures.species), len(structures))
        raw = features(basis, structures, 8).reshape(len(kinds), -1)
        return beyond_range(basis.species, kinds, raw, model.feature_min, model.feature_max)

    assert all(not beyond(subset).any() for subset in data.subsets)
    squeezed = changed(data.subsets[0], positions=0.8 * data.subsets[0].positions)
    assert (beyond(squeezed) > 0).any()


def test_the_repulsion_changes_nothing_where_the_data_are(data, basis, settings):
    plain, found = (train(data, basis, changed(settings, baseline=name), 1).model for name in ("none", "zbl"))
    for subset in data.subsets:
        for ours, theirs in zip(
            predict(found, subset, True, 8), predict(plain, subset, True, 8), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
    squeezed = changed(data.subsets[0], positions=0.5 * data.subsets[0].positions)
    assert (predict(found, squeezed, False, 8)[0] > predict(plain, squeezed, False, 8)[0] + 1.0).all()


def test_bootstrap_members_see_different_data(data, basis, settings, lm_settings):
    settings = changed(settings, optimizer=lm_settings, bootstrap=True)
    same, other = (
        train(data, basis, changed(settings, bootstrap=flag), 1).training_loss[0] for flag in (False, True)
    )
    assert (np.abs(same - other) > 1e-3 * same).all()


def test_a_batch_without_weight_for_a_member_does_no_harm(data, basis, settings, adamw_settings):
    single = changed(settings, bootstrap=True, optimizer=changed(adamw_settings, batch_size=1), forces=FORCES)
    assert np.isfinite(train(data, basis, single, 1).training_loss).all()
