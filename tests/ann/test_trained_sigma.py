"""Training leaves behind what σ needs."""

import numpy as np
import pytest

from aenet_gpr_cli.ann.data.training_set import TrainingSet, validation_split
from aenet_gpr_cli.ann.potential.committee_sigma import CommitteeSigma
from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.ann.training import train
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import features
from tests.ann.ann_helpers import Forces, changed, molecules


@pytest.fixture
def water():
    return TrainingSet.collect([molecules(("O", "H", "H"), 40, 1)], [], None)


def sigma_of(model, structures):
    energies = predict(model, structures, False, 64)[0]
    raw = features(model.basis, structures, 64)
    return energies, CommitteeSigma(model)(energies, model.basis.species_index(structures.species), raw)


@pytest.mark.parametrize("forces", [None, Forces(0.3, "components", 2**30)])
def test_sigma_of_one_network_covers_the_errors_of_new_structures(
    basis, settings, lm_settings, water, forces
):
    lm = changed(lm_settings, regularisation="evidence", iterations=25)
    one = changed(settings, n_members=1, optimizer=lm, validation_fraction=0.0, forces=forces)
    model = train(water, basis, one, 1).model
    new, far = molecules(("O", "H", "H"), 60, 9), molecules(("O", "H", "H"), 60, 9, 0.3)
    energies, sigma = sigma_of(model, new)
    covered = (np.abs(energies[0] - new.energies) < 1.96 * sigma).mean()
    assert covered > 0.8
    assert np.median(sigma_of(model, far)[1]) > 2.0 * np.median(sigma)


def test_a_committee_without_posteriors_is_calibrated_on_what_was_held_out(basis, settings, water):
    result = train(water, basis, changed(settings, network_sigma="committee", validation_fraction=0.3), 1)
    _, outside = validation_split(water.parents, 0.3, 1)
    held = water.subsets[0].select(outside)
    energies, sigma = sigma_of(result.model, held)
    errors = energies - held.energies
    np.testing.assert_allclose(result.model.sigma.left_out_errors, errors, atol=1e-9)
    assert result.model.sigma.held_out
    z = errors.mean(0) / sigma
    assert np.sqrt(np.mean(z**2)) <= 1.0 + 1e-9


def test_sigma_is_that_of_an_unbroken_training(basis, settings, lm_settings, water):
    lm = changed(lm_settings, regularisation="evidence", iterations=5)
    keys = changed(settings, n_members=2, optimizer=lm, validation_fraction=0.0)
    result = train(water, basis, keys, 1)
    again = train(water, basis, keys, 1, None, result.state)
    np.testing.assert_array_equal(again.model.sigma.factors, result.model.sigma.factors)
    alone = train(water, basis, keys, 1, (1,)).model.sigma
    np.testing.assert_allclose(alone.left_out_errors, result.model.sigma.left_out_errors[1:], rtol=1e-6)
    assert train(water, basis, changed(keys, network_sigma="none"), 1, None, result.state).model.sigma is None
