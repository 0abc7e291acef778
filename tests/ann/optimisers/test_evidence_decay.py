from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from aenet_gpr_cli.ann import training
from aenet_gpr_cli.ann.curvature.damped_solver import factorise
from aenet_gpr_cli.ann.curvature.normal_equations import ByKind, weighted_rows
from aenet_gpr_cli.ann.curvature.summed_curvature import SummedCurvature
from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.execution.surroundings import Surroundings
from aenet_gpr_cli.ann.execution.workspace import Workspace
from aenet_gpr_cli.ann.network.architecture import Architecture
from aenet_gpr_cli.ann.optimisers import levenberg_marquardt
from aenet_gpr_cli.ann.optimisers.evidence_decay import (
    CHANGE,
    LONGEST,
    OFTEN,
    SELDOM,
    Evidence,
    groups,
    is_due,
    n_rows,
)
from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.ann.training import train
from tests.ann.ann_helpers import Forces, changed, molecules


@pytest.fixture
def by_evidence(lm_settings):
    return changed(lm_settings, regularisation="evidence", iterations=60, tolerance=1e-12)


def log_evidence(rows, targets, decay):
    """Of y ~ N(0, τ (1 + J diag(1/decay) Jᵀ)), with its best τ: nothing but the definition."""
    covariance = np.eye(len(targets)) + (rows / decay) @ rows.T
    noise = targets @ np.linalg.solve(covariance, targets) / len(targets)
    return -0.5 * (np.linalg.slogdet(covariance)[1] + len(targets) * np.log(noise))


@pytest.mark.parametrize("forces", [None, Forces(0.5, "components", 2**30)])
def test_the_decays_of_a_linear_model_maximise_the_evidence(basis, settings, by_evidence, forces):
    noise = np.random.default_rng(0).standard_normal(60)
    noisy = molecules(("O", "H", "H"), 60, 3)
    noisy = changed(noisy, energies=noisy.energies + 0.1 * np.ptp(noisy.energies) * noise)
    linear = changed(settings, hidden=(), n_members=1, validation_fraction=0.0, forces=forces)
    linear = changed(linear, optimizer=changed(by_evidence, iterations=200))
    data = TrainingSet.collect([noisy], [], None)
    result = train(data, basis, linear, 1)
    architecture = result.model.architecture
    index = np.arange(60)
    objective, *_ = training._objective(
        training.Case(data, basis, linear, (0,), 1, index, index[:0]), Surroundings()
    )
    weights = torch.as_tensor(result.state["weights"])
    blocks = list(weighted_rows(objective, weights, torch.as_tensor(index)))
    rows, residuals = (torch.cat(parts, dim=1)[0].numpy() for parts in zip(*blocks, strict=True))
    assert n_rows(objective, torch.as_tensor(index)).item() == pytest.approx(len(rows))
    emphasis = torch.tensor([[0.7, 1.0, 1400.0, 1.0]], dtype=torch.float64)  # rows count, whatever it is
    emphatic = replace(objective, emphasis=emphasis)
    assert n_rows(emphatic, torch.as_tensor(index)).item() == pytest.approx(len(rows))
    targets = rows @ weights[0].numpy() - residuals
    decay, place = result.state["decay"][0], groups(architecture, torch.device("cpu")).numpy()
    best = log_evidence(rows, targets, decay[place])
    drops = []
    for group in range(len(decay)):
        for factor in (0.8, 1.25):
            other = decay.copy()
            other[group] *= factor
            drops.append(best - log_evidence(rows, targets, other[place]))
    # of the oxygen, all alike, forces tell nothing: its weights are switched off, with any large decay
    assert (np.array(drops) > -0.02).all()
    assert (np.array(drops[:2]) > 0.01).all()


def test_forces_alone_have_decays_by_evidence_too(basis, settings, by_evidence):
    """With α = 1 no energy counts: their share of 0/0 must not switch the evidence off."""
    data = TrainingSet.collect([molecules(("O", "H", "H"), 12, 5)], [], None)
    loss = changed(settings.loss, alpha=1.0)
    alone = changed(
        settings,
        optimizer=changed(by_evidence, iterations=12),
        loss=loss,
        forces=Forces(1.0, "components", 2**30),
        validation_fraction=0.0,
        n_members=1,
    )
    result = train(data, basis, alone, 1)
    decays = result.state["decay"]
    assert np.isfinite(decays).all()
    start = train(data, basis, changed(alone, optimizer=changed(by_evidence, iterations=1)), 1).state["decay"]
    assert not np.allclose(decays, start, rtol=0.1)


@pytest.mark.parametrize("forces", [None, Forces(0.3, "components", 2**30)])
def test_few_data_are_predicted_better_with_evidence(basis, settings, lm_settings, by_evidence, forces):
    few, test = molecules(("O", "H", "H"), 12, 5), molecules(("O", "H", "H"), 60, 6)
    data, errors = TrainingSet.collect([few], [], None), []
    for optimizer in (changed(lm_settings, iterations=60), by_evidence):
        chosen = changed(settings, optimizer=optimizer, forces=forces, validation_fraction=0.0)
        result = train(data, basis, chosen, 1)
        errors.append(np.abs(predict(result.model, test, False, 60)[0] - test.energies).mean())
    assert errors[1] < 0.9 * errors[0]


