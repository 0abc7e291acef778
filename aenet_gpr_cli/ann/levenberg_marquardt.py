"""Levenberg-Marquardt for a committee, on energies or on energies and forces.

Minimises sum ρ² + weight_decay |W|² with ρ the weighted residuals of the mean-square loss. JᵀJ and Jᵀρ are
accumulated in blocks, so memory does not grow with the set; the dampings tried at one point share them.
The state is a dictionary of plain arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.ann import parallel
from aenet_gpr_cli.ann.adamw import Outcome, Snapshot, State
from aenet_gpr_cli.ann.damped_solver import Factor, factorise
from aenet_gpr_cli.ann.normal_equations import normal_equations
from aenet_gpr_cli.ann.objective import Objective
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.structures import FloatArray, IntArray

SHRINK = 5.0  # of the damping after a step that helped; it doubles, then quadruples, … after one that did not
PROBE = 0.1  # part of the step over which residuals are differenced
MAX_CORRECTION = 0.75  # of the step: beyond it the expansion is not trusted


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
        Dampings tried per linearisation; a member stops if none lowers the loss. The n-th multiplies the
        first by 2^(n(n-1)/2), so that ten reach any useful one.
    patience : int
        Iterations without a better validation loss before a member stops.
    tolerance : float
        A member also stops when the training loss falls by less than this fraction in an iteration.
    restarts : int
        Initial weights tried per member; see `restarts`.
    restart_iterations : int
        Iterations after which the best of them goes on alone.
    """

    iterations: int
    damping: float
    scaling: Literal["identity", "diagonal"]
    weight_decay: float
    trials: int
    patience: int
    tolerance: float
    restarts: int = 1
    restart_iterations: int = 5


def start(weights: FloatArray, damping: float) -> State:
    """Return the state of a run that has not begun.

    Parameters
    ----------
    weights : ndarray of shape (n_members, n_weights)
    damping : float
        Initial damping; see `LevenbergMarquardtSettings`.

    Returns
    -------
    dict of str to ndarray
    """
    members = len(weights)
    return {
        "weights": weights.copy(),
        "best_weights": weights.copy(),
        "best_loss": np.full(members, np.inf),
        "damping": np.full(members, damping),
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
    keep: Callable[[Snapshot], None] | None = None,
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
    keep : callable or None
        Called after each iteration with a function that returns the state to continue from.

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
            if stop is not None and parallel.anywhere(stop(), str(objective.data.energies.device)):
                finished = False
                break
            _iterate(objective, train, held_out, settings, state, active)
            if keep is not None:
                keep(lambda: _snapshot(state))
            if progress is not None:
                done = int(np.where(_active(state, settings), state["iteration"], settings.iterations).sum())
                best = state["best_loss"][chunk].mean()
                progress(
                    done, members * settings.iterations, f"member {first + 1} of {members}, best {best:.3e}"
                )
        if not finished:
            break
    state = _snapshot(state)
    return Outcome(state["best_weights"], state["training_loss"], state["validation_loss"], state, finished)


def _snapshot(state: State) -> State:
    """Return a copy without the rows of iterations that have not been."""
    longest = int(state["iteration"].max(initial=0))
    curves = {key: state[key][:longest].copy() for key in ("training_loss", "validation_loss")}
    return {key: values.copy() for key, values in state.items()} | curves


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
    active: IntArray,
) -> None:
    """Do one linearisation for the members ``active``, and up to ``trials`` steps from it."""
    device = objective.data.energies.device
    objective = objective.for_members(active)
    # a copy in torch's aligned memory: BLAS may round differently for others, and a resumed run must not
    weights = torch.tensor(state["weights"][active], device=device)
    matrix, gradient, _ = normal_equations(objective, weights, train)
    start_residuals = objective.residuals(weights, train)
    loss = objective.mean_square(start_residuals)  # rounded as that of the trials
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
    # relative to the largest element; Marquardt's scaling is relative already
    unit = diagonal.max(1).values if settings.scaling == "identity" else torch.ones_like(cost)
    damping = torch.as_tensor(state["damping"][active], device=device) * unit
    best = Best(weights.clone(), cost.clone(), loss.clone(), damping.clone())
    growth = torch.full_like(cost, 2.0)
    for _ in range(settings.trials):
        found = best.cost < cost
        factor = factorise(matrix, damping[:, None] * scale)
        step = factor.solve(-gradient)
        step = step + _acceleration(objective, train, weights, step, start_residuals, factor)
        trial = weights + step
        trial_loss = objective.mean_square(objective.residuals(trial, train))
        trial_cost = trial_loss + decay * trial.square().sum(1)
        best.take(~found & (trial_cost < cost), trial, trial_cost, trial_loss, damping)
        found = best.cost < cost
        if bool(found.all()):
            break
        damping = torch.where(found, damping, damping * growth)
        growth = growth * 2.0
    check = best.loss
    if len(held_out):
        check = objective.mean_square(objective.residuals(best.weights, held_out))
    stalled = best.cost >= cost * (1.0 - settings.tolerance)
    _record(state, active, best, check, bool(len(held_out)))
    next_damping = torch.where(best.cost < cost, best.damping / SHRINK, damping)
    state["damping"][active] = (next_damping / unit).cpu().numpy()
    state["stalled"][active] = stalled.cpu().numpy()


