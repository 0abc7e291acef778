"""Levenberg-Marquardt for a committee, on energies or on energies and forces.

Minimises sum ρ² + weight_decay |W|² with ρ the weighted residuals of the mean-square loss. JᵀJ and Jᵀρ are
accumulated in blocks, so memory does not grow with the set; several dampings are tried per
linearisation. The damping follows Nielsen (IMM-REP-1999-05, DTU). The state is a dictionary of plain arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.ann.adamw import Outcome, Progress, State
from aenet_gpr_cli.ann.normal_equations import normal_equations
from aenet_gpr_cli.ann.objective import Objective
from aenet_gpr_cli.structures import FloatArray


@dataclass(frozen=True, slots=True)
class LevenbergMarquardtSettings:
    """How Levenberg-Marquardt runs.

    Attributes
    ----------
    iterations : int
        Linearisations.
    damping : float
        Initial damping, relative to the largest diagonal element of JᵀJ.
    scaling : {"identity", "diagonal"}
        What the damping multiplies: 1, or the diagonal of JᵀJ (Marquardt).
    weight_decay : float
        Relative to the loss in network units.
    trials : int
        Dampings tried per linearisation; a member stops if none lowers the loss.
    patience : int
        Iterations without a better validation loss before a member stops.
    tolerance : float
        A member also stops when the training loss falls by less than this fraction in an iteration.
    """

    iterations: int
    damping: float
    scaling: Literal["identity", "diagonal"]
    weight_decay: float
    trials: int
    patience: int
    tolerance: float


def start(weights: FloatArray) -> State:
    """Return the state of a run that has not begun.

    Parameters
    ----------
    weights : ndarray of shape (n_members, n_weights)

    Returns
    -------
    dict of str to ndarray
    """
    members = len(weights)
    return {
        "weights": weights.copy(),
        "best_weights": weights.copy(),
        "best_loss": np.full(members, np.inf),
        "damping": np.full(members, np.nan),
        "growth": np.full(members, 2.0),
        "wait": np.zeros(members, int),
        "stalled": np.zeros(members, bool),
        "iteration": np.zeros(members, int),
        "training_loss": np.zeros((0, members)),
        "validation_loss": np.zeros((0, members)),
    }


def minimise(
    objective: Objective,
    train: Tensor,
    held_out: Tensor,
    settings: LevenbergMarquardtSettings,
    members_at_once: int,
    state: State,
    progress: Progress | None,
    stop: Callable[[], bool] | None,
) -> Outcome:
    """Train a committee by Levenberg-Marquardt.

    Parameters
    ----------
    objective : Objective
        With mean-square loss, float64.
    train, held_out : tensors of int, ascending
        Structures to train on, and to validate on. Without any held out the training loss is used.
    settings : LevenbergMarquardtSettings
    members_at_once : int
        Members treated as one batch; the others follow one after another.
    state : dict of str to ndarray
        Of `start`, or of an earlier run.
    progress : callable or None
        Called after each iteration with (done, total, message).
    stop : callable or None
        Polled between iterations; True ends the run with a state to continue from.

    Returns
    -------
    Outcome

    Notes
    -----
    Memory: two matrices of n_weights² per member treated at once, and one block of rows.
    Time per iteration and member: about rows · n_weights² + n_weights³/3 multiplications.
    """
    state = {k: v.copy() for k, v in state.items()}
    state["training_loss"] = _padded(state["training_loss"], settings.iterations)
    state["validation_loss"] = _padded(state["validation_loss"], settings.iterations)
    members = len(state["weights"])
    finished = True
    for first in range(0, members, members_at_once):
        chunk = np.arange(first, min(first + members_at_once, members))
        while (active := chunk[_active(state, settings)[chunk]]).size:
            if stop is not None and stop():
                finished = False
                break
            _iterate(objective, train, held_out, settings, state, active)
            if progress is not None:
                done = int(np.where(_active(state, settings), state["iteration"], settings.iterations).sum())
                best = state["best_loss"][chunk].mean()
                progress(
                    done, members * settings.iterations, f"member {first + 1} of {members}, best {best:.3e}"
                )
        if not finished:
            break
    longest = int(state["iteration"].max(initial=0))
    for key in ("training_loss", "validation_loss"):
        state[key] = state[key][:longest]
    return Outcome(state["best_weights"], state["training_loss"], state["validation_loss"], state, finished)


def _active(state: State, settings: LevenbergMarquardtSettings) -> FloatArray:
    return (
        (state["iteration"] < settings.iterations)
        & (state["wait"] < settings.patience)
        & ~state["stalled"].astype(bool)
    )


def _iterate(
    objective: Objective,
    train: Tensor,
    held_out: Tensor,
    settings: LevenbergMarquardtSettings,
    state: State,
    active: FloatArray,
) -> None:
    """Do one linearisation for the members ``active``, and up to ``trials`` steps from it."""
    device = objective.data.energies.device
    weights = torch.as_tensor(state["weights"][active], device=device)
    matrix, gradient, loss = normal_equations(objective, weights, train)
    decay = settings.weight_decay
    matrix.diagonal(dim1=1, dim2=2).add_(decay)
    gradient = gradient + decay * weights
    cost = loss + decay * weights.square().sum(1)
    diagonal = matrix.diagonal(dim1=1, dim2=2).clone()
    scale = (
        diagonal.clamp_min(1e-12 * diagonal.max())
        if settings.scaling == "diagonal"
        else torch.ones_like(diagonal)
    )
    damping = torch.as_tensor(state["damping"][active], device=device)
    # relative to the largest element; with Marquardt's scaling the damping is relative already
    largest = diagonal.max(1).values if settings.scaling == "identity" else torch.ones_like(damping)
    damping = torch.where(damping.isnan(), settings.damping * largest, damping)
    growth = torch.as_tensor(state["growth"][active], device=device)
    open_members = torch.ones_like(damping, dtype=torch.bool)
    new_weights, new_cost, new_loss = weights.clone(), cost.clone(), loss.clone()
    for _ in range(settings.trials):
        step = _solve(matrix, damping[:, None] * scale, -gradient)
        trial = weights + step
        trial_loss = objective.sums(trial, train).loss(objective.loss)
        trial_cost = trial_loss + decay * trial.square().sum(1)
        # predicted by the linear model: cost - |ρ + J p|² - decay |W + p|²
        predicted = (step * (damping[:, None] * scale * step - gradient)).sum(1)
        ratio = (cost - trial_cost) / predicted
        good = open_members & (trial_cost < cost)
        new_weights[good], new_cost[good], new_loss[good] = trial[good], trial_cost[good], trial_loss[good]
        shrink = (1.0 - (2.0 * ratio - 1.0) ** 3).clamp(1.0 / 3.0, 2.0)
        bad = open_members & ~good
        damping = torch.where(good, damping * shrink, torch.where(bad, damping * growth, damping))
        growth = torch.where(good, torch.full_like(growth, 2.0), torch.where(bad, growth * 2.0, growth))
        open_members = bad
        if not bool(open_members.any()):
            break
    check = new_loss
    if len(held_out):
        check = objective.sums(new_weights, held_out).loss(objective.loss)
    stalled = open_members | (new_cost > cost * (1.0 - settings.tolerance))
    _record(state, active, settings, new_weights, new_loss, check, bool(len(held_out)))
    state["damping"][active] = damping.cpu().numpy()
    state["growth"][active] = growth.cpu().numpy()
    state["stalled"][active] = stalled.cpu().numpy()


def _record(
    state: State,
    active: FloatArray,
    settings: LevenbergMarquardtSettings,
    weights: Tensor,
    loss: Tensor,
    check: Tensor,
    validated: bool,
) -> None:
    values, current = check.cpu().numpy(), weights.cpu().numpy()
    state["weights"][active] = current
    better = values < state["best_loss"][active]
    state["best_weights"][active[better]] = current[better]
    state["best_loss"][active[better]] = values[better]
    state["wait"][active] = np.where(better, 0, state["wait"][active] + 1)
    row = state["iteration"][active]
    state["training_loss"][row, active] = loss.cpu().numpy()
    state["validation_loss"][row, active] = values if validated else np.nan
    state["iteration"][active] += 1


def _solve(matrix: Tensor, damping: Tensor, right: Tensor) -> Tensor:
    """Solve (JᵀJ + damping) p = right; a factorisation that fails gives a null step, so damping grows."""
    damped = matrix.clone()
    damped.diagonal(dim1=1, dim2=2).add_(damping)
    factor, info = torch.linalg.cholesky_ex(damped)
    step = torch.cholesky_solve(right[:, :, None], factor)[:, :, 0]
    return torch.where((info == 0)[:, None], step, torch.zeros_like(step))


def _padded(curve: FloatArray, length: int) -> FloatArray:
    full = np.full((max(length, len(curve)), curve.shape[1]), np.nan)
    full[: len(curve)] = curve
    return full