def test_each_layer_of_each_species_has_one_decay():
    architecture = Architecture(("H", "O"), 3, (4,), "tanh")
    counts = np.bincount(groups(architecture, torch.device("cpu")).numpy())
    assert counts.tolist() == [4 * 4, 5, 4 * 4, 5]


def test_a_member_that_has_learnt_nothing_is_not_judged():
    loss, spread = torch.tensor([8.0, 1e-2, 1e-2, 8.0]), torch.full((4,), 9.0)
    iteration, settled = np.array([SELDOM, SELDOM, 0, LONGEST]), torch.zeros(4, dtype=torch.bool)
    assert is_due(loss, spread, iteration, settled).tolist() == [False, True, True, True]
    settled = ~settled
    assert is_due(loss, spread, iteration + 1, settled).tolist() == [False, False, False, False]
    assert is_due(loss, spread, iteration + SELDOM, settled)[1:3].tolist() == [True, True]


def test_energies_alone_are_judged_every_other_time_and_forces_every_time():
    loss, spread, moving = torch.tensor([1e-2]), torch.tensor([9.0]), torch.tensor([False])
    due = [
        [bool(is_due(loss, spread, np.array([n]), moving, kinds)) for n in range(2 * LONGEST)]
        for kinds in (1, 2)
    ]
    assert due[0] == [True] * LONGEST + [n % OFTEN == 0 for n in range(LONGEST, 2 * LONGEST)]
    assert all(due[1])


def test_a_singular_matrix_keeps_its_decays():
    places, old = torch.tensor([0, 0, 1]), torch.full((2, 2), 1e-3, dtype=torch.float64)
    spread = torch.tensor([9.0] * 2)
    known = Evidence(places, torch.tensor([30.0] * 2), spread, 1e-3)
    matrix = torch.eye(3, dtype=torch.float64).repeat(2, 1, 1)
    matrix[1] = torch.nan
    weights = torch.ones(2, 3, dtype=torch.float64)
    loss = torch.tensor([1e-2, 1e-2], dtype=torch.float64)
    curvature = SummedCurvature(matrix, ByKind((0,), matrix[None], loss[None]), places, Workspace())
    determined = curvature.determined(known.damping(curvature, old)).by_group
    new, settled = known.decays(curvature, determined, weights, loss, old, np.arange(2), spread)
    assert torch.equal(new[1], old[1])
    # γ = n_weights / (1 + decay) in each group, τ = loss / (n_rows - Σ γ), |W|² = n_weights
    expected = 1e-2 / (30.0 - 3 / 1.001) / 1.001
    assert new[0].numpy() == pytest.approx(np.full(2, max(expected, 1e-3 / CHANGE)), rel=1e-9)
    assert settled.tolist() == [False, True]


def test_evidence_is_estimated_while_it_moves_and_seldom_afterwards(
    basis, settings, by_evidence, monkeypatch
):
    asked, estimate = [], levenberg_marquardt._estimate

    def record(known, noises, state, *given):
        before = state["iteration"][0]
        new, settled = estimate(known, noises, state, *given)
        if not torch.equal(new, given[-1]):
            asked.append((int(before), bool(settled[0])))
        return new, settled

    monkeypatch.setattr(levenberg_marquardt, "_estimate", record)
    keys = changed(settings, n_members=1, hidden=(4,), validation_fraction=0.0)
    keys = changed(keys, optimizer=changed(by_evidence, iterations=120, window_gain=0.0))
    some, noise = molecules(("O", "H", "H"), 60, 3), np.random.default_rng(0).standard_normal(60)
    noisy = changed(some, energies=some.energies + 0.1 * np.ptp(some.energies) * noise)
    train(TrainingSet.collect([noisy], [], None), basis, keys, 1)
    assert asked[0][0] > 0  # before it has learnt anything there is nothing to estimate
    for (now, settled), (following, _) in pairwise(asked):
        every = SELDOM if settled else 1 if now + 1 < LONGEST else OFTEN
        assert following == (now // every + 1) * every
    assert {settled for _, settled in asked[:-1]} == {False, True}


def test_the_diagonal_of_the_inverse():
    rows = torch.as_tensor(np.random.default_rng(1).standard_normal((2, 30, 7)))
    matrix, damping = rows.transpose(1, 2) @ rows, torch.linspace(0.1, 1.0, 7, dtype=torch.float64)
    found = factorise(matrix.tril(), damping.expand(2, -1)).inverse_diagonal()
    expected = torch.linalg.inv(matrix + torch.diag(damping)).diagonal(dim1=1, dim2=2)
    assert torch.allclose(found, expected, rtol=1e-10)
    assert not torch.isfinite(factorise(-matrix, damping.expand(2, -1)).inverse_diagonal()).any()
