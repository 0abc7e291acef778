"""Combined training by evidence in three phases: few forces of the references, all of them, then copies, too.

A network that starts on all at once adapts to the errors of labels while its own are larger, and then keeps
them: noises by evidence are a fixed point, and what a smooth process errs by is easy to learn. So networks
first learn what is known for sure. What copies count begins with the residuals of networks that have not
seen them, and never exceeds (e/e_process)², with e and e_process the median errors of a network and of the
process on references left out of their training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.ann.execution.surroundings import State, Surroundings
from aenet_gpr_cli.ann.loss.loss_terms import KINDS
from aenet_gpr_cli.ann.loss.objective import Objective
from aenet_gpr_cli.ann.optimisers.adamw import Outcome
from aenet_gpr_cli.ann.optimisers.laplace import LeftOut, laplace
from aenet_gpr_cli.ann.optimisers.levenberg_marquardt import run_levenberg_marquardt
from aenet_gpr_cli.ann.training_settings import LevenbergMarquardt
from aenet_gpr_cli.structures import FloatArray

FEW_COMPONENTS = 2.0  # for each weight: fewer do not determine it
ENDS = (0.4, 0.6, 1.0)  # of the phases, in parts of all iterations
ALMOST_ALL = 0.75  # of the forces: fewer save too little
FEWEST = 10  # iterations that are worth phases
REFERENCES, COPIES = KINDS.index("reference energies"), KINDS.index("energies of copies")


@dataclass(frozen=True, slots=True)
class Rows:
    """What a phase trains and validates on: structures, ascending, and an objective that has the forces."""

    objective: Objective
    train: Tensor
    held_out: Tensor

    def count(self, members: int) -> FloatArray:
        """Return the rows of each kind, (n_members, n_kinds)."""
        return self.objective.rows_by_kind(self.train).expand(members, -1).cpu().numpy()


def run_in_phases(
    few_forces: Callable[[], Objective],
    all_forces: Objective,
    train: Tensor,
    held_out: Tensor,
    settings: LevenbergMarquardt,
    members_at_once: int,
    n_references: int,
    label_error: float | None,
    state: State,
    around: Surroundings,
) -> Outcome:
    """Train a committee on forces of references and energies of copies; see `run_levenberg_marquardt`.

    Parameters
    ----------
    few_forces : callable
        Makes the objective of the first phase.
    all_forces : Objective
        Of the others.
    n_references : int
        Structures before the first copy, over all processes.
    label_error : float, eV, or None
        Median error of the labelling process on structures left out of its fit, where it is known.
    """
    members = len(state["weights"])
    new = {"phase": np.zeros(members, int), "most_trust": np.full(members, np.inf)}
    state = new | {"without_copies": np.zeros(members, bool)} | state
    own = train[train < n_references], held_out[held_out < n_references]
    before = np.zeros(0)
    for phase in range(int(state["phase"].min()), len(ENDS)):
        objective = all_forces if phase else few_forces()
        last = phase == len(ENDS) - 1
        rows = Rows(objective, *((train, held_out) if last and not state["without_copies"].any() else own))
        if phase > state["phase"].min():
            handed = _handed_over(state, before, rows.count(members))
            if last:
                handed |= _first_trust(state, handed["emphasis"], rows, own[0], settings, label_error)
                if _count_little(handed["most_trust"], rows.count(members)):
                    rows = Rows(objective, *own)
                    left_out = {"without_copies": np.ones(members, bool), "most_trust": handed["most_trust"]}
                    handed = _handed_over(state, before, rows.count(members)) | left_out
            state = handed
        until = round(ENDS[phase] * settings.iterations)
        outcome = run_levenberg_marquardt(
            objective, rows.train, rows.held_out, settings, members_at_once, state, around, until
        )
        if not outcome.finished:
            break
        state, before = outcome.state, rows.count(members)
    return outcome


def _handed_over(state: State, before: FloatArray, after: FloatArray) -> State:
    """Return the state with which the next phase begins, which has so many rows of each kind.

    A row goes on to weigh what it did: its share in the loss is the emphasis of its kind over their number,
    where energies count together. Errors of another phase are not compared with.
    """
    before, after = (_counted_together(rows) for rows in (before, after))
    ratio = np.divide(after, before, out=np.ones_like(after), where=before > 0)
    members = len(state["weights"])
    return state | {
        "emphasis": state["emphasis"] * ratio,
        "phase": state["phase"] + 1,
        "stalled": np.zeros(members, bool),
        "settled": np.zeros(members, bool),
        "wait": np.zeros(members, int),
        "best_loss": np.where(np.isfinite(state["best_loss"]), np.finfo(float).max, np.inf),
        "gain": np.full_like(state["gain"], np.nan),
    }


def _count_little(most_trust: FloatArray, rows: FloatArray) -> bool:
    """Return whether copies may count less than the energies of their references, for most members."""
    return bool(np.median(most_trust * rows[:, COPIES] / rows[:, REFERENCES]) < 1.0)


def _counted_together(rows: FloatArray) -> FloatArray:
    energies = rows[:, REFERENCES] + rows[:, COPIES]
    result = rows.copy()
    result[:, REFERENCES] = result[:, COPIES] = energies
    return result


def _first_trust(
    state: State,
    emphasis: FloatArray,
    rows: Rows,
    own: Tensor,
    settings: LevenbergMarquardt,
    label_error: float | None,
) -> State:
    """Return the emphasis with that of copies, and the most that these may count of a reference.

    Parameters
    ----------
    state : dict of str to ndarray
        With which the phase without copies ended.
    emphasis : ndarray of shape (n_members, n_kinds)
        Handed over.
    own : tensor of int, ascending
        References among the structures that are trained on.
    """
    emphasis, most, train = emphasis.copy(), state["most_trust"].copy(), rows.train
    for member in np.flatnonzero(np.isfinite(state["best_loss"])):
        one = rows.objective.for_members(np.array([member]))
        weights, ended, decay = (
            torch.tensor(state[key][[member]], device=train.device)
            for key in ("weights", "emphasis", "decay")
        )
        known, copies = replace(one, emphasis=ended), torch.zeros_like(ended)
        copies[:, COPIES] = 1.0
        labels = replace(one, emphasis=copies)
        noise = known.mean_square(known.residuals(weights, own)) / known.rows_by_kind(own).sum(1)
        error = labels.mean_square(labels.residuals(weights, train)) / one.rows_by_kind(train)[:, COPIES]
        if label_error:
            left_out = LeftOut.alone(own.cpu().numpy())
            found = laplace(known, weights, decay, own, settings.smallest_noise, left_out)
            if found is not None and len(found.errors):
                off = float(np.median(np.abs(found.errors))) * one.energy_scale
                most[member] = (off / label_error) ** 2
        emphasis[member, COPIES] = min(float(noise / error), most[member] * emphasis[member, REFERENCES])
    return {"emphasis": emphasis, "most_trust": most}
