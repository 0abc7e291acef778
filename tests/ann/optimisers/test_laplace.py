"""The posterior of a linear model is Bayesian linear regression, also when structures are left out."""

import numpy as np
import pytest
import torch

from aenet_gpr_cli.ann import training
from aenet_gpr_cli.ann.curvature.normal_equations import weighted_rows
from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.execution.surroundings import Surroundings
from aenet_gpr_cli.ann.optimisers.evidence_decay import groups
from aenet_gpr_cli.ann.optimisers.laplace import LeftOut, Rows, laplace, leave_out
from aenet_gpr_cli.ann.training import train
from aenet_gpr_cli.structures import Copies
from tests.ann.ann_helpers import Forces, changed, molecules


def case_of(settings, lm_settings, data, basis, forces, hidden=(), seed=1, **keys):
    """A training by evidence, its objective, and the place of each decay."""
    lm = changed(lm_settings, regularisation="evidence", iterations=15)
    chosen = changed(
        settings, hidden=hidden, n_members=1, validation_fraction=0.0, forces=forces, optimizer=lm, **keys
    )
    result = train(data, basis, chosen, seed)
    index = np.arange(len(data))
    case = training.Case(data, basis, chosen, (0,), seed, index, index[:0])
    objective, *_ = training._objective(case, Surroundings())
    decay = torch.as_tensor(result.state["decay"])
    return objective, torch.as_tensor(result.state["best_weights"]), decay


def prior_of(objective, decay):
    return np.diag(decay[groups(objective.architecture, torch.device("cpu")).numpy()])


def noisy(species, n, seed):
    found = molecules(species, n, seed)
    noise = np.random.default_rng(seed).standard_normal(n)
    return changed(found, energies=found.energies + 0.1 * np.ptp(found.energies) * noise)


@pytest.mark.parametrize("forces", [None, Forces(1.0, "structures", 2**30)])
def test_a_linear_model_left_out_is_the_regression_without_it(basis, settings, lm_settings, forces):
    data = TrainingSet.collect([noisy(("O", "H", "H"), 40, 3)], [], None)
    objective, weights, decay = case_of(settings, lm_settings, data, basis, forces)
    index = torch.arange(40)
    blocks = list(weighted_rows(objective, weights, index))
    rows, residuals = (torch.cat(parts, dim=1)[0].numpy() for parts in zip(*blocks, strict=True))
    left_out = LeftOut.of(data, index.numpy(), index.numpy()[:0], True)
    found = laplace(objective, weights, decay, index, 1e-3, left_out)
    targets, prior = rows @ weights[0].numpy() - residuals, prior_of(objective, found.decay)
    precision, noise = rows.T @ rows + prior, found.noise
    inverse = np.linalg.inv(found.factor @ found.factor.T)
    assert inverse == pytest.approx(noise * np.linalg.inv(precision), rel=1e-4, abs=1e-9)
    n = 40
    owner = np.concatenate([np.arange(n), np.repeat(np.arange(n), (len(rows) - n) // n)])
    assert len(found.errors) == n
    root = float(objective.shares(index).energy[0, 0]) ** 0.5 / 3.0  # loss per atom
    for i in range(0, n, 7):
        kept = owner != i
        inverse = np.linalg.inv(rows[kept].T @ rows[kept] + prior)
        solution = inverse @ rows[kept].T @ targets[kept]
        row = rows[i] / root
        change = row @ (solution - np.linalg.solve(precision, rows.T @ targets))  # of the minimum
        assert found.errors[i] == pytest.approx(residuals[i] / root + change, rel=1e-4, abs=1e-7)
        assert found.variances[i] == pytest.approx(noise * row @ inverse @ row, rel=1e-4)


def test_noise_of_a_linear_model_is_found(basis, settings, lm_settings):
    """With many data the spread of the errors over their own noise and posterior is 1."""
    data = TrainingSet.collect([noisy(("O", "H", "H"), 150, 5)], [], None)
    objective, weights, decay = case_of(settings, lm_settings, data, basis, None)
    index = np.arange(150)
    found = laplace(
        objective, weights, decay, torch.as_tensor(index), 1e-3, LeftOut.of(data, index, index[:0], True)
    )
    share = float(objective.shares(torch.as_tensor(index)).energy[0, 0]) / 9.0
    z = found.errors / np.sqrt(found.variances + found.noise / share)
    assert np.sqrt(np.mean(z**2)) == pytest.approx(1.0, abs=0.2)


def test_what_was_held_out_keeps_its_residual():
    rng = np.random.default_rng(0)
    rows, residuals = rng.normal(size=(3, 5)), rng.normal(size=3)
    factor = np.linalg.cholesky(4.0 * np.eye(5) + rows.T @ rows)
    error, variance = leave_out([Rows(rows, residuals, np.zeros(3))], 3, factor, 0.3)
    assert error == pytest.approx(residuals[0])
    assert variance == pytest.approx(rows[0] @ np.linalg.inv(factor @ factor.T) @ rows[0])


@pytest.mark.parametrize("n_blocks", [1, 3])
def test_more_rows_than_weights_leave_as_few_do(n_blocks):
    rng, noise = np.random.default_rng(1), 0.3
    rows, others, residuals = rng.normal(size=(12, 5)), rng.normal(size=(9, 5)), rng.normal(size=12)
    roots = rng.uniform(0.5, 1.5, 12)
    scaled = roots[:, None] * rows
    rest = 0.1 * np.eye(5) + others.T @ others
    factor = np.linalg.cholesky((rest + scaled.T @ scaled) / noise)
    blocks = [Rows(*part) for part in zip(*(np.split(x, n_blocks) for x in (rows, residuals, roots)))]
    found = leave_out(iter(blocks), 12, factor, noise)
    assert found == pytest.approx(leave_out(blocks, 0, factor, noise), rel=1e-6)
    assert found[1] == pytest.approx(noise * rows[0] @ np.linalg.solve(rest, rows[0]), rel=1e-6)
    gone = np.linalg.solve(rest, scaled.T @ (roots * residuals))
    assert found[0] == pytest.approx(residuals[0] + rows[0] @ gone, rel=1e-6)


def test_copies_leave_with_their_parent(basis):
    water = molecules(("O", "H", "H"), 6, 1)
    copies = molecules(("O", "H", "H"), 12, 2)
    parents = tuple(water.names[i // 2] for i in range(12))
    data = TrainingSet.collect([water], [Copies(copies, parents, np.arange(12) % 2, "gpr", None)], None)
    index = np.arange(18)
    groups_of = LeftOut.of(data, index, index[:0], True).groups
    assert [list(g) for g in groups_of] == [[i, 6 + 2 * i, 7 + 2 * i] for i in range(6)]
