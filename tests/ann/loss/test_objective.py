import numpy as np
import pytest
import torch

from aenet_gpr_cli.ann import training
from aenet_gpr_cli.ann.curvature import normal_equations as normal_equations_module
from aenet_gpr_cli.ann.curvature.normal_equations import normal_equations, weighted_rows
from aenet_gpr_cli.ann.execution.surroundings import Surroundings
from aenet_gpr_cli.ann.network.architecture import ACTIVATIONS, initial_weights
from aenet_gpr_cli.ann.training_settings import Loss
from tests.ann.ann_helpers import Forces, changed


def build(data, basis, settings):
    indices = np.arange(len(data))
    case = training.Case(data, basis, settings, (0, 1, 2), 3, indices, indices[:0])
    objective, *_ = training._objective(case, Surroundings())
    weights = torch.as_tensor(initial_weights(case.architecture, 5, case.members))
    return objective, weights, torch.as_tensor(indices)


def central_difference(function, weights, columns, h=1e-5):
    """Derivatives by some weights, one member per row; h balances truncation and rounding in float64."""
    result = []
    for column in columns:
        step = torch.zeros_like(weights)
        step[:, column] = h
        result.append((function(weights + step) - function(weights - step)) / (2 * h))
    return torch.stack(result, dim=1)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    "loss", [Loss(form="mse", per="atom", alpha=0.3), Loss(form="rmse", per="structure", alpha=0.6)]
)
@pytest.mark.parametrize("force", [None, ("structures", 0.4), ("components", 0.5)])
def test_gradient_of_the_loss_equals_finite_differences(data, basis, settings, activation, loss, force):
    forces = None if force is None else Forces(force[1], force[0], 2**30)
    objective, weights, index = build(
        data, basis, changed(settings, activation=activation, loss=loss, forces=forces)
    )
    batch = index[[0, 2, 5, 7, 9, 11, 13]]
    gradient = torch.empty_like(weights)
    sums = objective.gradient(weights, batch, gradient)
    assert torch.allclose(sums.loss(objective.loss), objective.sums(weights, batch).loss(objective.loss))
    columns = range(0, weights.shape[1], 3)
    expected = central_difference(lambda w: objective.sums(w, batch).loss(objective.loss), weights, columns)
    assert expected.abs().max() > 1e-3  # not a comparison of zeros
    assert torch.allclose(gradient[:, ::3], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("hidden", [(), (4,), (5, 4), (3, 6, 3)])
@pytest.mark.parametrize("activation", ["tanh", "twist"])  # compiled, and by tensors
@pytest.mark.parametrize("force", [None, ("structures", 0.4), ("components", 0.5)])
def test_rows_of_the_jacobian_equal_finite_differences(data, basis, settings, hidden, activation, force):
    forces = None if force is None else Forces(force[1], force[0], 2**30)
    settings = changed(settings, hidden=hidden, activation=activation, forces=forces)
    objective, weights, index = build(data, basis, settings)
    rows = torch.cat([block for block, _ in weighted_rows(objective, weights, index)], dim=1)
    columns = range(0, weights.shape[1], 5)

    def residuals(w):
        return torch.cat([r for _, r in weighted_rows(objective, w, index)], dim=1)

    expected = central_difference(residuals, weights, columns).transpose(1, 2)
    assert expected.abs().max() > 1e-3
    assert torch.allclose(rows[:, :, ::5], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("force", [None, ("components", 0.5), ("structures", 0.4)])
@pytest.mark.parametrize("bootstrap", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "twist"])
@pytest.mark.parametrize("memory", [0, 2**30])
def test_normal_equations_agree_with_loss_and_gradient(
    data, basis, settings, force, bootstrap, activation, memory
):
    forces = None if force is None else Forces(force[1], force[0], memory)
    settings = changed(settings, forces=forces, bootstrap=bootstrap, activation=activation)
    objective, weights, index = build(data, basis, settings)
    matrix, half, loss = normal_equations(objective, weights, index)
    gradient = torch.empty_like(weights)
    sums = objective.gradient(weights, index, gradient)
    assert torch.allclose(loss, sums.loss(objective.loss), rtol=1e-12)
    assert torch.allclose(2 * half, gradient, rtol=1e-9, atol=1e-12)
    assert torch.linalg.eigvalsh(matrix).min() > -1e-10 * matrix.abs().max()  # reads the lower triangle
    residuals = objective.residuals(weights, index)
    assert torch.allclose(objective.mean_square(residuals), loss, rtol=1e-12)
    assert torch.allclose(objective.pull(weights, index, residuals), half, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 7, 40])
@pytest.mark.parametrize("activation", ["tanh", "twist"])
def test_normal_equations_do_not_depend_on_how_many_rows_are_multiplied_at_a_time(
    data, basis, settings, activation, rows, monkeypatch
):
    settings = changed(settings, forces=Forces(0.5, "structures", 2**30), activation=activation)
    objective, weights, index = build(data, basis, settings)
    blocks = [block for block, _ in weighted_rows(objective, weights, index)]
    expected = sum(torch.bmm(block.transpose(1, 2), block) for block in blocks)
    monkeypatch.setattr(normal_equations_module, "ROWS", rows)
    matrix, _, _ = normal_equations(objective, weights, index)
    assert torch.allclose(matrix.tril(), expected.tril(), rtol=1e-9, atol=1e-11)


def test_a_batch_is_the_sum_of_its_structures(data, basis, settings):
    objective, weights, index = build(data, basis, settings)
    whole = objective.errors(weights, objective.data.batch(index), 0).energy
    single = [
        objective.errors(weights, objective.data.batch(index[i : i + 1]), 0).energy for i in range(len(index))
    ]
    assert torch.allclose(whole, torch.cat(single, dim=1), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("fraction", [0.5, 1.0])
def test_recomputed_jacobian_gives_the_same_gradient_as_stored(data, basis, settings, fraction):
    results = []
    for memory in (2**30, 0):
        forces = Forces(fraction, "components", memory)
        objective, weights, index = build(data, basis, changed(settings, forces=forces))
        assert objective.forces.stored == (memory > 0)
        gradient = torch.empty_like(weights)
        objective.gradient(weights, index, gradient)
        results.append(gradient)
    assert torch.allclose(results[0], results[1], rtol=1e-9, atol=1e-12)
