"""Several initial weights per member for Levenberg-Marquardt; after a few iterations the best goes on.

Where a run ends depends more on where it began than on its last iterations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from torch import Tensor

from aenet_gpr_cli.ann.loss.objective import Objective
from aenet_gpr_cli.ann.optimisers import levenberg_marquardt
from aenet_gpr_cli.ann.optimisers.adamw import Outcome, Snapshot, State
from aenet_gpr_cli.ann.optimisers.levenberg_marquardt import LevenbergMarquardtSettings
from aenet_gpr_cli.progress import Progress

_CURVES = ("training_loss", "validation_loss")


def minimise(
    objective: Objective,
    train: Tensor,
    held_out: Tensor,
    settings: LevenbergMarquardtSettings,
    members: int,
    members_at_once: int,
    state: State,
    progress: Progress | None,
    stop: Callable[[], bool] | None,
    keep: Callable[[Snapshot], None] | None = None,
) -> Outcome:
    """Train a committee by Levenberg-Marquardt, with the best of several initial weights for each member.

    Parameters
    ----------
    objective, train, held_out, settings, members_at_once, progress, stop, keep
        As for `levenberg_marquardt.minimise`.
    members : int
        Number of members.
    state : dict of str to ndarray
        Of `levenberg_marquardt.start` with ``restarts`` candidates per member, one after another, or of an
        earlier run.

    Returns
    -------
    Outcome
        Of the candidates if stopped before the best were chosen, else of the members.
    """
    rest = (members_at_once, state, progress, stop, keep)
    if len(state["weights"]) > members:
        short = replace(settings, iterations=settings.restart_iterations)
        everyone = objective.for_members(np.repeat(np.arange(members), settings.restarts))
        outcome = levenberg_marquardt.minimise(everyone, train, held_out, short, *rest)
        if not outcome.finished:
            return outcome
        rest = (members_at_once, best_candidates(outcome.state, members), progress, stop, keep)
    return levenberg_marquardt.minimise(objective, train, held_out, settings, *rest)


def best_candidates(state: State, members: int) -> State:
    """Return the state of the candidates with the best loss, one per member.

    Parameters
    ----------
    state : dict of str to ndarray
        Of all candidates, member by member.
    members : int

    Returns
    -------
    dict of str to ndarray
    """
    loss = state["best_loss"].reshape(members, -1)
    rows = np.arange(members) * loss.shape[1] + np.where(np.isnan(loss), np.inf, loss).argmin(1)
    return {key: values[:, rows] if key in _CURVES else values[rows] for key, values in state.items()}
