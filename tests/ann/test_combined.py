"""Forces of references and energies of copies in one training: what it reduces to, and its derivatives."""

import numpy as np
import pytest
import torch

from aenet_gpr_cli.ann import training
from aenet_gpr_cli.ann.curvature.normal_equations import normal_equations, weighted_rows
from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.execution.surroundings import Surroundings
from aenet_gpr_cli.ann.network.architecture import initial_weights
from aenet_gpr_cli.ann.optimisers.adamw import shuffled
from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.ann.training import train
from aenet_gpr_cli.ann.training_settings import Loss, Training
from aenet_gpr_cli.structures import AugmentedSet
from tests.ann.ann_helpers import changed, molecules

SPECIES = (("O", "H", "H", "O"), ("H", "H", "H"))


@pytest.fixture
def both(data):
    """The references of `data`, three copies of each, one subset without copies of some of its structures."""
    copies = []
    for species, references, n in zip(SPECIES, data.subsets, (24, 9), strict=True):
        structures = changed(molecules(species, n, 7), forces=None)
        parents = tuple(references.names[i // 3] for i in range(n))
        copies.append(AugmentedSet(structures, parents, np.arange(n) % 3, None, "gpr"))
    return TrainingSet.collect(data.subsets, copies, None)


@pytest.fixture
def combined(settings):
    loss = Loss(per="atom", alpha=0.3, force_fraction=0.5)
    return changed(settings, mode="combined", loss=loss)


@pytest.fixture(params=["adamw", "lm", "lm by evidence"])
def optimiser(request, adamw_settings, lm_settings):
    by_evidence = changed(lm_settings, regularisation="evidence", iterations=12, extension=1.0)
    return {"adamw": adamw_settings, "lm": lm_settings, "lm by evidence": by_evidence}[request.param]


def assert_same(ours, theirs):
    assert np.array_equal(ours.training_loss, theirs.training_loss, equal_nan=True)
    for symbol, layers in ours.model.weights.items():
        for one, other in zip(layers, theirs.model.weights[symbol], strict=True):
            assert np.array_equal(one, other)


def test_without_copies_it_is_direct_force_training(data, basis, combined, optimiser):
    ours = changed(combined, optimizer=optimiser)
    assert_same(train(data, basis, ours, 1), train(data, basis, changed(ours, mode="direct"), 1))


def test_without_weight_of_forces_it_is_training_on_copies(both, basis, combined, optimiser):
    ours = changed(combined, optimizer=optimiser, loss=Loss(per="atom", alpha=0.0))
    assert_same(train(both, basis, ours, 1), train(both, basis, changed(ours, mode="gpr"), 1))


def test_both_count(both, data, basis, combined, optimiser):
    ours = changed(combined, optimizer=optimiser)
    losses = [
        train(some, basis, changed(ours, mode=mode), 1).training_loss[-1]
        for some, mode in ((both, "combined"), (both, "gpr"), (data, "direct"))
    ]
    assert (np.abs(losses[0] - losses[1]) > 1e-3 * losses[0]).all()
    assert (np.abs(losses[0] - losses[2]) > 1e-3 * losses[0]).all()


def test_a_resumed_run_equals_an_uninterrupted_one(both, basis, combined, optimiser):
    settings = changed(combined, optimizer=optimiser)
    whole, state, pieces = train(both, basis, settings, 1), None, 0
    while True:
        budget = iter([False, False, True])
        part = train(both, basis, settings, 1, state=state, around=Surroundings(stop=budget.__next__))
        state, pieces = part.state, pieces + 1
        if part.finished:
            break
    assert pieces > 1
    assert_same(part, whole)


def objective_of(data, basis, settings):
    index = np.arange(len(data))
    case = training.Case(data, basis, settings, (0, 1, 2), 3, index, index[:0])
    objective, *_ = training._objective(case, Surroundings())
    return (
        objective,
        torch.as_tensor(initial_weights(case.architecture, 5, case.members)),
        torch.as_tensor(index),
    )


def central_difference(function, weights, columns, h=1e-5):
    """Derivatives by some weights, one member per row."""
    result = []
    for column in columns:
        step = torch.zeros_like(weights)
        step[:, column] = h
        result.append((function(weights + step) - function(weights - step)) / (2 * h))
    return torch.stack(result, dim=-1)


@pytest.mark.parametrize("activation", ["tanh", "twist"])  # compiled, and by tensors
@pytest.mark.parametrize("selection", ["structures", "components"])
def test_gradient_and_rows_equal_finite_differences(both, basis, combined, activation, selection):
    loss = changed(combined.loss, force_selection=selection)
    settings = changed(combined, activation=activation, loss=loss)
    objective, weights, index = objective_of(both, basis, settings)
    batch, columns = index[[0, 2, 5, 9, 11, 13, 14, 20, 33, 40]], range(0, weights.shape[1], 7)
    gradient = torch.empty_like(weights)
    objective.gradient(weights, batch, gradient)
    expected = central_difference(lambda w: objective.sums(w, batch).loss(loss), weights, columns)
    assert expected.abs().max() > 1e-3
    assert torch.allclose(gradient[:, ::7], expected, rtol=1e-5, atol=1e-7)
    rows = torch.cat([block for block, _ in weighted_rows(objective, weights, index)], dim=1)

    def residuals(w):
        return torch.cat([r for _, r in weighted_rows(objective, w, index)], dim=1)

    expected = central_difference(residuals, weights, columns)
    assert torch.allclose(rows[:, :, ::7], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("bootstrap", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "twist"])
def test_normal_equations_agree_with_loss_and_gradient(both, basis, combined, bootstrap, activation):
    settings = changed(combined, bootstrap=bootstrap, activation=activation)
    objective, weights, index = objective_of(both, basis, settings)
    _, half, loss = normal_equations(objective, weights, index)
    gradient = torch.empty_like(weights)
    sums = objective.gradient(weights, index, gradient)
    assert torch.allclose(loss, sums.loss(objective.loss), rtol=1e-12)
    assert torch.allclose(2 * half, gradient, rtol=1e-9, atol=1e-12)
    residuals = objective.residuals(weights, index)
    assert torch.allclose(objective.mean_square(residuals), loss, rtol=1e-12)
    assert torch.allclose(objective.pull(weights, index, residuals), half, rtol=1e-9, atol=1e-12)


def test_the_loss_is_the_mean_over_all_energies_and_that_over_forces(both, data, basis, combined):
    """With copies that are worth nothing, forces weigh as without copies and energies by their number."""
    objective, weights, index = objective_of(both, basis, combined)
    sums, loss = objective.sums(weights, index), combined.loss
    errors = objective.errors(weights, objective.data.batch(index), 0)
    energy, force = errors.energy.square().mean(1), 3.0 * errors.force.square().mean(1)
    assert torch.allclose(sums.loss(loss), 0.7 * energy + 0.3 * force, rtol=1e-12)
    assert errors.energy.shape[1] == len(both)
    # half of the components of the references: 6 of 12 and 4 of 9 (rounded to even)
    assert errors.force.shape[1] == 8 * 6 + 6 * 4


@pytest.mark.parametrize(("n", "apart", "size"), [(370, 10, 37), (47, 14, 5)])
def test_batches_hold_their_share_of_references(n, apart, size):
    order = shuffled(n, apart, [1, 2, 3])
    assert np.array_equal(np.sort(order), np.arange(n))
    assert not np.array_equal(order, shuffled(n, apart, [1, 2, 4]))
    counts = [int((order[i : i + size] < apart).sum()) for i in range(0, n - size + 1, size)]
    assert max(counts) - min(counts) <= 2
    assert min(counts) >= apart * size // n - 1
    assert np.array_equal(shuffled(n, 0, [5]), np.random.default_rng([5]).permutation(n))


def test_few_forces_are_all_trained_on_and_many_are_thinned(data, basis, combined, lm_settings):
    automatic = Loss(force_fraction="auto")
    assert automatic.share_of_forces(900, 100) == 1.0
    assert automatic.share_of_forces(1e5, 100) == pytest.approx(0.01)
    assert Loss(force_fraction=0.3).share_of_forces(900, 100) == 0.3
    ours = changed(combined, mode="direct", optimizer=lm_settings)
    by_count, whole = (
        train(data, basis, changed(ours, loss=Loss(force_fraction=share)), 1) for share in ("auto", 1.0)
    )
    assert_same(by_count, whole)


def force_error(result, structures):
    return np.abs(predict(result.model, structures, True, 100)[1][0] - structures.forces).mean()


def test_wrong_labels_of_copies_count_little_and_do_no_harm(basis, lm_settings):
    by_evidence = changed(lm_settings, regularisation="evidence", iterations=30)
    loss = Loss(alpha=0.1, balance="evidence", force_fraction="auto")
    settings = Training(mode="direct", levenberg_marquardt=by_evidence, loss=loss, network_sigma="none")
    references, unseen = molecules(SPECIES[0], 12, 3), molecules(SPECIES[0], 30, 4)
    copies = molecules(SPECIES[0], 48, 5)
    parents = tuple(references.names[i // 4] for i in range(48))
    random = np.random.default_rng(0).standard_normal(48)
    direct = force_error(train(TrainingSet.collect([references], [], None), basis, settings, 1), unseen)
    counts = []
    for noise in (0.03, 1.0):
        wrong = changed(copies, energies=copies.energies + noise * random, forces=None)
        augmented = AugmentedSet(wrong, parents, np.arange(48) % 4, None, "gpr")
        data = TrainingSet.collect([references], [augmented], None)
        result = train(data, basis, changed(settings, mode="combined"), 1)
        assert force_error(result, unseen) < 1.3 * direct
        counts.append(result.state["emphasis"][0, 1] / result.state["emphasis"][0, 0])
        (said,), _ = result.remarks(changed(settings, mode="combined"))
        assert "as noisy as what the networks reach" in said
    assert counts[1] < 0.01 * counts[0] < 0.01
