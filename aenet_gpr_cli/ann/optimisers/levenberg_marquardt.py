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
from aenet_gpr_cli.ann.optimisers.damped_step import Linearisation, Step, descend
from aenet_gpr_cli.ann.optimisers.evidence_decay import FIRST_DECAY, Evidence, groups, is_due
from aenet_gpr_cli.ann.optimisers.evidence_noise import Noises
from aenet_gpr_cli.ann.training_settings import LevenbergMarquardt
from aenet_gpr_cli.structures import FloatArray, IntArray

SMALL_WORK = 3e8  # multiplications of an iteration below which members are treated as a batch
NOISY = 2.0  # labels of copies against energies of references: from here on they help little
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
        Iteration at which to stop for now.

    Notes
    -----
    Memory: two matrices of n_weights² per member treated at once (two more than kinds of rows where noises
    are by evidence), and a few blocks of rows, kept over the iterations.
    Time per iteration and member: about rows · n_weights² + n_weights³/3 multiplications.
    """
    state = {"settled": np.zeros(len(state["weights"]), bool)} | {k: v.copy() for k, v in state.items()}
    state |= {key: _padded(state[key], settings.iterations) for key in CURVES}
    members = len(state["weights"])
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
            while (active := chunk[_active(state, settings, last)[chunk]]).size:
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
    done = int(np.where(_active(state, settings, last), state["iteration"], last).sum())
    named = f"member {chunk[0] + 1}" if len(chunk) == 1 else f"members {chunk[0] + 1} to {chunk[-1] + 1}"
    message = f"{named} of {members}: {objective.error_text(float(state['best_loss'][chunk].mean()))}"
    return done, members * settings.iterations, message


def _snapshot(state: State) -> State:
    """Return a copy without the rows of iterations that have not been."""
    longest = int(state["iteration"].max(initial=0))
    curves = {key: state[key][:longest].copy() for key in CURVES}
    return {key: values.copy() for key, values in state.items()} | curves


def _active(state: State, settings: LevenbergMarquardt, last: int) -> FloatArray:
    return (
        (state["iteration"] < last)
        & (state["wait"] < settings.patience)
        & ~state["stalled"].astype(bool)
        & ~_no_longer_gains(state, settings)
    )


def _no_longer_gains(state: State, settings: LevenbergMarquardt) -> NDArray[np.bool_]:
    """Return of which members, an array of bool, the cost fell by too little in the last iterations."""
    done = np.zeros(len(state["weights"]), bool)
    for member, iteration in enumerate(state["iteration"]):
        if iteration >= settings.window:
            left = np.prod(1.0 - state["gain"][iteration - settings.window : iteration, member])
            done[member] = 1.0 - left < settings.window_gain
    return done


def early_ends(state: State, settings: LevenbergMarquardt) -> str:
    """Say in words how many members ended before their last iteration, and why; empty if none did."""
    early = state["iteration"] < settings.iterations
    waited, slow = state["wait"] >= settings.patience, _no_longer_gains(state, settings)
    stalled = state["stalled"].astype(bool)
    reasons = {
        f"no better validation error in {settings.patience} iterations (patience)": waited,
        f"a training error that fell by less than {100 * settings.window_gain:g} % in {settings.window} "
        "iterations (window_gain)": slow & ~waited,
        "a training error that falls no more (tolerance)": stalled & ~slow & ~waited,
    }
    counts = {reason: int((early & which).sum()) for reason, which in reasons.items()}
    return "; ".join(f"{n} of {len(early)} ended early: {reason}" for reason, n in counts.items() if n)


def trust_in_copies(state: State) -> str:
    """Say in words how noisy the energies of copies are by evidence; empty before there is any."""
    if (state["emphasis"][:, 0] == 1.0).any():
        return ""
    trust = state["emphasis"][:, 1] / state["emphasis"][:, 0]
    ratio, most = float(np.median(trust)) ** -0.5, state.get("most_trust", np.full(len(trust), np.inf))
    times = float(np.median(most)) ** -0.5
    off = f"on structures left out the process errs {times:.2g} times as much as the networks do"
    if state.get("without_copies", np.zeros(1, bool)).any():
        return f"copies: left out, for together they would count less than the references: {off}"
    if np.median(trust / most) > 0.99:
        return f"copies: each counts {ratio**-2:.2g} of a reference: {off}"
    count = f"copies: by evidence each counts {ratio**-2:.2g} of a reference"
    if ratio <= NOISY:
        return f"{count}: their labels are as good as what the networks reach"
    return f"{count}: their labels are {ratio:.2g} times as noisy as what the networks reach on references"


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
    device, curvature, spread = old.device, here.curvature, known.spread[active]
    if noises is not None:
        emphasis = torch.tensor(state["emphasis"][active], device=device)
        spread = (emphasis * noises.spread[active]).sum(1)
    before = torch.as_tensor(state["settled"][active], device=device)
    due = is_due(here.loss, spread, state["iteration"][active], before)
    if not bool(due.any()):
        return old, before
    found = curvature.determined(known.damping(curvature, old))
    new, settled = known.decays(curvature, found.by_group, here.weights, here.loss, old, active, spread)
    if noises is not None:
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
