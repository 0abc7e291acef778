"""One step of Levenberg-Marquardt for several members, along a path of second order (Transtrum and Sethna).

The cost is ρᵀρ + Σ decay W². Where the end of the path does not lower it, points nearer to its beginning are
tried, which cost neither rows nor a factorisation, and only then more damping. The next damping follows from
how much of the fall that the linear model predicts was found (Marquardt's rule).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.ann.curvature.interface import Curvature, Solver
from aenet_gpr_cli.ann.loss.objective import Objective
from aenet_gpr_cli.ann.training_settings import LevenbergMarquardt

PARTS = (1.0, 0.5, 0.25)  # of the path, tried with one damping
GOOD, FAIR = 0.75, 0.25  # fall of the cost against the predicted one, from here on
AFTER_GOOD, AFTER_FAIR, AFTER_BAD = 0.1, 1.0 / 3.0, 2.0  # factor of the next damping
PROBE = 0.1  # part of the step over which residuals are differenced
MAX_CORRECTION = 0.75  # of the step: beyond it the expansion is not trusted


@dataclass(frozen=True, slots=True)
class Linearisation:
    """The loss of several members about their weights.

    Attributes
    ----------
    weights : tensor of shape (n_members, n_weights)
    curvature : Curvature
        JᵀJ.
    gradient : tensor of shape (n_members, n_weights)
        Jᵀρ.
    residuals : tensor of shape (n_members, n_residuals)
        ρ, of the structures held here.
    loss : tensor of shape (n_members,)
        ρᵀρ.
    """

    weights: Tensor
    curvature: Curvature
    gradient: Tensor
    residuals: Tensor
    loss: Tensor

    @classmethod
    def at(
        cls, objective: Objective, weights: Tensor, train: Tensor, curvature: Curvature, gradient: Tensor
    ) -> Linearisation:
        """Take the residuals of the structures ``train`` beside what `curvature.linearise` found."""
        residuals = objective.residuals(weights, train)
        # the loss is rounded as that of the trials
        return cls(weights, curvature, gradient, residuals, objective.mean_square(residuals))


@dataclass(slots=True)
class Best:
    """The first trial of one linearisation that lowers the cost, per member; where it began, until one does.

    ``factor``, (n_members,), is that of its damping for the next step.
    """

    weights: Tensor
    cost: Tensor
    loss: Tensor
    damping: Tensor
    factor: Tensor

    def take(self, which: Tensor, other: Best) -> None:
        """Replace the members ``which``, of shape (n_members,)."""
        for name in self.__slots__:
            getattr(self, name)[which] = getattr(other, name)[which]


@dataclass(frozen=True, slots=True)
class Step:
    """Where a step ended; what it started from, if no damping lowered the cost.

    Attributes
    ----------
    weights : tensor of shape (n_members, n_weights)
    loss : tensor of shape (n_members,)
    gain : tensor of shape (n_members,)
        Fraction by which the cost fell.
    damping : tensor of shape (n_members,)
        For the next step, relative as it was given.
    """

    weights: Tensor
    loss: Tensor
    gain: Tensor
    damping: Tensor


def descend(
    objective: Objective,
    train: Tensor,
    here: Linearisation,
    decay: Tensor,
    damping: Tensor,
    settings: LevenbergMarquardt,
) -> Step:
    """Take the first step that lowers the cost.

    Parameters
    ----------
    train : tensor of int, ascending
    here : Linearisation
    decay : tensor of shape (n_members, n_weights)
    damping : tensor of shape (n_members,)
        Relative to the largest diagonal element, or, with scaling by the diagonal, to each.
    settings : LevenbergMarquardt
        Its keys scaling and trials; the n-th trial multiplies the first damping by 2^(n(n-1)/2), so that ten
        reach any useful one. Each tries `PARTS` of its path.
    """
    weights = here.weights
    gradient = here.gradient + decay * weights
    cost = here.loss + (decay * weights.square()).sum(1)
    diagonal = here.curvature.diagonal + decay
    scale, unit = torch.ones_like(diagonal), torch.ones_like(cost)
    if settings.scaling == "diagonal":
        scale = diagonal.clamp_min(1e-12 * diagonal.max())
    else:
        unit = diagonal.max(1).values
    damping = first = damping * unit
    best = Best(weights.clone(), cost.clone(), here.loss.clone(), damping.clone(), torch.ones_like(cost))
    growth, found = torch.full_like(cost, 2.0), torch.zeros_like(cost, dtype=torch.bool)
    for _ in range(settings.trials):
        solver = here.curvature.solver(decay + damping[:, None] * scale)
        step = solver.solve(-gradient)
        predicted = damping * (scale * step.square()).sum(1) - (gradient * step).sum(1)
        bend = _acceleration(objective, train, here, step, solver)
        for part in PARTS:
            trial = weights + part * step + part**2 * bend
            loss = objective.mean_square(objective.residuals(trial, train))
            trial_cost = loss + (decay * trial.square()).sum(1)
            following = factor_of_damping((cost - trial_cost) / predicted, part)
            best.take(~found & (trial_cost < cost), Best(trial, trial_cost, loss, damping, following))
            found = best.cost < cost
            if bool(found.all()):
                break
        if bool(found.all()):
            break
        damping = torch.where(found, damping, damping * growth)
        growth = growth * 2.0
    # where nothing helped another decay may: the damping is as it was
    following = torch.where(found, best.damping * best.factor, first)
    return Step(
        best.weights,
        best.loss,
        (cost - best.cost) / cost.clamp_min(torch.finfo(cost.dtype).tiny),
        following / unit,
    )


def factor_of_damping(ratio: Tensor, part: float) -> Tensor:
    """Return the factor of the next damping, (n_members,); the ratio is the found over the predicted fall."""
    bad = torch.full_like(ratio, AFTER_BAD)
    if part < 1.0:
        return bad
    return torch.where(ratio > GOOD, AFTER_GOOD, torch.where(ratio > FAIR, AFTER_FAIR, bad))


def _acceleration(
    objective: Objective, train: Tensor, here: Linearisation, step: Tensor, solver: Solver
) -> Tensor:
    """Return the second-order correction of a step, -½ (JᵀJ + damping)⁻¹ Jᵀ ρ''.

    Follows the curved valleys of the loss (geodesic acceleration; Transtrum and Sethna, arXiv:1201.5885);
    ρ'' along the step by central differences. Zero where it is not small against the step.
    """
    weights = here.weights
    both = objective.for_members(np.tile(np.arange(len(weights)), 2))
    probes = torch.cat([weights + PROBE * step, weights - PROBE * step])
    ahead, behind = both.residuals(probes, train).chunk(2)
    bend = (ahead - 2.0 * here.residuals + behind) / PROBE**2
    correction = solver.solve(-0.5 * objective.pull(weights, train, bend))
    small = correction.norm(dim=1) < MAX_CORRECTION * step.norm(dim=1)
    return torch.where(small[:, None], correction, torch.zeros_like(correction))
