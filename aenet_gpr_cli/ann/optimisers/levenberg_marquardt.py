"""Levenberg-Marquardt for a committee, on energies or on energies and forces.

Minimises ρᵀρ + Σ decay W² with ρ the weighted residuals of the mean-square loss, and one decay for all
weights or one for each group of them, see `evidence_decay`; kinds of rows may have an emphasis, see
`evidence_noise`, on which the loss of training depends, but not that of validation. JᵀJ and Jᵀρ are
accumulated in blocks, so memory does not grow with the set. The state is a dictionary of plain arrays.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aenet_gpr_cli.ann.curvature.linearise import count_rows, fewer_rows, linearise
from aenet_gpr_cli.ann.execution import portions
from aenet_gpr_cli.ann.execution.surroundings import State, Surroundings
from aenet_gpr_cli.ann.execution.workspace import Workspace, Workspaces
from aenet_gpr_cli.ann.loss.loss_terms import KINDS
from aenet_gpr_cli.ann.loss.objective import Objective
from aenet_gpr_cli.ann.network.architecture import Architecture
from aenet_gpr_cli.ann.network.backend import CompiledPasses
from aenet_gpr_cli.ann.optimisers.adamw import Outcome
from aenet_gpr_cli.ann.optimisers.course import no_longer_gains, still_learning
from aenet_gpr_cli.ann.optimisers.damped_step import Linearisation, Step, descend
from aenet_gpr_cli.ann.optimisers.evidence_decay import FIRST_DECAY, Evidence, groups, is_due
from aenet_gpr_cli.ann.optimisers.evidence_noise import Noises
from aenet_gpr_cli.ann.training_settings import LevenbergMarquardt
from aenet_gpr_cli.structures import FloatArray, IntArray

SMALL_WORK = 3e8  # multiplications of an iteration below which members are treated as a batch
CURVES = ("training_loss", "validation_loss", "gain")  # of the state: a row for each iteration


def start(weights: FloatArray, architecture: Architecture, settings: LevenbergMarquardt) -> State:
    """Return the state of a run that has not begun, from weights of shape (n_members, n_weights)."""
    members, damping = len(weights), settings.damping
    decay = FIRST_DECAY if settings.regularisation == "evidence" else settings.weight_decay
    return {
        "weights": weights.copy(),
        "best_weights": weights.copy(),
        "best_loss": np.full(members, np.inf),
        "damping": np.full(members, damping),
        "decay": np.full((members, architecture.n_layers), decay),
        "emphasis": np.ones((members, len(KINDS))),
        "wait": np.zeros(members, int),
        "stalled": np.zeros(members, bool),
        "settled": np.zeros(members, bool),
        "iteration": np.zeros(members, int),
        "extra": np.zeros(members, int),
        "learning": np.zeros(members, bool),
        "training_loss": np.zeros((0, members)),
        "validation_loss": np.zeros((0, members)),
        "gain": np.zeros((0, members)),
    }


def run_levenberg_marquardt(
    objective: Objective,
    train: Tensor,
    held_out: Tensor,
    settings: LevenbergMarquardt,
    members_at_once: int,
    state: State,
    around: Surroundings,
    until: int | None = None,
) -> Outcome:
    """Train a committee by Levenberg-Marquardt.

    Parameters
    ----------
    objective : Objective
        With mean-square loss, float64.
    train, held_out : tensors of int, ascending
        Structures to train on, and to validate on. Without any held out the training loss is used.
    members_at_once : int
        Members whose matrices memory holds at a time. As many threads share the members where that pays;
        else they form batches, one after another.
    state : dict of str to ndarray
        Of `start`, or of an earlier run.
    until : int, optional
        Iteration at which to stop for now. Members that are still learning there go on, ``extra`` of the
        state, as far as settings allow.

    Notes
    -----
    Memory: two matrices of n_weights² per member treated at once (two more than kinds of rows where noises
    are by evidence), and a few blocks of rows, kept over the iterations.
    Time per iteration and member: about rows · n_weights² + n_weights³/3 multiplications.
    """
    members = len(state["weights"])
    of_old = {"settled": np.zeros(members, bool), "extra": np.zeros(members, int)}
    state = of_old | {k: v.copy() for k, v in state.items()}
    state |= {key: _padded(state[key], _most(settings)) for key in CURVES}
    known = noises = None
    if settings.regularisation == "evidence":
        known = Evidence.of(objective, train, members, settings.smallest_noise)
        if objective.loss.balance == "evidence":
            noises = Noises.of(objective, train, members, settings.smallest_noise)
    finished, last = True, settings.iterations if until is None else until
    threads = _threads_pay(objective, train)
    by_rows = settings.scaling == "identity" and fewer_rows(objective, train)
    workspaces = Workspaces()
    with portions.workers(members_at_once) if threads else portions.alone() as each:

        def iterate(some: IntArray) -> None:
            with workspaces.one() as room:
                _iterate(objective, train, held_out, settings, known, noises, state, some, by_rows, room)

        together = members if threads else members_at_once
        for first in range(0, members, together):
            chunk = np.arange(first, min(first + together, members))
            while (active := chunk[_goes_on(state, settings, known, noises, last)[chunk]]).size:
                if around.asked_to_stop():
                    finished = False
                    break
                each(iterate, np.split(active, len(active)) if threads else [active])
                if around.keep is not None:
                    around.keep(lambda: _snapshot(state))
                if around.progress is not None:
                    around.progress(*_report(objective, state, settings, chunk, last))
            if not finished:
                break
    # a training shorter than a window is judged by all of it
    shorter = replace(settings, window=max(1, min(settings.window, int(state["iteration"].min()))))
    state["learning"] = _still_learning(state, shorter, known, noises)
    state["learning"] &= _active(state, settings, last=1 + int(state["iteration"].max()))
    state = _snapshot(state)
    return Outcome(state["best_weights"], state["training_loss"], state["validation_loss"], state, finished)


def _threads_pay(objective: Objective, train: Tensor) -> bool:
    """Return whether each member is worth a thread of its own.

    Compiled passes gain nothing from a batch of members unless these are so small that calls take the time.
    Sums over processes cannot be made in threads.
    """
    if not isinstance(objective.passes, CompiledPasses) or objective.processes.size > 1:
        return False
    rows, width = count_rows(objective, train), objective.architecture.n_weights
    return width**2 * (rows + width) > SMALL_WORK


def _report(
    objective: Objective, state: State, settings: LevenbergMarquardt, chunk: IntArray, last: int
) -> tuple[int, int, str]:
    """Return the arguments of progress while the members ``chunk`` are trained."""
    members = len(state["weights"])
    ends = last + state["extra"]
    done = int(np.where(_active(state, settings, last), state["iteration"], ends).sum())
    named = f"member {chunk[0] + 1}" if len(chunk) == 1 else f"members {chunk[0] + 1} to {chunk[-1] + 1}"
    message = f"{named} of {members}: {objective.error_text(float(state['best_loss'][chunk].mean()))}"
    return done, members * settings.iterations + int(state["extra"].sum()), message


def _snapshot(state: State) -> State:
    """Return a copy without the rows of iterations that have not been."""
    longest = int(state["iteration"].max(initial=0))
    curves = {key: state[key][:longest].copy() for key in CURVES}
    return {key: values.copy() for key, values in state.items()} | curves


def _active(state: State, settings: LevenbergMarquardt, last: int) -> NDArray[np.bool_]:
    return np.asarray(
        (state["iteration"] < last + state["extra"])
        & (state["wait"] < settings.patience)
        & ~state["stalled"].astype(bool)
        & ~no_longer_gains(state, settings)
    )


def _goes_on(
    state: State, settings: LevenbergMarquardt, known: Evidence | None, noises: Noises | None, last: int
) -> NDArray[np.bool_]:
    """Return which members have another iteration; those that are still learning are given some more."""
    ended = state["iteration"] >= last + state["extra"]
    if ended.any():
        some = ended & _still_learning(state, settings, known, noises)
        state["extra"][some & _active(state, settings, _most(settings))] += settings.window
        state["extra"] = np.minimum(state["extra"], _most(settings) - settings.iterations)
    return _active(state, settings, last)


def _still_learning(
    state: State, settings: LevenbergMarquardt, known: Evidence | None, noises: Noises | None
) -> NDArray[np.bool_]:
    """See `course.still_learning`; without evidence nothing says so."""
    if known is None:
        return np.zeros(len(state["weights"]), bool)
    return still_learning(state, settings, _spread(known, noises, state).cpu().numpy())


def _most(settings: LevenbergMarquardt) -> int:
    return int(settings.extension * settings.iterations)


def _spread(known: Evidence, noises: Noises | None, state: State) -> Tensor:
    """Return the loss of networks that predict nothing, (n_members,), with the emphasis there is."""
    if noises is None:
        return known.spread
    return (torch.as_tensor(state["emphasis"], device=noises.spread.device) * noises.spread).sum(1)


def _iterate(
    objective: Objective,
    train: Tensor,
    held_out: Tensor,
    settings: LevenbergMarquardt,
    known: Evidence | None,
    noises: Noises | None,
    state: State,
    active: IntArray,
    by_rows: bool,
    room: Workspace,
) -> None:
    """Do one linearisation for the members ``active``, and up to ``trials`` steps from it."""
    device = objective.data.energies.device
    plain = objective = objective.for_members(active)
    # a copy in torch's aligned memory: BLAS may round differently for others, and a resumed run must not
    weights = torch.tensor(state["weights"][active], device=device)
    places, kinds = groups(objective.architecture, device), (0,) if noises is None else noises.kinds
    if noises is not None:
        objective = replace(objective, emphasis=torch.tensor(state["emphasis"][active], device=device))
    curvature, gradient = linearise(objective, weights, train, places, kinds, by_rows, room)
    here = Linearisation.at(objective, weights, train, curvature, gradient)
    new = torch.as_tensor(state["decay"][active], device=device)
    settled = torch.ones_like(here.loss, dtype=torch.bool)
    if known is not None:
        new, settled = _estimate(known, noises, state, active, here, new)
    decay = new[:, places]
    damping = torch.as_tensor(state["damping"][active], device=device)
    step = descend(objective, train, here, decay, damping, settings)
    check = step.loss
    if len(held_out):
        check = plain.mean_square(plain.residuals(step.weights, held_out))
    _record(state, active, step, check, bool(len(held_out)), known is not None)
    stalled = (step.gain <= settings.tolerance) & settled
    state["decay"][active] = new.cpu().numpy()
    state["damping"][active] = step.damping.cpu().numpy()
    state["stalled"][active] = stalled.cpu().numpy()
    state["settled"][active] = settled.cpu().numpy()


def _estimate(
    known: Evidence,
    noises: Noises | None,
    state: State,
    active: IntArray,
    here: Linearisation,
    old: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return decays, new ones where it is time, and of which members they are settled; set the emphasis."""
    device, curvature, spread = old.device, here.curvature, _spread(known, noises, state)[active]
    before = torch.as_tensor(state["settled"][active], device=device)
    due = is_due(here.loss, spread, state["iteration"][active], before, len(curvature.losses))
    if not bool(due.any()):
        return old, before
    found = curvature.determined(known.damping(curvature, old))
    new, settled = known.decays(curvature, found.by_group, here.weights, here.loss, old, active, spread)
    if noises is not None:
        emphasis = torch.tensor(state["emphasis"][active], device=device)
        following, steady = noises.emphasis(curvature.losses, found.by_kind, emphasis, active)
        if "most_trust" in state:
            most = torch.tensor(state["most_trust"][active], device=device) * following[:, 0]
            following[:, 1] = torch.minimum(following[:, 1], most)
        state["emphasis"][active] = torch.where(due[:, None], following, emphasis).cpu().numpy()
        settled = settled & steady
    return torch.where(due[:, None], new, old), torch.where(due, settled, before)


def _record(
    state: State,
    active: IntArray,
    step: Step,
    check: Tensor,
    validated: bool,
    regularised: bool,
) -> None:
    values, current = check.cpu().numpy(), step.weights.cpu().numpy()
    state["weights"][active] = current
    better = values < state["best_loss"][active]
    if regularised and not validated:  # the least training loss is not the most probable one
        better = np.isfinite(values)
    state["best_weights"][active[better]] = current[better]
    state["best_loss"][active[better]] = values[better]
    state["wait"][active] = np.where(better, 0, state["wait"][active] + 1)
    row = state["iteration"][active]
    state["training_loss"][row, active] = step.loss.cpu().numpy()
    state["gain"][row, active] = step.gain.cpu().numpy()
    state["validation_loss"][row, active] = values if validated else np.nan
    state["iteration"][active] += 1


def _padded(curve: FloatArray, length: int) -> FloatArray:
    full = np.full((max(length, len(curve)), curve.shape[1]), np.nan)
    full[: len(curve)] = curve
    return full