@dataclass(slots=True)
class Best:
    """The best trial of one linearisation, per member."""

    weights: Tensor
    cost: Tensor
    loss: Tensor
    damping: Tensor

    def take(self, which: Tensor, weights: Tensor, cost: Tensor, loss: Tensor, damping: Tensor) -> None:
        """Replace the members ``which``.

        Parameters
        ----------
        which : tensor of bool, shape (n_members,)
        weights, cost, loss, damping : tensors with leading axis n_members
        """
        self.weights[which], self.cost[which] = weights[which], cost[which]
        self.loss[which], self.damping[which] = loss[which], damping[which]


def _record(
    state: State,
    active: IntArray,
    best: Best,
    check: Tensor,
    validated: bool,
) -> None:
    values, current = check.cpu().numpy(), best.weights.cpu().numpy()
    state["weights"][active] = current
    better = values < state["best_loss"][active]
    state["best_weights"][active[better]] = current[better]
    state["best_loss"][active[better]] = values[better]
    state["wait"][active] = np.where(better, 0, state["wait"][active] + 1)
    row = state["iteration"][active]
    state["training_loss"][row, active] = best.loss.cpu().numpy()
    state["validation_loss"][row, active] = values if validated else np.nan
    state["iteration"][active] += 1


def _acceleration(
    objective: Objective, train: Tensor, weights: Tensor, step: Tensor, residuals: Tensor, factor: Factor
) -> Tensor:
    """Return the second-order correction of a step, -½ (JᵀJ + damping)⁻¹ Jᵀ ρ''.

    Follows the curved valleys of the loss (geodesic acceleration; Transtrum and Sethna, arXiv:1201.5885);
    ρ'' along the step by central differences. Zero where it is not small against the step.
    """
    both = objective.for_members(np.tile(np.arange(len(weights)), 2))
    probes = torch.cat([weights + PROBE * step, weights - PROBE * step])
    ahead, behind = both.residuals(probes, train).chunk(2)
    bend = (ahead - 2.0 * residuals + behind) / PROBE**2
    correction = factor.solve(-0.5 * objective.pull(weights, train, bend))
    small = correction.norm(dim=1) < MAX_CORRECTION * step.norm(dim=1)
    return torch.where(small[:, None], correction, torch.zeros_like(correction))


def _padded(curve: FloatArray, length: int) -> FloatArray:
    full = np.full((max(length, len(curve)), curve.shape[1]), np.nan)
    full[: len(curve)] = curve
    return full
