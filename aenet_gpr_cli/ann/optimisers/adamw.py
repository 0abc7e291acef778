"""AdamW for a committee: reshuffled seeded batches, early stopping and best weights per member.

Decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101). The state is a dictionary of plain
arrays: a run that continues from it gives the same weights as one that was never interrupted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.ann.execution.surroundings import State, Surroundings
from aenet_gpr_cli.ann.loss.objective import Objective
from aenet_gpr_cli.ann.training_settings import AdamW
from aenet_gpr_cli.structures import FloatArray, IntArray

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # the usual constants, and those of ænet-PyTorch


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of an optimiser.

    Attributes
    ----------
    weights : ndarray of shape (n_members, n_weights)
        The best of each member.
    training_loss, validation_loss : ndarray of shape (n_steps, n_members)
        Per epoch or iteration, dimensionless; NaN after a member has stopped, and in the validation
        loss where nothing was held out.
    state : dict of str to ndarray
        To continue from.
    finished : bool
        False if stopped from outside.
    """

    weights: FloatArray
    training_loss: FloatArray
    validation_loss: FloatArray
    state: State
    finished: bool


def start(weights: FloatArray) -> State:
    """Return the state of a run that has not begun, from weights of shape (n_members, n_weights)."""
    members = len(weights)
    return {
        "weights": weights.copy(),
        "first_moment": np.zeros_like(weights),
        "second_moment": np.zeros_like(weights),
        "best_weights": weights.copy(),
        "best_loss": np.full(members, np.inf),
        "wait": np.zeros(members, int),
        "epoch": np.array(0),
        "steps": np.array(0),
        "training_loss": np.zeros((0, members)),
        "validation_loss": np.zeros((0, members)),
    }


def run_adamw(
    objective: Objective,
    train: Tensor,
    held_out: Tensor,
    apart: int,
    settings: AdamW,
    seed: int,
    state: State,
    around: Surroundings,
) -> Outcome:
    """Train a committee by AdamW.

    Parameters
    ----------
    train, held_out : tensors of int, ascending
        Structures to train on, and to validate on. Without any held out the training loss is used.
    apart : int
        So many of the first structures of ``train`` are spread evenly over the batches; 0: no difference.
    seed : int
        Of the order of the batches, the same for all members.
    state : dict of str to ndarray
        Of `start`, or of an earlier run.
    """
    dtype, device = objective.data.energies.dtype, objective.data.energies.device
    arrays = {k: torch.tensor(v, dtype=dtype, device=device) for k, v in state.items() if k in _MOVING}
    best, best_loss, wait = (state[k].copy() for k in ("best_weights", "best_loss", "wait"))
    curves = [list(state["training_loss"]), list(state["validation_loss"])]
    epoch, steps = int(state["epoch"]), int(state["steps"])
    finished = True

    def snapshot() -> State:
        return {k: v.double().cpu().numpy().copy() for k, v in arrays.items()} | {
            "best_weights": best.copy(),
            "best_loss": best_loss.copy(),
            "wait": wait.copy(),
            "epoch": np.array(epoch),
            "steps": np.array(steps),
            "training_loss": np.array(curves[0]).reshape(epoch, len(best)),
            "validation_loss": np.array(curves[1]).reshape(epoch, len(best)),
        }

    while epoch < settings.epochs and (wait < settings.patience).any():
        if around.asked_to_stop():
            finished = False
            break
        rate = _learning_rate(settings, epoch)
        order = shuffled(len(train), apart, [seed, 2, epoch])
        loss, steps = _epoch(
            objective, train[torch.as_tensor(order, device=device)], settings, rate, arrays, steps
        )
        check = loss
        if len(held_out):
            check = objective.sums(arrays["weights"], held_out).loss(objective.loss).double().cpu().numpy()
        active = wait < settings.patience
        better = active & (check < best_loss)
        best[better] = arrays["weights"].double().cpu().numpy()[better]
        best_loss = np.where(better, check, best_loss)
        wait = np.where(better, 0, wait + 1)
        curves[0].append(np.where(active, loss, np.nan))
        curves[1].append(np.where(active & bool(len(held_out)), check, np.nan))
        epoch += 1
        if around.keep is not None:
            around.keep(snapshot)
        if around.progress is not None:
            message = f"training: best {objective.error_text(float(best_loss.mean()))}"
            around.progress(epoch, settings.epochs, message)
    result = snapshot()
    return Outcome(best, result["training_loss"], result["validation_loss"], result, finished)


def shuffled(n: int, apart: int, stream: list[int]) -> IntArray:
    """Return n structures in random order.

    Parameters
    ----------
    apart : int
        The first ones so many, such as the few with forces among copies without, come at even distances, so
        that each batch holds its share of them: its forces then weigh what they weigh in the loss of all.
    stream : list of int
        Seed.
    """
    rng = np.random.default_rng(stream)
    if apart in (0, n):
        return rng.permutation(n)
    places = np.concatenate([(rng.permutation(k) + rng.random()) / k for k in (apart, n - apart)])
    return np.argsort(places, kind="stable")


_MOVING = ("weights", "first_moment", "second_moment")


def _epoch(
    objective: Objective,
    ordered: Tensor,
    settings: AdamW,
    rate: float,
    arrays: dict[str, Tensor],
    steps: int,
) -> tuple[FloatArray, int]:
    """Go once through the training structures; return the mean loss of the batches and the step count."""
    gradient = torch.empty_like(arrays["weights"])
    total = arrays["weights"].new_zeros(len(gradient))
    for part in ordered.split(settings.batch_size):
        sums = objective.gradient(arrays["weights"], part, gradient)
        total += sums.loss(objective.loss) * len(part)
        steps += 1
        _step(arrays, gradient, rate, settings.weight_decay, steps)
    return (total / len(ordered)).double().cpu().numpy(), steps


def _step(arrays: dict[str, Tensor], gradient: Tensor, rate: float, decay: float, steps: int) -> None:
    weights, first, second = (arrays[k] for k in _MOVING)
    first.lerp_(gradient, 1.0 - BETA1)
    second.mul_(BETA2).addcmul_(gradient, gradient, value=1.0 - BETA2)
    weights.mul_(1.0 - rate * decay)
    root = (second / (1.0 - BETA2**steps)).sqrt_().add_(EPSILON)
    weights.addcdiv_(first, root, value=-rate / (1.0 - BETA1**steps))


def _learning_rate(settings: AdamW, epoch: int) -> float:
    if settings.schedule == "constant":
        return settings.learning_rate
    return settings.learning_rate * 0.5 * (1.0 + float(np.cos(np.pi * epoch / settings.epochs)))
