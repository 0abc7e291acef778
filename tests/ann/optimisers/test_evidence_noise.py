"""Noises of kinds of rows: what made them comes out, and the evidence is at its largest."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from aenet_gpr_cli.ann import training
from aenet_gpr_cli.ann.curvature.damped_solver import factorise
from aenet_gpr_cli.ann.curvature.normal_equations import ByKind, normal_equations, weighted_rows
from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.execution.surroundings import Surroundings
from aenet_gpr_cli.ann.optimisers.evidence_decay import groups
from aenet_gpr_cli.ann.training import train
from aenet_gpr_cli.ann.training_settings import LevenbergMarquardt, Loss, Training
from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.structures import AugmentedSet
from tests.ann.ann_helpers import changed, molecules

SPECIES, N, M = ("O", "H", "H"), 20, 4


def noisy(noise):
    """References and copies of a linear network's own energies and forces, with noise on each kind."""
    rng = np.random.default_rng(0)
    references, copies = molecules(SPECIES, N, 3), molecules(SPECIES, N * M, 4)
    references = changed(
        references,
        energies=references.energies + noise[0] * rng.standard_normal(N),
        forces=references.forces + noise[2] * rng.standard_normal(references.forces.shape),
    )
    copies = changed(copies, energies=copies.energies + noise[1] * rng.standard_normal(N * M), forces=None)
    parents = tuple(references.names[i // M] for i in range(N * M))
    return TrainingSet.collect(
        [references], [AugmentedSet(copies, parents, np.arange(N * M) % M, None, "gpr")], None
    )


@pytest.fixture
def by_evidence(settings):
    optimiser = LevenbergMarquardt(iterations=80, tolerance=1e-12, patience=200, window_gain=0.0)
    loss = Loss(alpha=0.3, balance="evidence")
    return changed(settings, mode="combined", optimizer=optimiser, loss=loss, validation_fraction=0.0)


def objective_of(data, basis, settings, n_members):
    index = np.arange(len(data))
    case = training.Case(data, basis, settings, tuple(range(n_members)), 1, index, index[:0])
    return training._objective(case, Surroundings())[0], torch.as_tensor(index)


@pytest.mark.parametrize("noise", [(0.05, 0.2, 0.05), (0.1, 0.02, 0.2)])
def test_the_noise_of_each_kind_comes_out(basis, by_evidence, noise):
    data = noisy(noise)
    settings = changed(by_evidence, hidden=(4,), n_members=1)
    result = train(data, basis, settings, 1)
    objective, index = objective_of(data, basis, settings, 1)
    shares = replace(objective, emphasis=torch.as_tensor(result.state["emphasis"])).shares(index)
    found = np.array([float(share) ** -0.5 for share in (shares.energy, shares.copy, shares.force)])
    assert found / found[1] == pytest.approx(np.array(noise) / noise[1], rel=0.35)


def test_the_emphasis_of_a_linear_model_maximises_the_evidence(basis, by_evidence):
    data, linear = noisy((0.1, 0.3, 0.3)), changed(by_evidence, hidden=(), n_members=1)
    result = train(data, basis, linear, 1)
    objective, index = objective_of(data, basis, linear, 1)
    decay = result.state["decay"][0][groups(result.model.architecture, torch.device("cpu")).numpy()]
    counts = objective.rows_by_kind(index)[0].numpy()
    assert counts.tolist() == [N, N * M, 9 * N, 0]

    def log_evidence(emphasis):
        """Of y ~ N(0, τ (1 + J diag(1/decay) Jᵀ)) with its best τ, y and J times the root of emphasis."""
        here = replace(objective, emphasis=torch.as_tensor(emphasis[None]))
        silent = torch.zeros(1, objective.architecture.n_weights, dtype=torch.float64)
        blocks = list(weighted_rows(here, silent, index))
        rows, targets = (torch.cat(parts, dim=1)[0].numpy() for parts in zip(*blocks, strict=True))
        covariance = np.eye(len(targets)) + (rows / decay) @ rows.T
        scale = targets @ np.linalg.solve(covariance, targets) / len(targets)
        volume = np.linalg.slogdet(covariance)[1] + len(targets) * np.log(scale)
        return 0.5 * (counts @ np.log(emphasis) - volume)

    found = result.state["emphasis"][0]
    best = log_evidence(found)
    for kind in (0, 1):  # that of the forces is the unit
        for factor in (0.7, 1.4):
            other = found.copy()
            other[kind] *= factor
            assert log_evidence(other) < best


def test_kinds_add_up(basis, by_evidence):
    data = noisy((0.1, 0.1, 0.1))
    objective, index = objective_of(data, basis, changed(by_evidence, hidden=(3,)), 3)
    emphasis = torch.tensor(
        [[1.0, 2.0, 3.0, 1.0], [0.5, 1.0, 1.0, 1.0], [4.0, 0.1, 1.0, 1.0]], dtype=torch.float64
    )
    objective = replace(objective, emphasis=emphasis)
    weights = torch.as_tensor(np.random.default_rng(1).normal(size=(3, objective.architecture.n_weights)))
    apart = ByKind.zeros((0, 1, 2), weights)
    matrix, half, loss = normal_equations(objective, weights, index)
    for ours, whole in zip(
        normal_equations(objective, weights, index, apart), (matrix, half, loss), strict=True
    ):
        assert torch.allclose(ours, whole, rtol=1e-10, atol=1e-12)
    only = replace(objective, emphasis=emphasis * torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=torch.float64))
    one, _, part = normal_equations(only, weights, index)
    assert torch.allclose(apart.matrices[1], one, rtol=1e-10, atol=1e-12)
    assert torch.allclose(apart.losses[1], part, rtol=1e-10)
    residuals = objective.residuals(weights, index)
    assert torch.allclose(objective.mean_square(residuals), loss, rtol=1e-10)
    assert torch.allclose(objective.pull(weights, index, residuals), half, rtol=1e-9, atol=1e-12)


def test_the_inverse():
    rows = torch.as_tensor(np.random.default_rng(1).standard_normal((2, 30, 7)))
    matrix, damping = rows.transpose(1, 2) @ rows, torch.linspace(0.1, 1.0, 7, dtype=torch.float64)
    found = factorise(matrix.tril(), damping.expand(2, -1)).inverse()
    assert torch.allclose(found.tril(), torch.linalg.inv(matrix + torch.diag(damping)).tril(), rtol=1e-9)
    assert not torch.isfinite(factorise(-matrix, damping.expand(2, -1)).inverse()).any()


@pytest.mark.parametrize("hidden", [(3,), (14, 14)])  # fewer weights than rows, and more
def test_a_resumed_run_equals_an_uninterrupted_one(basis, by_evidence, hidden):
    data = noisy((0.1, 0.1, 0.1))
    settings = changed(by_evidence, hidden=hidden, n_members=2, optimizer=LevenbergMarquardt(iterations=14))
    whole, state, finished = train(data, basis, settings, 1), None, False
    while not finished:
        budget = iter([False] * 8 + [True])
        part = train(data, basis, settings, 1, state=state, around=Surroundings(stop=budget.__next__))
        state, finished = part.state, part.finished
    assert np.array_equal(part.state["emphasis"], whole.state["emphasis"])
    assert not np.array_equal(whole.state["emphasis"], np.ones((2, 3)))
    assert np.array_equal(part.state["best_weights"], whole.state["best_weights"])


def test_it_needs_evidence_and_energies():
    with pytest.raises(ConfigError, match=r"loss.balance: evidence needs optimiser levenberg_marquardt"):
        build(Training, {"optimiser": "adamw", "loss": {"balance": "evidence"}}, "test")
    with pytest.raises(ConfigError, match=r"loss.alpha: expected less than 1"):
        build(Training, {"loss": {"balance": "evidence", "alpha": 1.0}}, "test")
