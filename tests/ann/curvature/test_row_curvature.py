"""Fewer rows than weights: the rows of J answer as the matrix JᵀJ does, and a training is the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from aenet_gpr_cli.ann import training
from aenet_gpr_cli.ann.curvature import form_costs
from aenet_gpr_cli.ann.curvature.linearise import fewer_rows, linearise
from aenet_gpr_cli.ann.curvature.row_curvature import RowCurvature
from aenet_gpr_cli.ann.curvature.summed_curvature import SummedCurvature
from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.execution.surroundings import Surroundings
from aenet_gpr_cli.ann.optimisers.evidence_decay import groups
from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.ann.training import train
from aenet_gpr_cli.ann.training_settings import LevenbergMarquardt, Loss
from tests.ann.ann_helpers import Forces, changed, molecules
from tests.ann.optimisers.test_evidence_noise import noisy

KINDS = (0, 1, 2)


@pytest.fixture
def combined(settings):
    loss = Loss(alpha=0.3, balance="evidence")
    optimiser = LevenbergMarquardt(iterations=8)
    return changed(settings, mode="combined", optimizer=optimiser, loss=loss, validation_fraction=0.0)


@pytest.fixture
def both(basis, combined):
    """The two forms of the same linearisation: two members, energies, copies and forces."""
    data = noisy((0.1, 0.1, 0.1))
    settings, index = changed(combined, hidden=(12, 12), n_members=2), np.arange(len(data))
    objective, *_ = training._objective(
        training.Case(data, basis, settings, (0, 1), 1, index, index[:0]), Surroundings()
    )
    emphasis = torch.tensor([[1.0, 2.0, 3.0, 1.0], [0.5, 1.0, 0.3, 1.0]], dtype=torch.float64)
    objective, n_weights = replace(objective, emphasis=emphasis), objective.architecture.n_weights
    weights = torch.as_tensor(np.random.default_rng(1).normal(size=(2, n_weights)) / 3.0)
    places = groups(objective.architecture, torch.device("cpu"))
    assert fewer_rows(objective, torch.as_tensor(index))
    given = (objective, weights, torch.as_tensor(index), places, KINDS)
    return [linearise(*given, by_rows=by_rows) for by_rows in (False, True)], places


def dampings(places, span):
    """Decays of the groups over many orders of magnitude, and a damping on top of them."""
    rng = np.random.default_rng(2)
    decay = torch.as_tensor(10.0 ** rng.uniform(-span, 0.0, (2, int(places.max()) + 1)))
    return decay[:, places]


def test_both_forms_have_the_same_diagonal_gradient_and_losses(both):
    ((summed, gradient), (rows, other)), _ = both
    assert isinstance(summed, SummedCurvature)
    assert isinstance(rows, RowCurvature)
    assert torch.allclose(gradient, other, rtol=1e-12, atol=1e-14)
    assert torch.allclose(summed.diagonal, rows.diagonal, rtol=1e-12, atol=1e-14)
    assert torch.allclose(summed.losses, rows.losses, rtol=1e-12)


@pytest.mark.parametrize("span", [2.0, 6.0])
def test_solutions_agree_and_solve_the_equations(both, span):
    ((summed, gradient), (rows, _)), places = both
    damping = dampings(places, span)
    found, expected = rows.solver(damping).solve(gradient), summed.solver(damping).solve(gradient)
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-9 * float(expected.abs().max()))
    matrix = summed.matrix.tril() + summed.matrix.tril(-1).transpose(1, 2)
    back = torch.bmm(matrix, found[:, :, None])[:, :, 0] + damping * found
    assert torch.allclose(back, gradient, rtol=1e-9, atol=1e-10 * float(gradient.abs().max()))


@pytest.mark.parametrize("span", [2.0, 6.0])
def test_what_rows_determine_agrees_with_the_definition(both, span):
    ((summed, _), (rows, _)), places = both
    damping = dampings(places, span)
    matrix = summed.matrix.tril() + summed.matrix.tril(-1).transpose(1, 2)
    of_weight = torch.linalg.solve(matrix + torch.diag_embed(damping), matrix).diagonal(dim1=1, dim2=2)
    for form in (summed, rows):
        found = form.determined(damping)
        zero = torch.zeros_like(found.by_group)
        by_group = zero.scatter_add(1, places.expand(2, -1), of_weight)
        assert torch.allclose(found.by_group, by_group, rtol=1e-6)
        # kinds and groups share out the same weights
        assert torch.allclose(found.by_kind.sum(0), found.by_group.sum(1), rtol=1e-6)
    assert torch.allclose(rows.determined(damping).by_kind, summed.determined(damping).by_kind, rtol=1e-6)


def test_the_factor_of_all_weights_agrees(both):
    ((summed, gradient), (rows, _)), places = both
    damping = dampings(places, 2.0)
    expected = summed.factor(damping).solve(gradient)
    assert torch.allclose(rows.factor(damping).solve(gradient), expected, rtol=1e-8, atol=1e-12)


def test_rows_that_say_the_same_are_no_obstacle(both):
    ((_, gradient), (rows, _)), places = both
    n, lower = rows.rows.shape[1], rows.products.tril()
    products = lower.repeat(1, 1, 2, 2).tril()
    products[:, :, n:, :n] = lower + lower.tril(-1).transpose(2, 3)
    twice = replace(rows, rows=torch.cat([rows.rows, rows.rows], 1), products=products)
    damping = dampings(places, 4.0)
    found = twice.solver(damping).solve(gradient)
    back = 2.0 * torch.einsum("mrw,mr->mw", rows.rows, torch.einsum("mrw,mw->mr", rows.rows, found))
    assert torch.allclose(
        back + damping * found, gradient, rtol=1e-8, atol=1e-9 * float(gradient.abs().max())
    )


@pytest.mark.parametrize("bootstrap", [False, True])
@pytest.mark.parametrize("mode", ["energy_only", "direct", "combined"])
def test_a_training_by_rows_is_that_by_the_matrix(basis, combined, settings, monkeypatch, mode, bootstrap):
    if mode == "combined":
        data, chosen = noisy((0.1, 0.1, 0.1)), changed(combined, hidden=(14, 14), n_members=2)
    else:
        data = TrainingSet.collect([molecules(("O", "H", "H"), 15, 3)], [], None)
        forces = Forces(0.5, "components", 2**30) if mode == "direct" else None
        optimiser = LevenbergMarquardt(iterations=8)
        chosen = changed(settings, optimizer=optimiser, forces=forces, hidden=(14, 14), n_members=2)
        chosen = changed(chosen, validation_fraction=0.0, network_sigma="laplace")
    chosen, found = changed(chosen, bootstrap=bootstrap), []
    for fewer in (form_costs.FEWER, 0.0):
        monkeypatch.setattr(form_costs, "FEWER", fewer)
        found.append(train(data, basis, chosen, 1))
    test = molecules(("O", "H", "H"), 30, 9)
    energies = [predict(result.model, test, False, 30)[0] for result in found]
    assert np.abs(energies[0] - energies[1]).max() < 1e-5 * np.ptp(energies[1])
    assert not np.array_equal(found[0].state["weights"], found[1].state["weights"])  # the forms were two
    assert found[0].state["decay"] == pytest.approx(found[1].state["decay"], rel=1e-3)
    for name in ("errors", "variances"):
        one, other = (getattr(result.model.sigma, name, None) for result in found)
        if one is not None:
            assert one == pytest.approx(other, rel=1e-3, abs=1e-9)


def test_rows_are_held_where_they_are_fewer(basis, settings):
    data, everyone = TrainingSet.collect([molecules(("O", "H", "H"), 60, 3)], [], None), np.arange(60)
    for hidden, expected in (((2,), False), ((14, 14), True)):
        chosen = changed(settings, hidden=hidden, n_members=1)
        objective, *_ = training._objective(
            training.Case(data, basis, chosen, (0,), 1, everyone, everyone[:0]), Surroundings()
        )
        assert (form_costs.FEWER * objective.architecture.n_weights > 60) is expected
        assert fewer_rows(objective, torch.as_tensor(everyone)) is expected
