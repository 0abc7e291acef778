"""Weight decays by Bayes' evidence: one for each layer of each species, re-estimated at every linearisation.

Each row of the loss counts as one measurement, with the variance τ divided by its share in the loss; the
weights of a group are Gaussian with variance τ/decay. The most probable values at given JᵀJ (MacKay, Neural
Comput. 4, 415 and 448 (1992); Gauss-Newton form by Foresee and Hagan, Proc. ICNN 1997, 1930) are

    decay = τ γ / |W|²,   γ = n_weights - decay · tr (JᵀJ + decay)⁻¹,   τ = loss / (n_rows - Σ γ)

with γ the number of weights that the data determine. With data free of noise τ would vanish, and the decays
with it, wherever the weights happen to be; a smallest τ leads to the interpolation with the smallest
weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aenet_gpr_cli.ann.curvature.interface import Curvature
from aenet_gpr_cli.ann.loss.objective import Objective
from aenet_gpr_cli.ann.network.architecture import Architecture
from aenet_gpr_cli.structures import IntArray

FIRST_DECAY = 1e-6  # decay before there is an estimate
LEARNT = 0.1  # of the loss of networks that predict nothing: above that, residuals are not noise yet …
LONGEST = 10  # … unless this many linearisations did not get there
OFTEN = 2  # linearisations from one estimate to the next after these, of rows of one kind …
SELDOM = 3  # … and of any once it hardly changes
CHANGE = 2.0  # largest factor by which a decay changes from one linearisation to the next
SETTLED = 1.1  # factor below which it does not change any more
ROUNDING = 1e-14  # of the largest element of JᵀJ, added to factorise it


def groups(architecture: Architecture, device: torch.device) -> Tensor:
    """Return the group of each weight: the layer and the species; biases go with their layer.

    A tensor of int, shape (n_weights,).
    """
    places = torch.empty(architecture.n_weights, dtype=torch.int64, device=device)
    everyone = (layer for layers in architecture.split(places) for layer in layers)
    for number, layer in enumerate(everyone):
        layer.fill_(number)
    return places


def n_rows(objective: Objective, train: Tensor) -> Tensor:
    """Return the sum of the weights of all rows in the loss, (n_members or 1,), whatever their emphasis."""
    rows = objective.rows_by_kind(train)
    if objective.loss.alpha == 1.0:  # the energies are not in the loss
        rows = rows[:, 2:]
    return rows.sum(1)


def is_due(loss: Tensor, spread: Tensor, iteration: IntArray, settled: Tensor, n_kinds: int = 1) -> Tensor:
    """Return of which members, a tensor of bool, decays are to be estimated.

    Parameters
    ----------
    loss, spread : tensors of shape (n_members,)
        Of the networks, and of networks that predict nothing.
    iteration : ndarray of int, shape (n_members,)
        Linearisations before this one.
    settled : tensor of bool, shape (n_members,)
        Whether the last estimate was that of before.
    n_kinds : int
        Of rows. Beside the many rows of forces an estimate takes little, and with fewer errors grew.
    """
    often = (iteration < LONGEST) | (iteration % OFTEN == 0) | (n_kinds > 1)
    late, often, again = (
        torch.as_tensor(x, device=loss.device) for x in (iteration >= LONGEST, often, iteration % SELDOM == 0)
    )
    return (late | (loss < LEARNT * spread)) & torch.where(settled, again, often)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the estimate of the decays takes from the data.

    Attributes
    ----------
    places : tensor of int, shape (n_weights,)
        Of `groups`.
    n_rows : tensor of shape (n_members,)
        Energies and components of forces and virials in the loss, a structure of weight 2 counted twice.
    spread : tensor of shape (n_members,)
        Loss of networks that predict nothing.
    smallest_noise : float
        Bound of √τ, relative to the root mean square of the rows of such networks.
    """

    places: Tensor
    n_rows: Tensor
    spread: Tensor
    smallest_noise: float

    @classmethod
    def of(cls, objective: Objective, train: Tensor, members: int, smallest_noise: float) -> Evidence:
        """Look at the training data, with the objective of all members."""
        silent = objective.data.energies.new_zeros(members, objective.architecture.n_weights)
        return cls(
            groups(objective.architecture, silent.device),
            n_rows(objective, train).expand(members),
            objective.mean_square(objective.residuals(silent, train)),
            smallest_noise,
        )

    def most_probable(
        self, determined: Tensor, weights: Tensor, loss: Tensor, n_rows: Tensor, spread: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return τ, (n_members,), and decays, (n_members, n_groups), from γ of each group."""
        index, zero = self.places.expand(len(weights), -1), torch.zeros_like(determined)
        size = zero.scatter_add(1, index, torch.ones_like(weights))
        square = zero.scatter_add(1, index, weights.square())
        determined = torch.minimum(determined.clamp_min(1e-6), size)
        noise = loss / (n_rows - determined.sum(1)).clamp_min(1.0)
        noise = torch.maximum(noise, self.smallest_noise**2 * spread / n_rows)
        return noise, noise[:, None] * determined / square

    def damping(self, curvature: Curvature, decay: Tensor) -> Tensor:
        """Return what is added to JᵀJ, (n_members, n_weights): decays by group, and what rounding needs."""
        return decay[:, self.places] + ROUNDING * curvature.diagonal.max(1).values[:, None]

    def decays(
        self,
        curvature: Curvature,
        determined: Tensor,
        weights: Tensor,
        loss: Tensor,
        old: Tensor,
        members: IntArray,
        spread: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return the decays to go on with, and which members' have stopped changing.

        Parameters
        ----------
        determined : tensor of shape (n_members, n_groups)
            γ with ``old``.
        weights : tensor of shape (n_members, n_weights)
            Where JᵀJ was taken.
        loss : tensor of shape (n_members,)
            There.
        old : tensor of shape (n_members, n_groups)
            Decays with which the weights were found.
        members : ndarray of int
            Numbers of these members.
        spread : tensor of shape (n_members,)
            Loss of networks that predict nothing, with the emphasis that kinds of rows have.

        Returns
        -------
        decays : tensor of shape (n_members, n_groups)
            The old ones of a member whose matrix is singular.
        settled : tensor of bool, shape (n_members,)
        """
        largest = curvature.diagonal.max(1).values[:, None]
        _, found = self.most_probable(determined, weights, loss, self.n_rows[members], spread)
        found = torch.minimum(torch.maximum(found, old / CHANGE), old * CHANGE)
        found = torch.minimum(found, largest)  # more switches nothing off that is not off already
        new = torch.where(torch.isfinite(found) & (found > 0), found, old)
        return new, ((new <= SETTLED * old) & (old <= SETTLED * new)).all(1)
