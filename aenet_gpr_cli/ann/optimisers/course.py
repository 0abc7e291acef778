"""The course of a training by Levenberg-Marquardt: which members still learn, how they ended, in words.

All of it is read off the state, see `levenberg_marquardt.start`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.ann.execution.surroundings import State
from aenet_gpr_cli.ann.training_settings import LevenbergMarquardt
from aenet_gpr_cli.structures import FloatArray

FAR, NEAR = 1e-2, 1e-4  # loss, of that of networks that predict nothing …
SLOWLY, FAST = 0.1, 0.6  # … and fall in a window from which on a network there still learns
NOISY = 2.0  # labels of copies against energies of references: from here on they help little


def still_learning(state: State, settings: LevenbergMarquardt, spread: FloatArray) -> NDArray[np.bool_]:
    """Return which members are not near to the data yet and on their way, an array of bool.

    The nearer they are, the faster the loss has to fall: logarithmically between FAR and NEAR.

    Parameters
    ----------
    spread : ndarray of shape (n_members,)
        Loss of networks that predict nothing.
    """
    row = np.maximum(state["iteration"] - 1, 0)
    if not len(state["training_loss"]):
        return np.zeros(len(row), bool)
    level = state["training_loss"][row, np.arange(len(row))] / spread
    needed = np.interp(np.log(level), np.log([NEAR, FAR]), [FAST, SLOWLY])
    return np.asarray((level > NEAR) & (fall_of(state, settings) > needed))


def fall_of(state: State, settings: LevenbergMarquardt) -> FloatArray:
    """Return by what part the cost of each member fell in the last window, NaN before there was one."""
    fall = np.full(len(state["weights"]), np.nan)
    for member, iteration in enumerate(state["iteration"]):
        if iteration >= settings.window:
            fall[member] = 1.0 - np.prod(1.0 - state["gain"][iteration - settings.window : iteration, member])
    return fall


def no_longer_gains(state: State, settings: LevenbergMarquardt) -> NDArray[np.bool_]:
    """Return of which members, an array of bool, the cost fell by too little in the last iterations."""
    return np.asarray(fall_of(state, settings) < settings.window_gain)


def early_ends(state: State, settings: LevenbergMarquardt) -> str:
    """Say in words how many members ended before their last iteration, and why; empty if none did."""
    early = state["iteration"] < settings.iterations
    waited, slow = state["wait"] >= settings.patience, no_longer_gains(state, settings)
    stalled = state["stalled"].astype(bool)
    reasons = {
        f"no better validation error in {settings.patience} iterations (patience)": waited,
        f"a training error that fell by less than {100 * settings.window_gain:g} % in {settings.window} "
        "iterations (window_gain)": slow & ~waited,
        "a training error that falls no more (tolerance)": stalled & ~slow & ~waited,
    }
    counts = {reason: int((early & which).sum()) for reason, which in reasons.items()}
    return "; ".join(f"{n} of {len(early)} ended early: {reason}" for reason, n in counts.items() if n)


def went_on(state: State) -> str:
    """Say in words how many members had more iterations than were asked for; empty if none did."""
    more = int((state["extra"] > 0).sum())
    if not more:
        return ""
    last = int(state["iteration"].max())
    return f"{more} of {len(state['extra'])} still learnt and went on, up to iteration {last} (extension)"


def not_learnt(state: State) -> str:
    """Say in words how many members still learnt when they had to end; empty if none did."""
    count = int(state["learning"].sum())
    if not count:
        return ""
    return (
        f"{count} of {len(state['learning'])} had not learnt the training data after "
        f"{int(state['iteration'].max())} iterations, their errors still fell: raise "
        "levenberg_marquardt.iterations"
    )


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
