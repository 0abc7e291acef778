"""Phases of combined training: what each is trained on, and how far labels are believed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from aenet_gpr_cli.ann import training
from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.execution.surroundings import Surroundings
from aenet_gpr_cli.ann.optimisers import phases
from aenet_gpr_cli.ann.optimisers.course import trust_in_copies
from aenet_gpr_cli.ann.training import train
from aenet_gpr_cli.ann.training_settings import LevenbergMarquardt, Loss
from aenet_gpr_cli.structures import AugmentedSet
from tests.ann.ann_helpers import changed, molecules

SPECIES, N, M = ("O", "H", "H"), 24, 6


def copied(label_error):
    """References, and copies with right energies."""
    references, copies = molecules(SPECIES, N, 3), molecules(SPECIES, N * M, 4)
    parents = tuple(references.names[i // M] for i in range(N * M))
    numbers = np.arange(N * M) % M
    augmented = AugmentedSet(changed(copies, forces=None), parents, numbers, None, "gpr", None, label_error)
    return TrainingSet.collect([references], [augmented], None)


@pytest.fixture
def combined(settings):
    optimiser = LevenbergMarquardt(iterations=40, tolerance=1e-12, patience=200, window_gain=0.0)
    loss = Loss(alpha=0.3, balance="evidence")
    keys = {"mode": "combined", "optimizer": optimiser, "loss": loss, "validation_fraction": 0.0}
    return changed(settings, n_members=2, hidden=(6,), **keys)


def test_copies_count_no_more_than_left_out_errors_allow(basis, combined):
    """Labels are right, but the process is said to err: the bound is the squared ratio of left-out errors."""
    (far,) = {float(np.median(train(copied(1.0), basis, combined, 1).state["most_trust"]))}
    small, large = (train(copied(np.sqrt(far / trust)), basis, combined, 1).state for trust in (0.3, 0.6))
    free = train(copied(None), basis, combined, 1).state
    assert np.isinf(free["most_trust"]).all()
    np.testing.assert_allclose(large["most_trust"], 2.0 * small["most_trust"], rtol=1e-9)
    assert np.median(large["most_trust"]) == pytest.approx(0.6)
    for state in (small, large):
        trust = state["emphasis"][:, 1] / state["emphasis"][:, 0]
        np.testing.assert_allclose(trust, state["most_trust"], rtol=1e-9)
        assert (trust < free["emphasis"][:, 1] / free["emphasis"][:, 0]).all()
        assert "on structures left out the process errs" in trust_in_copies(state)
    assert "by evidence" in trust_in_copies(free)


@pytest.mark.parametrize(("together", "last"), [(1.2, N * (M + 1)), (0.8, N)])
def test_copies_that_together_count_less_than_their_references_are_left_out(
    basis, combined, monkeypatch, together, last
):
    far = float(np.median(train(copied(1.0), basis, combined, 1).state["most_trust"]))
    seen, run = [], phases.run_levenberg_marquardt

    def record(objective, rows, *others):
        seen.append(len(rows))
        return run(objective, rows, *others)

    monkeypatch.setattr(phases, "run_levenberg_marquardt", record)
    state = train(copied(np.sqrt(far * M / together)), basis, combined, 1).state
    assert seen == [N, N, last]
    assert state["without_copies"].all() == (last == N)
    assert ("left out, for together" in trust_in_copies(state)) == (last == N)


def test_right_labels_are_believed_in_whatever_the_process_errs_elsewhere(basis, combined):
    without, with_error = (train(copied(error), basis, combined, 1) for error in (None, 1e-6))
    assert np.array_equal(without.state["emphasis"], with_error.state["emphasis"])
    assert (without.state["emphasis"][:, 1] > 0.1 * without.state["emphasis"][:, 0]).all()


def test_first_few_forces_then_all_then_copies(basis, combined, monkeypatch):
    seen, run = [], phases.run_levenberg_marquardt

    def record(objective, rows, held_out, settings, together, state, around, until):
        forces = sum(s.targets.numel() for s in objective.forces.subsets)
        seen.append((forces, len(rows), until, state["iteration"].tolist()))
        return run(objective, rows, held_out, settings, together, state, around, until)

    monkeypatch.setattr(phases, "run_levenberg_marquardt", record)
    monkeypatch.setattr(phases, "FEW_COMPONENTS", 0.5)
    data = copied(None)
    case_weights = train(data, basis, combined, 1).state["weights"].shape[1]
    per_structure = round(0.5 * case_weights / N)
    assert 0 < per_structure < 0.75 * 9
    assert seen == [
        (per_structure * N, N, 16, [0, 0]),
        (9 * N, N, 24, [16, 16]),
        (9 * N, N * (M + 1), 40, [24, 24]),
    ]


def test_a_row_goes_on_to_weigh_what_it_did(basis, combined):
    data = copied(None)
    index = np.arange(len(data))
    case = training.Case(data, basis, combined, (0, 1), 1, index, index[:0])
    objective = training._objective(case, Surroundings())[0]
    every, own = torch.as_tensor(index), torch.arange(N)
    state = {
        "emphasis": np.array([[2.0, 0.1, 1.0, 1.0], [0.5, 0.2, 3.0, 1.0]]),
        "weights": np.zeros((2, 3)),
        "phase": np.zeros(2, int),
        "best_loss": np.array([1.0, np.inf]),
        "gain": np.zeros((4, 2)),
    }
    rows = [phases.Rows(objective, some, every[:0]).count(2) for some in (own, every)]
    after = phases._handed_over(state, *rows)

    def shares(emphasis, some):
        found = replace(objective, emphasis=torch.as_tensor(emphasis)).shares(some)
        return [found.energy, found.copy, found.force]

    for one, other in zip(shares(state["emphasis"], own), shares(after["emphasis"], every), strict=True):
        assert torch.allclose(one, other, rtol=1e-12)
    assert np.isinf(after["best_loss"]).tolist() == [False, True]  # what failed stays failed
